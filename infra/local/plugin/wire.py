"""The engine's protocol buffers without the rest of the SDK.

``import pulumi`` loads the automation API, tracing and asyncio: two thirds of the plug-in's start, paid in every
preview, up and destroy of every site. The packages above ``pulumi.runtime.proto`` are entered by name only.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def _enter(name: str, folder: Path) -> None:
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


def load() -> tuple[ModuleType, ModuleType, ModuleType]:
    """``plugin_pb2``, ``provider_pb2``, ``provider_pb2_grpc``; uses the whole SDK when it is loaded already."""
    if "pulumi" not in sys.modules:
        found = importlib.util.find_spec("pulumi")
        if found is None or not found.submodule_search_locations:
            raise ImportError("the Pulumi SDK is not installed for this interpreter; run script/bootstrap")
        root = Path(found.submodule_search_locations[0])
        _enter("pulumi", root)
        _enter("pulumi.runtime", root / "runtime")
    proto = [importlib.import_module(f"pulumi.runtime.proto.{name}") for name in _NAMES]
    return proto[0], proto[1], proto[2]


_NAMES = ("plugin_pb2", "provider_pb2", "provider_pb2_grpc")
