"""What every provisioner promises: look first, make once, repair what is lost, remove all, tell what it does."""

from __future__ import annotations

import pytest

from failover.ports.provisioner import ResourceChange, StackProgress
from tests.contract.provisioner.conftest import World

pytestmark = pytest.mark.timeout(300)  # a dozen runs of the engine, on a machine that may be busy

DEADLINE_S = 120.0
HOST, ZONE = "Host alpha", "Zone alpha-zone"


def operations(changes: tuple[ResourceChange, ...]) -> dict[str, str]:
    return {change.resource: change.operation for change in changes}


def test_from_nothing_to_nothing(world: World) -> None:
    provisioner, request, told = world.provisioner, world.request(), list[StackProgress]()
    assert provisioner.outputs("alpha", deadline_s=DEADLINE_S) is None
    assert provisioner.destroy(request, progress=told.append, deadline_s=DEADLINE_S) == 0
    assert told == []

    first = provisioner.up(request, progress=told.append, deadline_s=DEADLINE_S)
    assert first.changed == 2
    assert [(line.resource, line.operation, line.phase) for line in told] == [
        (resource, "create", phase) for resource in (HOST, ZONE) for phase in ("started", "done")
    ]
    assert {line.site for line in told} == {"alpha"}
    assert provisioner.outputs("alpha", deadline_s=DEADLINE_S) == first.outputs
    assert (first.outputs.site, first.outputs.address) == ("alpha", request.site.address)

    told.clear()
    again = provisioner.up(request, progress=told.append, deadline_s=DEADLINE_S)
    assert (again.outputs, again.changed, told) == (first.outputs, 0, [])

    assert provisioner.destroy(request, progress=told.append, deadline_s=DEADLINE_S) == 2
    assert {(line.resource, line.operation) for line in told} == {(HOST, "delete"), (ZONE, "delete")}
    assert provisioner.outputs("alpha", deadline_s=DEADLINE_S) is None


def test_another_port_is_shown_as_another_host(world: World) -> None:
    world.provisioner.up(world.request(), progress=lambda _line: None, deadline_s=DEADLINE_S)
    moved = world.provisioner.preview(world.request(port=7444), deadline_s=DEADLINE_S)
    assert operations(moved.changes) == {HOST: "replace", ZONE: "replace"}
    assert all("agentPort" in change.fields for change in moved.changes)


def test_a_preview_says_what_up_will_do_and_does_nothing(world: World) -> None:
    provisioner, request, told = world.provisioner, world.request(), list[StackProgress]()
    preview = provisioner.preview(request, deadline_s=DEADLINE_S)
    assert operations(preview.changes) == {HOST: "create", ZONE: "create"}
    provisioner.up(request, progress=told.append, deadline_s=DEADLINE_S)

    world.lose_host()
    lost = provisioner.preview(request, deadline_s=DEADLINE_S)
    assert operations(lost.changes) == {HOST: "create", ZONE: "same"}
    assert provisioner.up(request, progress=told.append, deadline_s=DEADLINE_S).changed == 1
    assert provisioner.preview(request, deadline_s=DEADLINE_S).unchanged
