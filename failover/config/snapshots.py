"""Decodes ``snapshots``: who can open them, how often one is made, which stay."""

from __future__ import annotations

from failover.config.decode import Value
from failover.config.problems import Problems
from failover.config.recipients import fault
from failover.config.stores import check_kept
from failover.model.fleet import Fleet
from failover.model.stores import Policy, SnapshotRules

_TOP = ("snapshots",)
_MOST_KEPT = 10_000
_RECIPIENTS = 2


def decode_snapshots(value: Value) -> SnapshotRules | None:
    """``None`` when the file has no such section. Wrong values are the defaults and reported."""
    if not value.present:
        return None
    table = value.table("recipients", "every", "keep", example="recipients: [age1…, age1…]", may_be_empty=False)
    default = SnapshotRules(recipients=())
    return SnapshotRules(
        recipients=_recipients(table.required("recipients", "[age1…, age1…] (failover keys new makes one)")),
        # Summaries of WAL, which an incremental is made from, are kept for ten days.
        every_s=table.optional("every").seconds(default.every_s, low="1m", high="7d"),
        keep=_keep(table.optional("keep")),
    )


def check_snapshots(fleet: Fleet, problems: Problems) -> None:
    """There is somewhere to put them, and an incremental can be made."""
    if fleet.snapshots is None or not problems.sound(*_TOP):
        return
    what = "there is no store to put them in; a snapshot counts once stores at two providers have it"
    check_kept("snapshots", what, fleet, problems)
    for name in ("summarize_wal", "wal_summary_keep_time"):
        path = ("app", "settings", name)
        if name in fleet.app.settings and problems.sound(*path):
            message = "incremental snapshots rest on it: a fleet with snapshots has it set"
            problems.error("keeper-setting", path, message, "remove the line", at_key=True)


def _recipients(value: Value) -> tuple[str, ...]:
    """Two different ones: whoever verifies has one on a machine, the other lies in a drawer."""
    recipients: dict[str, int] = {}
    items = value.items()
    for index, item in enumerate(items):
        text = item.text()
        if not text or not item.sound_here:
            continue
        wrong = fault(text)
        if wrong:
            item.wrong("bad-recipient", wrong, "write what age-keygen -y KEYFILE or failover keys list shows: age1…")
        elif recipients.setdefault(text, index) != index:
            message = f"this is recipients[{recipients[text]}] once more"
            item.wrong("bad-recipient", message, "write the public half of a second, independent key")
    if value.present and value.sound_here and all(item.sound_here for item in items) and len(items) < _RECIPIENTS:
        message = (
            f"{len(items)} recipients, at least {_RECIPIENTS} are needed: a key that is lost would lose every snapshot"
        )
        value.wrong("recipients-few", message.replace("1 recipients", "1 recipient"), "failover keys new makes one")
    return tuple(recipients)


def _keep(value: Value) -> Policy:
    names = Policy.__struct_fields__
    table = value.table(*names, example="daily: 7")
    default = Policy()
    chosen = {name: table.optional(name).integer(getattr(default, name), low=0, high=_MOST_KEPT) for name in names}
    return Policy(**chosen)
