"""Imports fall only downward. The layers are written here once more, on purpose: a change of them is a decision."""

from __future__ import annotations

from pathlib import Path

from tests.house.tree import Import, imports, module_name, python_files, within

LAYERS = (  # a module imports its own package and packages of lower lines, never a neighbour on its line
    ("errors", "kernel"),
    ("model",),
    ("planner", "config", "render", "trust", "ports"),
    ("data", "load"),
    ("engine", "agent"),
    ("operations",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
ADAPTERS_MAY = ("adapters", "ports", "model", "errors", "kernel")
WIRING = (Path("failover/cli/wiring.py"), Path("failover/agent/main.py"))
BOOT_VALUES = ("failover.model.bootstrap", "failover.model.outputs")
CLOUD_SDKS = ("boto3", "botocore", "google", "googleapiclient", "hcloud", "obstore", "pulumi")


def package(module: str) -> str:
    """The layer of a failover module: ``failover.model.units`` → ``model``; the root package itself → ``""``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def layer_of(found: Import) -> set[str]:
    """The layers an import reaches; ``from failover import model`` reaches ``model``."""
    return {package(target) for target in found.targets() if within(target, "failover")} - {""}


def fault(found: Import) -> str | None:
    """Why an import of a file in failover/ breaks the order, or None."""
    own = package(module_name(found.path))
    targets = layer_of(found) if found.module == "failover" else {package(found.module)}
    for target in targets & (RANK.keys() | {"adapters"}):
        if target == own:
            continue
        if own == "adapters":
            if target not in ADAPTERS_MAY:
                return f"{found}: adapters know only {', '.join(ADAPTERS_MAY)}"
        elif target == "adapters":
            if found.path not in WIRING:
                return f"{found}: adapters are wired only in {' and '.join(map(str, WIRING))}"
        elif RANK[target] >= RANK[own]:
            return f"{found}: {own} is not above {target}"
    if unknown := targets - RANK.keys() - {"adapters"}:
        return f"{found}: {', '.join(sorted(unknown))} is no layer"
    return None


def of(*tops: str) -> list[Import]:
    return [found for path in python_files(*tops) for found in imports(path)]


def show(faults: list[str]) -> str:
    return "\n" + "\n".join(faults)


def test_every_module_lies_in_a_known_layer() -> None:
    layers = {package(module_name(path)) for path in python_files("failover")} - {""}
    assert layers <= RANK.keys() | {"adapters"}


def test_imports_in_failover_fall_downward() -> None:
    inner = [found for found in of("failover") if within(found.module, "failover") and package(module_name(found.path))]
    faults = [text for found in inner if (text := fault(found))]
    assert inner
    assert not faults, show(faults)


def test_the_root_package_imports_nothing_of_its_own() -> None:
    assert not imports(Path("failover/__init__.py"))


def test_failover_never_imports_the_engine_or_the_stacks() -> None:
    faults = [
        str(found)
        for found in of("failover")
        if within(found.module, "infra", "stacks", "tests") or found.module.split(".")[0].startswith("pulumi")
    ]
    assert not faults, show(faults)


def test_no_cloud_sdk_above_adapters() -> None:
    faults = [
        str(found)
        for found in of("failover")
        if package(module_name(found.path)) != "adapters" and within(found.module, *CLOUD_SDKS)
    ]
    assert not faults, show(faults)


def test_infra_takes_only_boot_values_from_failover() -> None:
    faults = [
        str(found)
        for found in of("infra", "stacks")
        if within(found.module, "failover")
        and not all(within(target, *BOOT_VALUES) for target in (found.targets()[1:] or [found.module]))
    ]
    faults += [str(found) for found in of("infra") if within(found.module, "stacks")]
    faults += [str(found) for found in of("infra", "stacks") if within(found.module, "tests")]
    assert not faults, show(faults)


def test_the_app_knows_nothing_of_failover() -> None:
    app = [found for found in of("infra") if found.path.parts[:2] == ("infra", "app")]
    faults = [
        str(found)
        for found in app
        if within(found.module, "failover", "stacks")
        or any(within(target, "infra") and not within(target, "infra.app") for target in found.targets()[-1:])
    ]
    assert app
    assert not faults, show(faults)


def test_an_upward_import_is_caught() -> None:
    up = Import(path=Path("failover/model/units.py"), line=1, module="failover.engine.journal")
    side = Import(path=Path("failover/engine/executor.py"), line=1, module="failover.agent.main")
    wired = Import(path=Path("failover/operations/inspect.py"), line=1, module="failover.adapters.agent_client")
    hidden = Import(path=Path("failover/planner/deploy.py"), line=1, module="failover", names=("operations",))
    down = Import(path=Path("failover/cli/wiring.py"), line=1, module="failover.adapters.agent_client")
    assert all(fault(found) for found in (up, side, wired, hidden))
    assert fault(down) is None
