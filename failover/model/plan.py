"""A plan is data: steps of a closed set of actions, a digest, hazards. It is what is shown, approved, rehearsed,
printed as a runbook and executed. The digest covers steps and hazards only: measured values would change each second
and never match (safety F4)."""

from __future__ import annotations

import hashlib

import msgspec

from failover.model.finding import Finding
from failover.model.units import Lsn, MemberId


class Action(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """Root of the closed set of actions; ``engine`` maps each class to one handler and refuses an unknown one."""


class ApplyStack(Action, frozen=True, kw_only=True, tag="apply-stack"):
    """Run the site's Pulumi stack until the provider has what it describes."""

    site: str


class ApplyBucket(Action, frozen=True, kw_only=True, tag="apply-bucket"):
    """Run the site's stack once more, with the bucket in the store that runs there by now."""

    site: str


class EnsureBucket(Action, frozen=True, kw_only=True, tag="ensure-bucket"):
    """The bucket of a store that is its provider's own is there and ours."""

    store: str


class DestroyStack(Action, frozen=True, kw_only=True, tag="destroy-stack"):
    """Remove everything the site's stack made."""

    site: str


class Enrol(Action, frozen=True, kw_only=True, tag="enrol"):
    """Have the host's own key signed by the fleet CA, once, proven by the bootstrap's token."""

    site: str


class PutSpec(Action, frozen=True, kw_only=True, tag="put-spec"):
    """Send the signed HostSpec. ``digest`` is its content's, so an unchanged spec is a step that is done already."""

    site: str
    digest: str


class CreateRecord(Action, frozen=True, kw_only=True, tag="create-record"):
    """Write the first record: this copy may be born. Refused when a record exists."""

    member: MemberId


class AwaitPrimary(Action, frozen=True, kw_only=True, tag="await-primary", omit_defaults=True):
    """Wait until the site's keeper has PostgreSQL running as primary of this epoch or a later one.

    ``or_whoever``: the step asks for a primary, not for a move to this site; one that took over meanwhile is as good.
    """

    site: str
    or_whoever: bool = False


class Migrate(Action, frozen=True, kw_only=True, tag="migrate"):
    """Run the app's migrations against the primary (repeatable by their own table)."""

    site: str


class AwaitProtected(Action, frozen=True, kw_only=True, tag="await-protected"):
    """Wait until the record lists at least one sync member and its standby streams."""


class AwaitServing(Action, frozen=True, kw_only=True, tag="await-serving"):
    """Wait until the site's edge answers through an open gate."""

    site: str


class ClaimMove(Action, frozen=True, kw_only=True, tag="claim-move", omit_defaults=True):
    """Write ``move`` into the record: keepers stand down for this run while it is live (safety C2).
    ``accept_loss_s``: with a promotion, what its operator agreed to lose."""

    kind: str
    source: MemberId
    target: MemberId
    budget_s: float
    accept_loss_s: float = 0.0


class ReleaseQuarantine(Action, frozen=True, kw_only=True, tag="release-quarantine"):
    """Note in the record that the copy ``member``, which holds writes that nobody else has, may be rewound."""

    member: MemberId


class AwaitRejoined(Action, frozen=True, kw_only=True, tag="await-rejoined"):
    """Wait until the site's copy is another one than ``member`` and streams as a standby."""

    site: str
    member: MemberId


class ClearMove(Action, frozen=True, kw_only=True, tag="clear-move"):
    """Take this run's ``move`` out of the record again."""


class Checkpoint(Action, frozen=True, kw_only=True, tag="checkpoint"):
    """CHECKPOINT at the site, so that the stop inside the pause has little to write."""

    site: str


class QuiesceApp(Action, frozen=True, kw_only=True, tag="quiesce-app"):
    """Class G3, before the hold: what writes without a request stops, slow requests are waited for ``slow_s`` at most
    while everybody else is served. Over by itself after ``budget_s``; releasing the gates ends it too."""

    sites: tuple[str, ...]
    slow_s: float
    budget_s: float


class HoldGates(Action, frozen=True, kw_only=True, tag="hold-gates"):
    """New transactions wait at every named site; agents release by themselves after ``budget_s`` (safety E2)."""

    sites: tuple[str, ...]
    budget_s: float


class ReleaseGates(Action, frozen=True, kw_only=True, tag="release-gates"):
    """End this run's hold; each agent opens its gates to whoever the record says serves."""

    sites: tuple[str, ...]


class AwaitDrained(Action, frozen=True, kw_only=True, tag="await-drained"):
    """No open write transaction in PostgreSQL at the site (safety E2); leftovers past the budget are terminated."""

    site: str
    budget_s: float


class StopPrimary(Action, frozen=True, kw_only=True, tag="stop-primary"):
    """The site's own keeper stops PostgreSQL cleanly for this run (a fence only stops oneself, safety G2)."""

    site: str
    budget_s: float


class RestShipper(Action, frozen=True, kw_only=True, tag="rest-shipper"):
    """The site's WAL shipper has hung up: a stop waits for whoever streams (safety D1). Only fleets with stores."""

    site: str


class AwaitReceived(Action, frozen=True, kw_only=True, tag="await-received"):
    """The target has flushed WAL past the source's shutdown checkpoint."""

    source: str
    target: str
    budget_s: float


class CommitMove(Action, frozen=True, kw_only=True, tag="commit-move"):
    """Swap the record: epoch + 1, primary is the target, sync is the source. The commit step of a planned move."""

    source: MemberId
    target: MemberId


class ApplyDns(Action, frozen=True, kw_only=True, tag="apply-dns"):
    """Make the zone's records right at one DNS provider, and ask its server. ``addresses`` for the public name,
    ``primary`` for ``primary.<name>``."""

    site: str
    addresses: tuple[str, ...]
    primary: str


class TakeSnapshot(Action, frozen=True, kw_only=True, tag="take-snapshot"):
    """Back up the site's copy to these stores; ``parent`` is what an incremental is restored on top of. ``newest``: the
    one before it; ids go on growing also where this machine's clock is behind another's."""

    kind: str
    parent: str
    newest: str
    site: str
    stores: tuple[str, ...]
    reasons: tuple[str, ...]


class CopySnapshot(Action, frozen=True, kw_only=True, tag="copy-snapshot"):
    """Give the store what it lacks of the snapshot, from one that has it; needs no key."""

    snapshot: str
    store: str


class RemoveSnapshot(Action, frozen=True, kw_only=True, tag="remove-snapshot"):
    """Every object of the snapshot, or of a create that never ended, out of these stores."""

    system_identifier: str
    snapshot: str
    stores: tuple[str, ...]


class RemoveWal(Action, frozen=True, kw_only=True, tag="remove-wal"):
    """Shipped WAL that no snapshot left can lead to: all of older timelines, and of this one what ends before."""

    system_identifier: str
    timeline: int
    before: Lsn


Actions = (
    ApplyStack
    | ApplyBucket
    | EnsureBucket
    | DestroyStack
    | Enrol
    | PutSpec
    | CreateRecord
    | AwaitPrimary
    | Migrate
    | AwaitProtected
    | AwaitServing
    | ClaimMove
    | ReleaseQuarantine
    | AwaitRejoined
    | ClearMove
    | Checkpoint
    | QuiesceApp
    | HoldGates
    | ReleaseGates
    | AwaitDrained
    | StopPrimary
    | RestShipper
    | AwaitReceived
    | CommitMove
    | ApplyDns
    | TakeSnapshot
    | CopySnapshot
    | RemoveSnapshot
    | RemoveWal
)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One act. ``undo`` is the action that takes it back (``None``: nothing to take back).

    ``after`` names steps that must be done first; steps of one ``lane`` run in order, different lanes side by side.
    ``required`` false: a failure is reported and the run goes on (a dead provider's DNS must not stop a rescue).
    ``command``, ``check`` and ``back`` are what a person types to do, to look, and to take it back.
    """

    id: str
    title: str
    action: Actions
    why: str
    site: str = ""
    timeout_s: float = 30.0
    undo: Actions | None = None
    commit: bool = False
    required: bool = True
    lane: str = ""
    after: tuple[str, ...] = ()
    command: str = ""
    check: str = ""
    back: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Steps in order. At most one is the commit step: undo before it, only forward after it. ``at_risk``: what a
    promotion may lose, as measured."""

    verb: str
    summary: str
    steps: tuple[Step, ...]
    hazards: tuple[str, ...] = ()
    promise: str = ""
    measured: tuple[str, ...] = ()
    at_risk: str = ""
    needs_fleet_lease: bool = True

    @property
    def digest(self) -> str:
        """12 hex digits over steps and hazards; approval names it."""
        content = msgspec.json.encode((self.verb, self.steps, sorted(self.hazards)))
        return hashlib.sha256(content).hexdigest()[:12]

    @property
    def empty(self) -> bool:
        """Nothing to do."""
        return not self.steps


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The planner's "no": an answer with its reasons, not an exception."""

    verb: str
    summary: str
    findings: tuple[Finding, ...]
