import json
import unittest
from unittest import mock

import plugin
from componentize_py_types import Err
from wit_world.exports import webhooks
from wit_world.exports.webhooks import Event, Reject_Malformed, Reject_Unauthenticated
from wit_world.imports import secrets, signatures
from wit_world.imports.types import Status

SECRET = {"$secret": "/secret"}


class Receive(unittest.TestCase):
    def receive(self, body: bytes, verified=None) -> Event:
        context = webhooks.Context("shop", json.dumps({"secret": SECRET}), 5_000, [])
        request = webhooks.Request("POST", "", "", [("webhook-id", "msg_1")], body, 0, [])
        opened = mock.patch.object(secrets, "open", side_effect=lambda pointer: f"handle of {pointer}")
        with opened, mock.patch.object(signatures, "verify", side_effect=[verified]) as self.verify:
            [event] = plugin.Webhooks().receive(context, request).events
        return event

    def error(self, body: bytes, verified=None):
        with self.assertRaises(Err) as caught:
            self.receive(body, verified)
        return caught.exception.value

    def test_a_signed_delivery_is_an_event(self):
        event = self.receive(b'{"type": "outage.started", "data": {"region": "eu"}}')
        self.assertEqual(self.verify.call_args.args[:2], ("standard-webhooks", "handle of /secret"))
        self.assertEqual((event.id, event.kind, event.payload), ("msg_1", "outage.started", '{"region": "eu"}'))
        self.assertEqual(event.report.status, Status.UNHEALTHY)
        self.assertIsNone(self.receive(b'{"type": "other"}').report)

    def test_a_stranger_is_turned_away_before_anything_is_read(self):
        error = self.error(b"not JSON", Err(signatures.SignatureError_Mismatch()))
        self.assertIsInstance(error, Reject_Unauthenticated)

    def test_what_is_signed_and_not_understood_is_malformed(self):
        self.assertEqual(self.error(b"not JSON"), Reject_Malformed("the body is not JSON"))
        self.assertEqual(self.error(b"[]"), Reject_Malformed("there is no `type`"))
