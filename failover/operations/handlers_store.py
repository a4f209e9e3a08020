"""Handlers of buckets: a site's own, through its stack, and a provider's own, through its store."""

from __future__ import annotations

from typing import ClassVar

from failover.engine.handler import Context, Looked, See
from failover.errors import Unreachable
from failover.model.plan import ApplyBucket, EnsureBucket
from failover.operations.handlers_host import Stacks
from failover.operations.session import CALL_S, Session, within
from failover.operations.stack_request import site_request

BUCKET_S = 10.0


class ApplyBucketHandler:
    """One site's stack with its bucket, once the store there answers."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stacks = Stacks()

    def look(self, action: ApplyBucket, context: Context) -> Looked:
        """Done once ``up`` came back, which looks for the bucket itself."""
        return Looked(see=See.DONE if context.performed else See.NOT_DONE, detail="")

    def perform(self, action: ApplyBucket, context: Context) -> str:
        """Refresh and up, not before somebody answers at the store: the engine would only fail, and slowly."""
        wired = self._session.wired
        request = site_request(wired, action.site)
        if request.store is not None:
            silence = wired.store_look.silence(request.store, deadline_s=within(context, CALL_S))
            if silence:
                raise Unreachable(f"store {request.store.name} does not answer: {silence}", where=action.site)
        return self._stacks.up(self._session, request, context)


class EnsureBucketHandler:
    """The bucket at a provider whose store is its own."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: EnsureBucket, context: Context) -> Looked:
        """Done once the store said so: ``ensure`` looks before and after itself."""
        return Looked(see=See.DONE if context.performed else See.NOT_DONE, detail="")

    def perform(self, action: EnsureBucket, context: Context) -> str:
        """Make it, or find that it is ours."""
        wired = self._session.wired
        (place,) = (store for store in wired.fleet.stores if store.name == action.store)
        bucket = wired.bucket(place, deadline_s=within(context, BUCKET_S))
        try:
            made = bucket.ensure()
        finally:
            bucket.close()
        return f"{place.bucket} was made" if made else f"{place.bucket} is ours already"
