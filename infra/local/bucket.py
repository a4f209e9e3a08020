"""A bucket at the local provider: in the store that the site runs as one of its services."""

from __future__ import annotations

import pulumi

from infra.names import BUCKET_TYPE
from infra.parts import BucketParts, SiteParts


class Bucket(pulumi.CustomResource):
    """The bucket, adopted when it is ours already. What is in it is never removed by the stack: a bucket that holds
    something stays, until the host's disk goes."""

    def __init__(
        self,
        name: str,
        parts: SiteParts,
        bucket: BucketParts,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "site": parts.bootstrap.site,
            "hostDir": parts.bootstrap.host_dir,
            "bucket": bucket.name,
            "kind": bucket.kind,
            "endpoint": bucket.endpoint,
            "region": bucket.region,
            "accessKey": pulumi.Output.secret(bucket.access_key),
            "secretKey": pulumi.Output.secret(bucket.secret_key),
        }
        once = pulumi.ResourceOptions(delete_before_replace=True)
        super().__init__(BUCKET_TYPE, name, inputs, pulumi.ResourceOptions.merge(opts, once))
