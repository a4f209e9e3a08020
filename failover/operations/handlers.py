"""Which handler carries out which action. The set is closed: a test compares it with ``model.plan.Actions``."""

from __future__ import annotations

from failover.engine.handler import Handlers
from failover.model.plan import (
    ApplyBucket,
    ApplyDns,
    ApplyStack,
    AwaitDrained,
    AwaitPrimary,
    AwaitProtected,
    AwaitReceived,
    AwaitRejoined,
    AwaitServing,
    Checkpoint,
    ClaimMove,
    ClearMove,
    CommitMove,
    CopySnapshot,
    CreateRecord,
    DestroyStack,
    Enrol,
    EnsureBucket,
    HoldGates,
    Migrate,
    PutSpec,
    QuiesceApp,
    ReleaseGates,
    ReleaseQuarantine,
    RemoveSnapshot,
    RemoveWal,
    RestShipper,
    StopPrimary,
    TakeSnapshot,
)
from failover.operations.handlers_database import (
    AwaitPrimaryHandler,
    AwaitProtectedHandler,
    AwaitReceivedHandler,
    AwaitServingHandler,
    StopPrimaryHandler,
)
from failover.operations.handlers_dns import ApplyDnsHandler
from failover.operations.handlers_gates import (
    AwaitDrainedHandler,
    HoldGatesHandler,
    QuiesceAppHandler,
    ReleaseGatesHandler,
)
from failover.operations.handlers_host import (
    ApplyStackHandler,
    CheckpointHandler,
    DestroyStackHandler,
    EnrolHandler,
    MigrateHandler,
    PutSpecHandler,
)
from failover.operations.handlers_record import (
    ClaimMoveHandler,
    ClearMoveHandler,
    CommitMoveHandler,
    CreateRecordHandler,
)
from failover.operations.handlers_rejoin import AwaitRejoinedHandler, ReleaseQuarantineHandler
from failover.operations.handlers_shipping import RestShipperHandler
from failover.operations.handlers_snapshot import (
    CopySnapshotHandler,
    RemoveSnapshotHandler,
    RemoveWalHandler,
    TakeSnapshotHandler,
)
from failover.operations.handlers_store import ApplyBucketHandler, EnsureBucketHandler
from failover.operations.session import Session


def handlers(session: Session) -> Handlers:
    """One of each, sharing what the run learns."""
    return {
        ApplyStack: ApplyStackHandler(session),
        ApplyBucket: ApplyBucketHandler(session),
        EnsureBucket: EnsureBucketHandler(session),
        DestroyStack: DestroyStackHandler(session),
        Enrol: EnrolHandler(session),
        PutSpec: PutSpecHandler(session),
        CreateRecord: CreateRecordHandler(session),
        AwaitPrimary: AwaitPrimaryHandler(session),
        Migrate: MigrateHandler(session),
        AwaitProtected: AwaitProtectedHandler(session),
        AwaitServing: AwaitServingHandler(session),
        ClaimMove: ClaimMoveHandler(session),
        ClearMove: ClearMoveHandler(session),
        ReleaseQuarantine: ReleaseQuarantineHandler(session),
        AwaitRejoined: AwaitRejoinedHandler(session),
        Checkpoint: CheckpointHandler(session),
        QuiesceApp: QuiesceAppHandler(session),
        HoldGates: HoldGatesHandler(session),
        ReleaseGates: ReleaseGatesHandler(session),
        AwaitDrained: AwaitDrainedHandler(session),
        RestShipper: RestShipperHandler(session),
        StopPrimary: StopPrimaryHandler(session),
        AwaitReceived: AwaitReceivedHandler(session),
        CommitMove: CommitMoveHandler(session),
        ApplyDns: ApplyDnsHandler(session),
        TakeSnapshot: TakeSnapshotHandler(session),
        CopySnapshot: CopySnapshotHandler(session),
        RemoveSnapshot: RemoveSnapshotHandler(session),
        RemoveWal: RemoveWalHandler(session),
    }
