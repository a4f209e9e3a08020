"""A data site's edge as a service: HAProxy with one configuration for both roles. Pure.

``public`` takes clients as plain TCP and hands them on with PROXY v2: at a standby to the primary's ``forward`` port,
else (and whenever that target is dead) to ``site``, this host's own HTTP listener. The agent turns it through the stats
socket (``adapters/haproxy``), never by a reload. Rules that bind this file:

- **No loop.** What comes in by the ``forward`` port goes to local processes only, whatever this site's role is.
- **Nobody is cut in a planned move.** A server leaves by ``drain``, never ``maint`` (``maint`` would end its sessions).
  A connection that is at the wrong site is asked to close by ``Connection: close`` on its next answer, so clients come
  back on a new one that goes the right way.
- **A dead target is left at once.** Two failed checks mark it down, its sessions end (their clients retry) and new ones
  go to the local processes, whose gates lead to the right database from anywhere. A refused connection only hurries the
  checks and waits for them: were it to mark the server down itself, it would be among the sessions that end.
  The check is HTTP: the kernel of a frozen process still accepts connections.
"""

from __future__ import annotations

from failover.errors import ConfigError
from failover.model.fleet import AppClass, Fleet, Service, Site
from failover.model.spec import File, Ready, ServiceSpec
from failover.planner.hostspec_hold import MAXCONN_ALL, MAXCONN_PUBLIC, NOT_FRESH_YET, STALE, held_part, routes
from failover.planner.hostspec_net import LOCAL, all_local, listen_address

CONFIG_FILE = "run/edge.cfg"
STATS_SOCKET = "run/edge.sock"
ALIVE_PATH = "/.edge/alive"

# HAProxy waits for the connect time before it tries again after a refused connection, so a short one is a short stall
# for a client that meets a target in the instant of its death.
_LOCAL_CONNECT_MS, _LOCAL_CHECK_MS = 100, 400
_WIDE_CONNECT_MS, _WIDE_CHECK_MS = 1000, 1000
# Enough turn-arounds to outlast the two checks.
_RETRIES = 10


def edge_service(fleet: Fleet, site: Site) -> ServiceSpec:
    """HAProxy at ``site``. It starts with the forward target off: every request is served by local processes until
    the agent says who is primary, which is right anywhere because the gates lead to the database."""
    held = holds_requests(fleet)
    parts = [_general(site, held), _public(fleet, site), _site(fleet, site, held), _app(fleet, site)]
    if held:
        parts[0] = parts[0].replace("\n\ndefaults", f"\n{NOT_FRESH_YET}\n\ndefaults", 1)
        parts.append(held_part(fleet, site, _streams_servers(fleet, site)))
    text = "\n\n".join(parts) + "\n"
    return ServiceSpec(
        name="edge",
        # -C: sockets are named relative to run/, because a socket's path may not be longer than 107 bytes.
        command=("haproxy", "-db", "-C", "{host}/run", "-f", "edge.cfg"),
        files=(File(path=CONFIG_FILE, text=text, mode=0o600),),
        ready=Ready(address=site.address, port=site.ports.edge),
        gate=STATS_SOCKET if held else "",
        nice=-5,
    )


def holds_requests(fleet: Fleet) -> bool:
    """True when the edge is the gate: the app has none of its own (class G3)."""
    return fleet.app.promise is AppClass.G3


def _general(site: Site, held: bool) -> str:
    maxconn = MAXCONN_ALL if held else 4000
    threads = "\n  nbthread 1" if site.kind == LOCAL else ""
    return f"""global
  log stderr format timed local0 notice
  stats socket unix@edge.sock mode 600 level admin
  maxconn {maxconn}
  no strict-limits{threads}

defaults
  log global
  timeout connect 1s
  timeout client 75s
  timeout server 75s
  timeout tunnel 1h
  retries 3
  option redispatch 1"""


