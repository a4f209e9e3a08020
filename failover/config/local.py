"""The fleet file that ``init --local`` writes: three providers played on this machine, every setting explained.

What must never be here: writing the file, or anything a fleet does without being declared.
"""

from __future__ import annotations

_TEXT = """\
# A fleet: one app, kept alive across several providers. This file declares it, and nothing else does.
#
#   failover validate      every problem of this file at once; touches nothing
#   failover deploy        makes the world as declared here; run it again after each change
#   failover status        what is there now
#
# Every setting is shown. Those marked "default" may be left out.
# A duration carries its unit: 250ms, 5s, 10m, 1h.

# The name of the fleet: lower-case letters, digits, dashes.
fleet: demo

# The data site that should be primary when all is well: the first primary, and where `failover failback` returns to.
preferred: alpha

# What happens when two observers at two living providers agree that the primary is gone. (default: auto)
#   auto   the standby takes over by itself
#   ask    nothing moves until an operator says `failover promote SITE`
promote: auto

# What the primary does when its standby is gone, and the witness finds so too. (default: degrade)
#   degrade   goes on alone, unprotected until a standby is back; the unprotected time is reported
#   stall     acknowledges no write until a standby is back
on_standby_loss: degrade

# Who keeps the record, the small truth of who is primary. (default: etcd)
#   etcd     a voter at each site below; a majority decides
#   sqlite   one file, for a first look and for tests
record: etcd

# The sites: one deployment each, at one provider each. What one provider can switch off at once must not hold both
# copies of the data, nor most of the votes.
sites:
  # A site's name: letters and digits.
  alpha:
    # The account that can be switched off as a whole. Any name; equal names mean that they die together.
    provider: north
    # How the site's machines are made: local plays a provider on this machine. (default: local)
    kind: local
    # data: a copy of the database, the app and an edge. witness: only a vote.
    role: data
    # The IPv4 address of its host. Each site has an address of its own.
    address: {first}
    # A name server for the zone below runs here, as this provider's DNS. Have it at two providers. (default: false)
    dns: true
    # A voter of the record runs here. The number of voters is odd, each at another provider. (default: true)
    voter: true
    # The ports of its host, all different. (these are the defaults)
    ports:
      # PostgreSQL
      postgres: 5432
      # HTTP from users
      edge: 8080
      # HTTP handed on by the other site's edge
      forward: 8081
      # The agent: mutual TLS
      agent: 7443
      # The record's voter: its clients, its peers
      etcd_client: 2379
      etcd_peer: 2380
      # The name server (TCP and UDP), and how its records are changed
      dns: 5300
      dns_api: 8053

  beta:
    provider: south
    kind: local
    role: data
    address: {second}
    dns: true

  # The witness holds no data. It decides between two sites that no longer see each other.
  gamma:
    provider: west
    kind: local
    role: witness
    address: {third}

# The app under failover.
app:
  # Lower-case letters, digits, dashes.
  name: social

  # How its writes can be held while the primary moves, and so what a plan may promise. (default: G1)
  #   G1   a gate inside the app's own pool and workers: 0 errors
  #   G3   no gate in the app: the edge holds its requests, workers are quiesced: 0 errors for requests within the
  #        budget, streams are opened again and counted. For any HTTP app: docs/adopt.md
  #   G4   no gate: errors happen and are counted
  class: G1

  # Its database. (default: app)
  database: app

  # What makes or upgrades the tables: a program and its arguments, run at the primary by `failover deploy`. It must be
  # repeatable. `python` is found on every host; any other program is named by its absolute path. (default: none)
  migrate: [python, -m, infra.app.migrate]

  # How the app is driven under load by `failover drill`: a file beside this one. (default: none)
  workload: workload.yaml

  # Settings for PostgreSQL. Those that the safety of a move rests on belong to the keeper and are refused here.
  # (default: none) For example: shared_buffers: 256MB
  settings: {{}}

  # Variables for all its processes and for migrate. {{database_url}} and {{database_host}}, _port, _name, _user,
  # _password are filled in with the site's own database, {{address}} and {{port}} with where the process listens.
  # (default: none) For example: DATABASE_URL: "{{database_url}}"
  environment: {{}}

  # Class G3 only: what the edge must know of the app's addresses. Each is the beginning of a path.
  http:
    # Websockets and server-sent events: they end with a move and their clients open them again. (default: none)
    streams: []
    # Long polls: waited for before the hold. Long uploads are known by their size. (default: none)
    slow: []
    # For so long at most; what is left is terminated and listed. (default: 10s)
    slow_budget: 10s

  # Its processes. Each runs at every data site.
  services:
    # Lower-case letters, digits, dashes.
    web-1:
      # A program and its arguments; no shell reads them.
      command: [python, -m, infra.app]
      # Where it listens; the site's edge sends requests there. (default: none, nobody connects to it)
      port: 9001
      # The path that answers 200 while the process can serve. (default: /health)
      health: /health
      # always: also at the standby, ready to take over. when_primary: stopped there, for an app that cannot start on
      # a read-only database or whose timers would fire twice. (default: always)
      start: always
      # It has the gate, and holds its writes when told to. (default: true for class G1)
      gate: true
      # Variables for the process, beside those that failover gives it (APP_SITE, APP_LISTEN and others).
      # Secrets do not belong here. (default: none) For example: APP_LOG_LEVEL: INFO
      environment: {{}}
      # Class G3 only: commands that make the process stop writing before a move, and go on after it. Both repeatable.
      # A worker with start: when_primary needs none: it is stopped. (default: none)
      quiesce: []
      resume: []

    web-2:
      command: [python, -m, infra.app]
      port: 9002

    # A worker writes without any request. It has the gate, so its writes are held too.
    worker:
      command: [python, -m, infra.app.worker]

# The app's public name.
dns:
  # The zone that is served at both DNS providers.
  zone: social.test
  # The name users type. It lies in the zone.
  name: www.social.test
  # How long a client may keep an answer: whole seconds. (default: 5s)
  ttl: 5s
  # What the name answers. (default: edges)
  #   edges     every living edge, so that a client with a dead address tries the next one at once
  #   primary   only the primary's edge
  answer: edges

# The times that decide. These are for one machine; across the internet write probe_every: 1s. (these are the defaults)
timing:
  # A peer is probed this often …
  probe_every: 250ms
  # … and found down after so many failures in a row …
  probe_failures: 3
  # … a failure being no answer for this long.
  probe_timeout: 250ms
  # A standby that received nothing for this long, while something waits for it, is stale.
  standby_stale: 1500ms
  # A site serves only while it has read the record, or heard from its standby, within this time.
  fresh: 2s
  # A keeper that says nothing for this long loses its right to change the record.
  keeper_lease: 5s
  # A planned move that is not done within this time is given up.
  move_budget: 10s
  # Clients are held no longer than this during a move. A run that falls silent in its middle for a quarter of it
  # loses the move: the old primary opens again.
  hold_budget: 5s
"""


def local_fleet_text(block: int = 10, *, isolated: bool = False) -> str:
    """The commented local fleet at 127.``block``.0.1 and the blocks 10 and 20 further on; always without a finding.
    ``isolated``: at 198.18.``block``.1 and so on, where each site gets a network of its own.

    Raises ``ValueError`` when the third block would not be one.
    """
    if not 1 <= block <= 235:
        raise ValueError(f"block {block}: the three blocks {block}, {block + 10} and {block + 20} must lie in 1 to 255")
    first, second, third = (
        f"198.18.{number}.1" if isolated else f"127.{number}.0.1" for number in (block, block + 10, block + 20)
    )
    return _TEXT.format(first=first, second=second, third=third)
