"""Asks a health endpoint and holds one field of its JSON answer against what it should be."""

# Frozen at the build like all modules; without it a refused socket fails with `unknown encoding: idna`.
import encodings.idna  # noqa: F401
import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import description, probes
from wit_world.exports.probes import Observation
from wit_world.imports import http, net, types
from wit_world.imports.secrets import Chunk_Text
from wit_world.imports.types import ErrorKind, Failure, Fault, PluginInfo, Status
from version import VERSION

# JSON Schema of the settings: forms, faults and documentation follow from it.
SETTINGS_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "path": {"type": "string", "pattern": "^/", "description": "Path to ask for; by default the service's health endpoint, or /health."},
        "field": {"type": "string", "minLength": 1, "default": "status", "description": "Field of the answer to look at."},
        "wanted": {"type": "string", "default": "ok", "description": "Value of the field when all is well."},
    },
}

# No answer is data too.
KINDS = {
    net.NetError_Dns: types.ErrorKind_Dns(),
    net.NetError_Connect: types.ErrorKind_Connect(),
    net.NetError_Tls: types.ErrorKind_Tls(),
    net.NetError_Timeout: types.ErrorKind_Timeout(),
    net.NetError_Denied: types.ErrorKind_Denied(),
}


def failure(kind: ErrorKind, message: str) -> Failure:
    return Failure(kind=kind, message=message, attributes=[])


class Description(exports.Description):
    def describe(self) -> PluginInfo:
        return PluginInfo(
            name="plugin-name",
            version=VERSION,
            summary="Checks a JSON health endpoint",
            settings_schema=json.dumps(SETTINGS_SCHEMA),
            wants=[],
            rule=None,
            attributes=[],
        )

    def check_settings(self, proposed: description.ProposedSettings) -> None:
        """Checks what a schema can't express; the path of a fault is a JSON Pointer into the settings."""
        if not json.loads(proposed.settings).get("field", "status").strip():
            raise Err([Fault(path="/field", message="is blank", attributes=[])])


class Probes(exports.Probes):
    def check(self, ctx: probes.Context) -> Observation:
        settings = json.loads(ctx.settings)
        request = http.Request(
            method="GET",
            url=[Chunk_Text(url(ctx.service, settings))],
            headers=[("accept", [Chunk_Text("application/json")])],
            body=None,
            timeout_ms=None,
            # The host adds the credential; the plugin never sees it.
            auth="default" if "default" in ctx.credentials else None,
            basic_auth=None,
            signature=None,
            options=[],
        )
        try:
            response = http.send(request)
        except Err as error:
            return observation(Status.ERROR, failure=failure(KINDS.get(type(error.value), types.ErrorKind_Protocol()), error.value.value))
        return judge(response.status, response.body, settings)


def url(service: types.Service, settings: dict) -> str:
    attributes = {entry.key: entry.value.value for entry in service.attributes}
    path = settings.get("path") or attributes.get("health-endpoint") or "/health"
    return service.base_url.rstrip("/") + path


def judge(status: int, body: bytes, settings: dict) -> Observation:
    """Names the value found beside the value wanted."""

    def unhealthy(message: str) -> Observation:
        return observation(Status.UNHEALTHY, http_status=status, failure=failure(types.ErrorKind_Assertion(), message))

    field, wanted = settings.get("field", "status"), settings.get("wanted", "ok")
    if not 200 <= status <= 299:
        return unhealthy(f"status is {status}, wanted 2xx")
    try:
        answer = json.loads(body)
    except ValueError:
        return unhealthy("the answer is not JSON")
    if not isinstance(answer, dict) or field not in answer:
        return unhealthy(f"`{field}` is missing, wanted {json.dumps(wanted)}")
    if answer[field] != wanted:
        return unhealthy(f"`{field}` is {json.dumps(answer[field])}, wanted {json.dumps(wanted)}")
    return observation(Status.HEALTHY, http_status=status)


def observation(status: Status, http_status: int | None = None, failure: Failure | None = None) -> Observation:
    # Without a latency the host takes the time of the network calls. A metric: Entry("items", Value_Integer(3)) of `types`.
    return Observation(status=status, failure=failure, latency_us=None, http_status=http_status, metrics=[], attributes=[])
