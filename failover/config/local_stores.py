"""What ``init --local --stores`` adds to the local fleet file: two stores, rich and poor on purpose, snapshots
and media."""

from __future__ import annotations

from collections.abc import Sequence

_TEXT = """
# Where snapshots and media go: buckets at two providers or more, so that the loss of one leaves everything. Their keys
# are in the state folder's trust/: made there for the stores that sites run, put there for a provider's own.
stores:
  # A name of its own.
  - name: north
    # The local site that runs it: a provider's store, played on this machine. It listens at the site's address, at
    # ports that follow from it. A provider's own store has provider: and endpoint: https://… instead.
    site: alpha
    # seaweedfs   a rich one: versions, locks, create-only
    # rclone      a poor one: none of them
    # s3          a provider's own; for a site with provider: and endpoint: only
    kind: seaweedfs
    # Made by `failover deploy`, or adopted if it is ours already.
    bucket: {bucket}
    # (default: us-east-1)
    region: us-east-1

  - name: south
    site: beta
    kind: rclone
    bucket: {bucket}

# The database, encrypted and kept in the stores.
snapshots:
  # Who can open them: two independent age keys or more, public halves only. `init` made these two; the private halves
  # lie in keys/ beside this file. verify.key is what `failover snapshot verify` reads. Move recovery.key to a drawer.
  recipients:
{recipients}
  # How often one is made by the schedule. (default: 1h)
  every: 1h
  # How many stay: the newest of each of so many hours, days, weeks, months. (these are the defaults)
  keep:
    hourly: 24
    daily: 7
    weekly: 4
    monthly: 12

# The app's pictures: kept in the nearest store, copied to the other ones within a second or so.
media:
  # What the app's database refers to: a name below FLEET/media/, a sha256 in hex and a size in bytes, one object a row.
  # `failover media` compares the stores with it. (default: none, and then what no store has cannot be told)
  index: SELECT left(id, 2) || '/' || id, id, size_bytes FROM media
  # How long the bytes of a removed object stay: longer than a restore reaches back. (default: as long as snapshots do)
  keep_removed: 373d
"""


def local_stores_text(recipients: Sequence[str], *, bucket: str = "demo") -> str:
    """To be put at the end of the local fleet file. ``recipients``: at least two public age keys."""
    listed = "\n".join(f"    - {recipient}" for recipient in recipients)
    return _TEXT.format(bucket=bucket, recipients=listed)
