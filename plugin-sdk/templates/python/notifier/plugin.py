"""Posts one line of JSON about a group of alerts."""

# Frozen at the build like all modules; without it a refused socket fails with `unknown encoding: idna`.
import encodings.idna  # noqa: F401
import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import description, notifiers
from wit_world.exports.notifiers import NotificationStatus, NotifyError_Permanent, NotifyError_Retryable, Receipt, Retry
from wit_world.imports import http, net, secrets
from wit_world.imports.http import Body_Bytes
from wit_world.imports.secrets import Chunk_Secret, Chunk_Text
from wit_world.imports.types import PluginInfo
from version import VERSION

# JSON Schema of the settings. What is marked `x-secret` never comes here: `{"$secret": POINTER}` does, by which the host opens a handle.
SETTINGS_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["url"],
    "properties": {
        "url": {"type": "string", "format": "uri", "x-secret": True, "description": "Where to post."},
        "prefix": {"type": "string", "default": "", "description": "Stands before the line."},
    },
}


class Description(exports.Description):
    def describe(self) -> PluginInfo:
        return PluginInfo(
            name="plugin-name",
            version=VERSION,
            summary="Posts one line of JSON",
            settings_schema=json.dumps(SETTINGS_SCHEMA),
            wants=[],
            rule=None,
            attributes=[],
        )

    def check_settings(self, proposed: description.ProposedSettings) -> None:
        """The schema finds all faults."""


class Notifiers(exports.Notifiers):
    def notify(self, ctx: notifiers.Context, notification: notifiers.Notification) -> Receipt:
        settings = json.loads(ctx.settings)
        text = line(settings.get("prefix", ""), notification)
        request = http.Request(
            method="POST",
            # The host writes the secret; the plugin never sees it.
            url=[Chunk_Secret(secrets.open(settings["url"]["$secret"]))],
            # The same for each attempt at this message: the other side can tell a repetition.
            headers=[
                ("content-type", [Chunk_Text("application/json")]),
                ("idempotency-key", [Chunk_Text(notification.id)]),
            ],
            body=Body_Bytes(json.dumps({"text": text}).encode()),
            timeout_ms=None,
            auth=None,
            basic_auth=None,
            signature=None,
            options=[],
        )
        try:
            response = http.send(request)
        except Err as error:
            if isinstance(error.value, net.NetError_Denied):
                raise Err(NotifyError_Permanent(error.value.value))
            raise Err(NotifyError_Retryable(Retry(error.value.value, None, [])))
        if 200 <= response.status <= 299:
            answer = response.body.decode(errors="replace")[:200]
            return Receipt(reference=None, answer=f"{response.status} {answer}".strip(), attributes=[])
        message = f"status is {response.status}, wanted 2xx"
        if response.status == 429 or response.status >= 500:
            raise Err(NotifyError_Retryable(Retry(message, retry_after_ms(response), [])))
        raise Err(NotifyError_Permanent(message))


def line(prefix: str, notification: notifiers.Notification) -> str:
    word = "FIRING" if notification.status == NotificationStatus.FIRING else "RESOLVED"
    each = [f"{alert.service_name}: {alert.name}" + (f" ({alert.summary})" if alert.summary else "") for alert in notification.alerts]
    return f"{prefix}{word} {'; '.join(each)}"


def retry_after_ms(response: http.Response) -> int | None:
    value = dict(response.headers).get("retry-after", "")
    return int(value) * 1000 if value.isdigit() else None
