import json
import unittest
from unittest import mock

import plugin
from componentize_py_types import Err
from wit_world.exports import probes
from wit_world.exports.description import ProposedSettings
from wit_world.imports import http, net
from wit_world.imports.types import Entry, ErrorKind_Connect, Service, Status, Value_Text

PHASES = net.Phases(None, None, None, None, None, 0, [])


def context(attributes=(), **settings) -> probes.Context:
    service = Service("shop", "Shop", "https://shop.example/", list(attributes))
    return probes.Context(service, json.dumps(settings), 5_000, None, ["default"], [])


def response(status: int, body: bytes) -> http.Response:
    return http.Response(status, "HTTP/1.1", [], body, [], False, PHASES, "192.0.2.1:443", None, [])


class Check(unittest.TestCase):
    def check(self, answer, **settings) -> probes.Observation:
        with mock.patch.object(http, "send", side_effect=[answer]) as self.send:
            return plugin.Probes().check(context(**settings))

    def test_asks_the_health_endpoint_with_the_services_credential(self):
        found = self.check(response(200, b'{"status": "ok"}'))
        self.assertEqual((found.status, found.http_status, found.failure), (Status.HEALTHY, 200, None))
        [request] = self.send.call_args.args
        self.assertEqual((request.url[0].value, request.auth), ("https://shop.example/health", "default"))

    def test_names_the_value_found_beside_the_value_wanted(self):
        for status, body, message in [
            (503, b"{}", "status is 503, wanted 2xx"),
            (200, b"<html>", "the answer is not JSON"),
            (200, b"[]", '`status` is missing, wanted "ok"'),
            (200, b'{"status": "down"}', '`status` is "down", wanted "ok"'),
        ]:
            found = self.check(response(status, body))
            self.assertEqual((found.status, found.failure.message), (Status.UNHEALTHY, message))

    def test_settings_say_where_and_what(self):
        found = self.check(response(200, b'{"state": "up"}'), path="/v1/state", field="state", wanted="up")
        self.assertEqual(found.status, Status.HEALTHY)
        self.assertEqual(self.send.call_args.args[0].url[0].value, "https://shop.example/v1/state")

    def test_the_service_knows_its_health_endpoint(self):
        endpoint = Entry("health-endpoint", Value_Text("/up"))
        self.assertEqual(plugin.url(context(attributes=[endpoint]).service, {}), "https://shop.example/up")

    def test_no_answer_is_an_observation(self):
        found = self.check(Err(net.NetError_Connect("connection refused")))
        self.assertEqual((found.status, found.failure.kind), (Status.ERROR, ErrorKind_Connect()))

    def test_finds_faults_the_schema_can_not(self):
        with self.assertRaises(Err) as caught:
            plugin.Description().check_settings(ProposedSettings('{"field": " "}', None, []))
        self.assertEqual([fault.path for fault in caught.exception.value], ["/field"])
