"""Entry of one call for one stack: ``python -m stacks.run --report FD`` with the request as JSON on standard input.

One process per stack: the SDK's settings are global, and programs of several stacks in one process failed three of
three. Answers are JSON lines on the given descriptor: progress and notes, then one result or one failure.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import msgspec

from stacks import checkpoint
from stacks.failures import StackFailure
from stacks.request import Layout, Report, Request


def main() -> int:
    """Carry out one request. Ends with 0 whenever it has answered, also with a failure."""
    parser = argparse.ArgumentParser(prog="stacks.run")
    parser.add_argument("--report", type=int, required=True)
    report = Report(parser.parse_args().report)
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    try:
        result = _carry_out(request, report)
    except StackFailure as failure:
        report.line("failure", code=failure.code, message=failure.message, hint=failure.hint)
    else:
        report.line("result", **result)
    return 0


def _carry_out(request: Request, report: Report) -> dict[str, object]:
    if request.operation == "outputs":
        state = checkpoint.read(Layout(Path(request.state_dir), request.stack))
        return {"outputs": state.outputs if state is not None else {}}
    # The SDK costs 0.4 s; reading exports needs none of it.
    from stacks import engine, operate

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: engine.stop_asked.append(received))
    stack = operate.Stack(request, report)
    return {"preview": stack.preview, "up": stack.up, "destroy": stack.destroy}[request.operation]()


if __name__ == "__main__":
    sys.exit(main())
