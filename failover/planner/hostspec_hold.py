"""The edge of an app without a gate of its own (class G3): requests are held in front of it. Pure.

Every request passes an inner listener on a connection of its own; a hold is ``set maxconn frontend inner 0`` there, and
who waits sits in its backlog (facts: traffic 2.2; a hold at the outer listener would miss keep-alive clients). Rules:

- **Three ways in.** ``inner`` is held for a move; ``inner-slow`` (long polls, large bodies) is held first and waited
  for, so that nobody else waits for an upload; ``inner-stream`` holds only the opening of a stream.
- **Who was held goes to the new primary**, from either side: behind the hold a request at a standby goes on to the
  primary's ``forward`` port, marked by a TLV of PROXY v2 that no client can write.
- **No loop.** A marked request is served where it arrives, or held there.
- **What serves here is fresh**: past the instant the agent gave, this site's processes are asked nothing.
- **A body is whole before it counts**: a small one sent slowly waits here, not in the app.
"""

from __future__ import annotations

from failover.model.fleet import Fleet, Site
from failover.planner.hostspec_net import LOCAL

# Each held request is one connection at each listener it passed: were the total the limit, those who wait outside would
# keep the inner ones from being accepted at the release.
MAXCONN_PUBLIC, MAXCONN_ALL = 2000, 12000
# A body up to here is read before the request is passed on (tune.bufsize less what headers may take).
BUFFERED_BYTES = 14000
# Longest wait in a backlog: quiesce, hold and the start of the app at the other side.
_HOLD_S = 120
_REQUEST_S = 30
# Asked for each request, so that a host that was frozen answers nothing of the past when it wakes (safety E1): the
# agent renews the instant while it has fresh evidence of who is primary. Only the agent could hold, so this refuses.
NOT_FRESH_YET = "  set-var proc.fresh int(0)"
STALE = "  http-request return status 503 hdr Retry-After 1 if { date(0,ms),sub(proc.fresh) gt 0 }"
LISTENERS = ("inner", "inner-slow", "inner-stream")


def routes(fleet: Fleet) -> str:
    """The lines of frontend ``site`` that send each request to its inner listener."""
    http = fleet.app.http
    lines = [
        "  option http-buffer-request",
        f"  timeout http-request {_REQUEST_S}s",
        "  http-request del-header X-Edge-Final",
        "  http-request set-header X-Edge-Final 1 if { fc_pp_unique_id -m found }",
    ]
    if http.streams:
        lines.append(f"  use_backend hold-stream if {{ path_beg {' '.join(http.streams)} }}")
    if http.slow:
        lines.append(f"  use_backend hold-slow if {{ path_beg {' '.join(http.slow)} }}")
    lines += [
        f"  use_backend hold-slow if {{ req.hdr_val(content-length) gt {BUFFERED_BYTES} }}",
        "  use_backend hold-slow if { req.hdr(transfer-encoding) -m found }",
        "  default_backend hold",
    ]
    return "\n".join(lines)


def held_part(fleet: Fleet, site: Site, servers: str) -> str:
    """Everything between frontend ``site`` and backend ``app``. ``servers`` are the app's, for streams."""
    parts = [_hold(name) for name in LISTENERS]
    parts += [_inner(name) for name in LISTENERS]
    parts += [_peer(fleet, site), _flag(), _streams(servers)]
    return "\n\n".join(parts)


def _hold(listener: str) -> str:
    wait = "timeout server 1h" if listener == "inner-stream" else f"timeout server {_HOLD_S}s"
    return f"""backend {listener.replace("inner", "hold")}
  mode http
  http-reuse never
  option http-server-close
  {wait}
  server {listener} unix@{listener}.sock send-proxy-v2"""


def _inner(listener: str) -> str:
    here = "streams" if listener == "inner-stream" else "app"
    return f"""frontend {listener}
  mode http
  bind unix@{listener}.sock accept-proxy mode 600 backlog 4096
  maxconn {MAXCONN_PUBLIC * 2}
  backlog 4096
  unique-id-format forwarded
  use_backend {here} if {{ req.hdr(x-edge-final) -m found }}
  use_backend peer if {{ nbsrv(elsewhere) gt 0 }}
  default_backend {here}"""


def _peer(fleet: Fleet, site: Site) -> str:
    others = [other for other in fleet.data_sites if other.name != site.name]
    target = others[0] if others else site
    source = f"\n  source {site.address}" if site.kind == LOCAL else ""
    # No check: a primary that is starting is worth waiting for, and it holds by itself what comes too early.
    return f"""# Who was held while the primary moved away. Only a refused connection is tried again: nothing was sent.
# "here" is on while this site is the primary: whoever tries a dead one still comes back to wait and be served here.
backend peer
  mode http{source}
  http-reuse never
  option http-server-close
  timeout connect 250ms
  timeout server 1h
  retries 20
  option redispatch 1
  retry-on conn-failure
  http-request del-header X-Edge-Final
  server primary {target.address}:{target.ports.forward} send-proxy-v2 proxy-v2-options unique-id
  server here {site.address}:{site.ports.forward} send-proxy-v2 proxy-v2-options unique-id disabled"""


def _flag() -> str:
    return """# Takes no traffic: its server is on while the primary is elsewhere.
backend elsewhere
  mode tcp
  server primary 192.0.2.1:1 disabled"""


def _streams(servers: str) -> str:
    return f"""backend streams
  mode http
  balance roundrobin
  http-reuse never
  timeout connect 1s
  timeout server 1h
{STALE}
  http-request del-header X-Edge-Final
{servers}"""
