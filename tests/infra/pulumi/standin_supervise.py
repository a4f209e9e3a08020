"""The real supervisor with a stand-in agent: a TCP listener at the bootstrap's address. For the tests of the stacks
alone, where hundreds of hosts come and go; the real agent is tested elsewhere. While a file ``slow`` lies beside the
sites' folder the agent does not listen, and a create does not end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from failover.agent import supervise

AGENT = """
import json, socket, sys, time
from pathlib import Path
while (Path(sys.argv[1]).parent.parent / "slow").exists():
    time.sleep(0.02)
known = json.loads((Path(sys.argv[1]) / "bootstrap.json").read_text())
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((known["address"], known["agent_port"]))
server.listen(16)
data = Path(sys.argv[1]) / "data"
data.mkdir(exist_ok=True)
with (data / "starts").open("a") as file:
    file.write("start\\n")
while True:
    server.accept()[0].close()
"""


def _start_agent(host_dir: Path) -> subprocess.Popen[bytes]:
    with (host_dir / "log" / "agent.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", AGENT, str(host_dir)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "FAILOVER_HOST_DIR": str(host_dir)},
            start_new_session=True,
            preexec_fn=supervise.before_agent,
        )


if __name__ == "__main__":
    supervise._start_agent = _start_agent
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervise.main()
