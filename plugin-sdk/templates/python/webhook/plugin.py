"""Takes in JSON that its sender has signed, and makes an event of it."""

# Frozen at the build like all modules; without it a refused socket fails with `unknown encoding: idna`.
import encodings.idna  # noqa: F401
import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import description, webhooks
from wit_world.exports.webhooks import Event, Reception, Reject_Malformed, Reject_Unauthenticated, Report
from wit_world.imports import secrets, signatures
from wit_world.imports.types import ErrorKind_Assertion, Failure, PluginInfo, Status
from version import VERSION

# JSON Schema of the settings. What is marked `x-secret` never comes here: `{"$secret": POINTER}` does, by which the host opens a handle.
SETTINGS_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["secret"],
    "properties": {
        "secret": {"type": "string", "minLength": 1, "x-secret": True, "description": "Shared with the sender."},
    },
}


class Description(exports.Description):
    def describe(self) -> PluginInfo:
        return PluginInfo(
            name="plugin-name",
            version=VERSION,
            summary="Takes in signed JSON",
            settings_schema=json.dumps(SETTINGS_SCHEMA),
            wants=[],
            rule=None,
            attributes=[],
        )

    def check_settings(self, proposed: description.ProposedSettings) -> None:
        """The schema finds all faults."""


class Webhooks(exports.Webhooks):
    def receive(self, ctx: webhooks.Context, request: webhooks.Request) -> Reception:
        secret = secrets.open(json.loads(ctx.settings)["secret"]["$secret"])
        # First of all: until this said yes, the delivery may be anybody's. The host holds the secret and compares.
        try:
            signatures.verify("standard-webhooks", secret, request.headers, request.body, None)
        except Err as error:
            raise Err(Reject_Unauthenticated(why(error.value)))
        try:
            body = json.loads(request.body)
            kind = body["type"]
        except ValueError:
            raise Err(Reject_Malformed("the body is not JSON"))
        except (KeyError, TypeError):
            raise Err(Reject_Malformed("there is no `type`"))
        event = Event(
            # What is sent again has the same id, and is kept once.
            id=dict(request.headers).get("webhook-id"),
            kind=str(kind),
            ts_ms=None,
            summary=f"{kind} of {ctx.service}",
            payload=json.dumps(body.get("data")),
            attributes=[],
            report=report(kind),
        )
        return Reception(events=[event], answer=None, attributes=[])


def why(error: signatures.SignatureError) -> str:
    if isinstance(error, signatures.SignatureError_Mismatch):
        return "another secret, or changed on its way"
    return error.value


def report(kind: str) -> Report | None:
    """Makes a status of what the service reports of its own health."""
    if kind == "outage.started":
        failure = Failure(ErrorKind_Assertion(), "the service reports that it is down", [])
        return Report(Status.UNHEALTHY, failure, [], [])
    if kind == "outage.ended":
        return Report(Status.HEALTHY, None, [], [])
    return None
