"""``g3``: a planned move of an app without a gate, with streams, slow uploads and scheduled posts beside the load."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.lines import contender, say, spread, verdict
from tests.e2e.harness import LocalFleet
from tests.e2e.plain import Scheduled, plain_fleet, without_hold

_RATE = 60
_SECONDS = 16.0
_POSTS = 30


def g3(runs: int, *, contest: bool) -> int:
    """The contender is the same app without a hold (class G4): the load must notice that move."""
    reports, times = [], []
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        one = LocalFleet(Path(folder), block=117)
        plain_fleet(one)
        with one.standing():
            Scheduled(one).count_from_now()
            for number in range(runs):
                scheduled = Scheduled(one)
                scheduled.schedule(first_s=4.0, every_s=0.5, count=_POSTS)
                report = _move(one, number)
                reports.append(report)
                times += scheduled.times_published()
                load, streams, uploads = report["load"], report["streams"], report["uploads"]
                say(f"g3 {number + 1}/{runs}: {load['first_attempt_failed']} of {load['requests']} failed, "
                    f"pause {report['write_pause_ms']['longest']:.0f} ms, {streams['ended']} streams ended and "
                    f"{streams['open_at_end']} of {streams['held']} open again, "
                    f"{uploads['failed']} of {uploads['sent']} uploads failed, "
                    f"{sum(count == 1 for count in times)} of {len(times)} posts once")  # fmt: skip
            unheld = _without(one) if contest else None
    failed = sum(report["load"]["first_attempt_failed"] for report in reports)
    uploads_failed = sum(report["uploads"]["failed"] for report in reports)
    lost = sum(report["ledger"]["lost"] + report["ledger"]["duplicated"] for report in reports)
    closed = sum(report["streams"]["held"] - report["streams"]["open_at_end"] for report in reports)
    contender(
        "class G3", requests=sum(report["load"]["requests"] for report in reports), failed=failed,
        uploads=sum(report["uploads"]["sent"] for report in reports), uploads_failed=uploads_failed,
        streams_ended=sum(report["streams"]["ended"] for report in reports), streams_not_open_again=closed,
        streams_away_s=spread([report["streams"]["longest_away_s"] for report in reports]),
        posts=len(times), posts_once=sum(count == 1 for count in times), lost_or_doubled=lost,
        pause_ms=spread([report["write_pause_ms"]["longest"] for report in reports]),
    )  # fmt: skip
    if unheld is not None:
        contender("class G4, no hold", requests=unheld["load"]["requests"],
                  failed=unheld["load"]["first_attempt_failed"], uploads=unheld["uploads"]["sent"],
                  uploads_failed=unheld["uploads"]["failed"], lost_or_doubled=unheld["ledger"]["lost"])  # fmt: skip
    noticed = unheld is None or unheld["load"]["first_attempt_failed"] > 0
    held = not (failed or uploads_failed or lost or closed) and all(count == 1 for count in times) and noticed
    theirs = None if unheld is None else unheld["load"]["first_attempt_failed"]
    limit = "0 requests and 0 uploads failed, every stream open again, every scheduled post exactly once, 0 lost"
    return verdict("g3", ours=failed, theirs=theirs, limit=limit, held=held)


def _move(one: LocalFleet, seed: int) -> dict:  # type: ignore[type-arg]
    primary = one.status()["record"]["primary"].split("_")[0]
    report = one.drill("switchover", "beta" if primary == "alpha" else "alpha", rate=_RATE, seconds=_SECONDS, seed=seed)
    one.wait_protected()
    return report


def _without(one: LocalFleet) -> dict:  # type: ignore[type-arg]
    one.file.write_text(without_hold(one.file.read_text()))
    one.deploy()
    one.wait_protected()
    return _move(one, 99)
