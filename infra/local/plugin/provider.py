"""The engine's protocol for Host, Zone and Bucket. A raw servicer, because the SDK's own provider class cannot tell a
refreshed difference from a declared one (no old inputs in Diff).

Never here: logging of a request. CheckConfig, Configure and inputs carry secrets in the clear.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from google.protobuf import json_format, struct_pb2
from google.protobuf.empty_pb2 import Empty

from infra.local.plugin import account, host, wire, zone
from infra.names import BUCKET_TYPE, HOST_TYPE, ZONE_TYPE

if TYPE_CHECKING:
    from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc
else:
    plugin_pb2, provider_pb2, provider_pb2_grpc = wire.load()

T = TypeVar("T")
Properties = dict[str, Any]

_HOST_INPUTS = {
    "fleet": "fleet",
    "site": "site",
    "provider": "provider",
    "address": "address",
    "agentPort": "agent_port",
    "hostDir": "host_dir",
    "agentVersion": "agent_version",
    "agentDigest": "agent_digest",
    "fleetCaPem": "fleet_ca_pem",
    "token": "token",
}
_BUCKET_KEYS = frozenset({"accessKey", "secretKey"})
INPUTS: Mapping[str, frozenset[str]] = {
    HOST_TYPE: frozenset(_HOST_INPUTS),
    ZONE_TYPE: frozenset({"zone", "site", "address", "agentPort", "hostDir"}),
    BUCKET_TYPE: frozenset({"site", "hostDir", "bucket", "kind", "endpoint", "region", *_BUCKET_KEYS}),
}


def _plain(message: struct_pb2.Struct) -> Properties:
    values: Properties = json_format.MessageToDict(message)
    return {key: value for key, value in values.items() if not key.startswith("__")}


def _struct(values: Properties) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(values)
    return message


def _bootstrap(inputs: Properties) -> dict[str, object]:
    wire = {ours: inputs[theirs] for theirs, ours in _HOST_INPUTS.items()}
    return {**wire, "agent_port": int(inputs["agentPort"])}


def _create_host(inputs: Properties) -> str:
    return host.create(_bootstrap(inputs))


def _create_zone(inputs: Properties) -> str:
    return zone.create(Path(inputs["hostDir"]), zone=inputs["zone"], site=inputs["site"], address=inputs["address"])


def _buckets() -> ModuleType:
    # Not at the top: a fleet without stores would pay for boto3 in every run of the engine.
    return importlib.import_module("infra.local.plugin.bucket")


def _delete_host(inputs: Properties) -> None:
    host.remove(Path(inputs["hostDir"]), fleet=inputs["fleet"], site=inputs["site"])


CREATE: Mapping[str, Callable[[Properties], str]] = {
    HOST_TYPE: _create_host,
    ZONE_TYPE: _create_zone,
    BUCKET_TYPE: lambda inputs: str(_buckets().create(inputs)),
}
ALIVE: Mapping[str, Callable[[Properties], bool]] = {
    HOST_TYPE: lambda inputs: host.alive(Path(inputs["hostDir"])),
    ZONE_TYPE: lambda inputs: zone.exists(Path(inputs["hostDir"]), inputs["zone"]),
    BUCKET_TYPE: lambda inputs: bool(_buckets().exists(inputs)),
}
DELETE: Mapping[str, Callable[[Properties], None]] = {
    HOST_TYPE: _delete_host,
    ZONE_TYPE: lambda inputs: zone.remove(Path(inputs["hostDir"]), inputs["zone"]),
    BUCKET_TYPE: lambda inputs: _buckets().remove(inputs),
}


def _type_of(urn: str) -> str:
    return urn.split("::")[2].rsplit("$", 1)[-1]


class LocalProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Every input is its resource's identity: a difference is a replacement. Only a bucket's key may change."""

    def GetPluginInfo(self, request: Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        # The engine warns about a plug-in that is older than what the stack's program was built with.
        return plugin_pb2.PluginInfo(version="99.0.0")

    def CheckConfig(
        self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext
    ) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(
        self, request: provider_pb2.ConfigureRequest, context: grpc.ServicerContext
    ) -> provider_pb2.ConfigureResponse:
        # acceptSecrets stays false: the engine unwraps secrets for us and marks their echo in the outputs again.
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Check(self, request: provider_pb2.CheckRequest, context: grpc.ServicerContext) -> provider_pb2.CheckResponse:
        news, known = _plain(request.news), INPUTS[_type_of(request.urn)]
        failures = [
            provider_pb2.CheckFailure(property=key, reason="unknown property" if key in news else "missing property")
            for key in sorted(set(news) ^ known)
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: provider_pb2.DiffRequest, context: grpc.ServicerContext) -> provider_pb2.DiffResponse:
        news, olds = _plain(request.news), _plain(request.old_inputs)
        ignored = set(request.ignoreChanges)
        differs = sorted(key for key in set(news) | set(olds) if key not in ignored and news.get(key) != olds.get(key))
        replaces = [key for key in differs if not (_type_of(request.urn) == BUCKET_TYPE and key in _BUCKET_KEYS)]
        kinds = provider_pb2.PropertyDiff
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if differs else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=replaces,
            diffs=differs,
            deleteBeforeReplace=True,
            hasDetailedDiff=True,
            detailedDiff={
                key: kinds(kind=kinds.UPDATE_REPLACE if key in replaces else kinds.UPDATE, inputDiff=True)
                for key in differs
            },
        )

    def Create(self, request: provider_pb2.CreateRequest, context: grpc.ServicerContext) -> provider_pb2.CreateResponse:
        inputs = _plain(request.properties)
        made = "" if request.preview else self._carry_out(context, "create", request.urn, CREATE, inputs)
        return provider_pb2.CreateResponse(id=made, properties=request.properties)

    def Update(self, request: provider_pb2.UpdateRequest, context: grpc.ServicerContext) -> provider_pb2.UpdateResponse:
        if not request.preview:
            # With the new key it is looked for, and so the key is tried.
            self._carry_out(context, "update", request.urn, CREATE, _plain(request.news))
        return provider_pb2.UpdateResponse(properties=request.news)

    def Read(self, request: provider_pb2.ReadRequest, context: grpc.ServicerContext) -> provider_pb2.ReadResponse:
        state = _plain(request.inputs) or _plain(request.properties)
        if not state or not self._carry_out(context, "read", request.urn, ALIVE, state):
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(id=request.id, properties=_struct(state), inputs=_struct(state))

    def Delete(self, request: provider_pb2.DeleteRequest, context: grpc.ServicerContext) -> Empty:
        self._carry_out(context, "delete", request.urn, DELETE, _plain(request.properties))
        return Empty()

    def Cancel(self, request: Empty, context: grpc.ServicerContext) -> Empty:
        return Empty()

    @staticmethod
    def _carry_out(
        context: grpc.ServicerContext,
        call: str,
        urn: str,
        acts: Mapping[str, Callable[[Properties], T]],
        inputs: Properties,
    ) -> T:
        kind = _type_of(urn)
        try:
            account.require_open(Path(inputs["hostDir"]), f"{call} {kind}")
            return acts[kind](inputs)
        except (host.HostProblem, account.Suspended) as problem:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(problem))
            raise
        except OSError as problem:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"{problem.strerror}: {problem.filename}")
            raise
