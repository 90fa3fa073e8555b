import json
import unittest
from unittest import mock

import plugin
from wit_world.exports import rules
from wit_world.exports.rules import Verdict_Breached, Verdict_NoOpinion, Verdict_Ok
from wit_world.imports import history
from wit_world.imports.history import Sample
from wit_world.imports.types import Status


def sample(latency_ms: int | None) -> Sample:
    latency_us = None if latency_ms is None else latency_ms * 1000
    return Sample(0, "http", "local", Status.HEALTHY, latency_us, 200, None, [], None)


class Evaluate(unittest.TestCase):
    def evaluate(self, *latencies_ms: int | None, **settings) -> rules.Verdict:
        def samples(last: int, only):
            return [sample(latency) for latency in latencies_ms][-last:]

        with mock.patch.object(history, "samples", samples):
            return plugin.Rules().evaluate(rules.Context("shop", json.dumps(settings), 0, []))

    def test_is_breached_by_more_slow_runs_than_wanted(self):
        verdict = self.evaluate(50, 150, 50, 150, slowMs=100, share=25)
        self.assertIsInstance(verdict, Verdict_Breached)
        self.assertEqual(
            verdict.value.summary,
            "2 of the last 4 runs took longer than 100 ms, which is 50.0 %, wanted at most 25 %",
        )
        self.assertEqual((verdict.value.value, verdict.value.wanted), (50, 25))

    def test_looks_at_the_last_runs_alone_and_at_those_that_were_measured(self):
        self.assertIsInstance(self.evaluate(500, 500, 50, None, 50, slowMs=100, runs=3), Verdict_Ok)

    def test_has_no_opinion_before_anything_was_measured(self):
        self.assertEqual(self.evaluate(None, slowMs=100), Verdict_NoOpinion("no run was measured yet"))

    def test_asks_for_the_history_it_needs(self):
        self.assertEqual(plugin.Rules().look_back("{}").look_back_ms, 3_600_000)
        self.assertEqual(plugin.Rules().look_back('{"window": 60}').look_back_ms, 60_000)