def _public(fleet: Fleet, site: Site) -> str:
    connect_ms, check_ms = (
        (_LOCAL_CONNECT_MS, _LOCAL_CHECK_MS) if all_local(fleet) else (_WIDE_CONNECT_MS, _WIDE_CHECK_MS)
    )
    # Only a place to start from; the agent sets the address of the primary's edge before it turns the server on.
    others = [other for other in fleet.data_sites if other.name != site.name]
    target = others[0] if others else site
    # The peer lets in only the fleet's addresses, and on loopback the kernel would choose 127.0.0.1.
    source = f"\n  source {site.address}" if site.kind == LOCAL else ""
    most = f"\n  maxconn {MAXCONN_PUBLIC}" if holds_requests(fleet) else ""
    return f"""frontend public
  mode tcp{most}
  bind {listen_address(site)}:{site.ports.edge}
  default_backend forward

backend forward
  mode tcp{source}
  timeout connect {connect_ms}ms
  timeout check {check_ms}ms
  retries {_RETRIES}
  option httpchk
  http-check send meth GET uri {ALIVE_PATH}
  http-check expect status 200
  default-server send-proxy-v2 inter 250ms fastinter 50ms downinter 250ms fall 2 rise 1
  default-server observe layer4 error-limit 1 on-error fastinter on-marked-down shutdown-sessions
  server primary {target.address}:{target.ports.forward} check check-send-proxy disabled
  server here unix@site.sock backup

# Takes no traffic: counts whether "primary" takes new connections, which "forward" cannot say of itself (its backup).
backend role
  mode tcp
  server primary 192.0.2.1:1 track forward/primary"""


def _site(fleet: Fleet, site: Site, held: bool) -> str:
    fleet_addresses = " ".join(other.address for other in fleet.data_sites)
    # Behind a hold a site without a process of the app still has its use: whoever comes too early waits here.
    monitor = "" if held else "\n  monitor fail if { nbsrv(app) lt 1 }"
    served_by = f"set-header X-Served-By {site.name}"
    if held:
        served_by += " unless { res.hdr(x-served-by) -m found }"
    # A websocket's answer says Connection: upgrade, and must go on saying so.
    away = "elsewhere) gt 0 } !{ status 101" if held else "role) gt 0"
    onwards = routes(fleet) if held else "  default_backend app"
    request = "" if held else "\n  timeout http-request 10s"
    return f"""frontend site
  mode http
  bind unix@site.sock accept-proxy mode 600
  bind {listen_address(site)}:{site.ports.forward} accept-proxy name fleet
  # Before PROXY is read: src is the machine that connects, not the client it speaks for.
  tcp-request connection reject if {{ so_name fleet }} !{{ src {fleet_addresses} }}
  monitor-uri {ALIVE_PATH}{monitor}{request}
  timeout http-keep-alive 60s
  http-request del-header X-Forwarded-For
  http-request del-header X-Served-By
  http-request del-header Forwarded
  option forwardfor
  http-after-response {served_by}
  http-after-response set-header Connection close if {{ nbsrv({away} }}
  # Sent again to another process only where twice is as good as once; a POST is the client's to repeat.
  http-request disable-l7-retry unless METH_GET || {{ method OPTIONS }}
{onwards}"""


def _app(fleet: Fleet, site: Site) -> str:
    served = [service for service in fleet.app.services if service.port]
    servers = "\n".join(f"  server {service.name} {site.address}:{service.port}" for service in served)
    own, downinter, answer = "", "250ms", "2s"
    if holds_requests(fleet):
        # All who were held come at once, and an app of a few threads answers the check after them: it is busy, not
        # dead, and found dead it would refuse them all. A process that is gone refuses the connection at once.
        answer = "15s"
        downinter = "100ms"  # the whole hold may be waiting for this process to come up
        # Behind the hold an answer has passed two frontends: only the one that served names itself.
        own = f"{STALE}\n  http-request del-header X-Edge-Final\n  http-response set-header X-Served-By {site.name}\n"
    return f"""backend app
  mode http
  balance roundrobin
  # A process that closes an idle connection in the instant a POST leaves on it is a 502: a connection per request.
  option http-server-close
  http-reuse never
  timeout connect 1s
  timeout server 30s
  timeout check {answer}
  retry-on conn-failure empty-response
  option httpchk
  http-check send meth GET uri {_health(served)}
  http-check expect status 200
  default-server check inter 500ms fastinter 100ms downinter {downinter} fall 2 rise 1
{own}{servers}""".rstrip()


def _streams_servers(fleet: Fleet, site: Site) -> str:
    return "\n".join(
        f"  server {service.name} {site.address}:{service.port} track app/{service.name}"
        for service in fleet.app.services
        if service.port
    )


def _health(served: list[Service]) -> str:
    paths = sorted({service.health for service in served})
    if len(paths) > 1:
        raise ConfigError(
            f"services behind one edge have different health paths: {', '.join(paths)}",
            hint="give every service with a port the same health path",
        )
    return paths[0] if paths else "/health"
