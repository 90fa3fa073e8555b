import json
import unittest
from unittest import mock

import plugin
from componentize_py_types import Err
from wit_world.exports import notifiers
from wit_world.exports.notifiers import NotificationStatus, NotifyError_Permanent, NotifyError_Retryable, Retry
from wit_world.imports import http, net, secrets
from wit_world.imports.secrets import Chunk_Secret, Chunk_Text

PHASES = net.Phases(None, None, None, None, None, 0, [])
SETTINGS = {"url": {"$secret": "/url"}, "prefix": "[extrack] "}


def notification(status=NotificationStatus.FIRING, summary="status is 503") -> notifiers.Notification:
    alert = notifiers.Alert("a1", "Down", "shop", "Shop", "critical", status, summary, 0, None, [], [], [])
    return notifiers.Notification("n1", status, "Down", [], "ops", "", [alert], 1, [])


def response(status: int, *headers: tuple[str, str]) -> http.Response:
    return http.Response(status, "HTTP/1.1", list(headers), b"", [], False, PHASES, "192.0.2.1:443", None, [])


class Notify(unittest.TestCase):
    def notify(self, answer) -> notifiers.Receipt:
        opened = mock.patch.object(secrets, "open", side_effect=lambda pointer: f"handle of {pointer}")
        with opened, mock.patch.object(http, "send", side_effect=[answer]) as self.send:
            return plugin.Notifiers().notify(notifiers.Context(json.dumps(SETTINGS), 5_000, []), notification())

    def error(self, answer):
        with self.assertRaises(Err) as caught:
            self.notify(answer)
        return caught.exception.value

    def test_posts_one_line_and_the_key_of_the_message(self):
        self.assertEqual(self.notify(response(204)).answer, "204")
        [request] = self.send.call_args.args
        self.assertEqual(request.url, [Chunk_Secret("handle of /url")])
        self.assertIn(("idempotency-key", [Chunk_Text("n1")]), request.headers)
        self.assertEqual(json.loads(request.body.value), {"text": "[extrack] FIRING Shop: Down (status is 503)"})

    def test_a_failure_that_may_pass_is_retryable(self):
        busy = self.error(response(429, ("retry-after", "7")))
        self.assertEqual(busy, NotifyError_Retryable(Retry("status is 429, wanted 2xx", 7_000, [])))
        self.assertIsInstance(self.error(response(503)), NotifyError_Retryable)
        self.assertEqual(self.error(response(404)), NotifyError_Permanent("status is 404, wanted 2xx"))
        self.assertIsInstance(self.error(Err(net.NetError_Timeout("timed out"))), NotifyError_Retryable)
        self.assertIsInstance(self.error(Err(net.NetError_Denied("no"))), NotifyError_Permanent)

    def test_a_resolved_message_begins_with_resolved(self):
        self.assertEqual(plugin.line("", notification(NotificationStatus.RESOLVED, "")), "RESOLVED Shop: Down")
