"""Breached when too large a share of the last runs was slow. Pure: same history, same verdict."""

import json

from wit_world import exports
from wit_world.exports import description, rules
from wit_world.exports.rules import Finding, HistoryNeed, Verdict_Breached, Verdict_NoOpinion, Verdict_Ok
from wit_world.imports import history
from wit_world.imports.types import Entry, PluginInfo, Value_Integer
from version import VERSION

# JSON Schema of the settings: forms, faults and documentation follow from it.
SETTINGS_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["slowMs"],
    "properties": {
        "slowMs": {"type": "integer", "minimum": 1, "description": "A run that takes longer is slow, in milliseconds."},
        "share": {"type": "number", "minimum": 0, "maximum": 100, "default": 20, "description": "Largest share of slow runs, in percent."},
        "runs": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20, "description": "How many of the last runs to look at."},
        "window": {"type": "integer", "minimum": 1, "maximum": 86400, "default": 3600, "description": "How old a run may be, in seconds."},
    },
}


class Description(exports.Description):
    def describe(self) -> PluginInfo:
        return PluginInfo(
            name="plugin-name",
            version=VERSION,
            summary="Most answers came quickly enough",
            settings_schema=json.dumps(SETTINGS_SCHEMA),
            wants=[],
            rule=None,
            attributes=[],
        )

    def check_settings(self, proposed: description.ProposedSettings) -> None:
        """The schema finds all faults."""


class Rules(exports.Rules):
    def look_back(self, settings: str) -> HistoryNeed:
        """How much history the rule needs."""
        return HistoryNeed(look_back_ms=json.loads(settings).get("window", 3600) * 1000, attributes=[])

    def evaluate(self, ctx: rules.Context) -> rules.Verdict:
        settings = json.loads(ctx.settings)
        slow_ms, share = settings["slowMs"], settings.get("share", 20)
        samples = history.samples(settings.get("runs", 20), None)
        measured = [sample.latency_us for sample in samples if sample.latency_us is not None]
        if not measured:
            return Verdict_NoOpinion("no run was measured yet")
        slow = sum(latency > slow_ms * 1000 for latency in measured)
        found = 100 * slow / len(measured)
        finding = Finding(
            summary=f"{slow} of the last {len(measured)} runs took longer than {slow_ms} ms, "
            f"which is {found:.1f} %, wanted at most {share} %",
            value=found,
            wanted=share,
            details=[Entry("slow_runs", Value_Integer(slow))],
            attributes=[],
        )
        return Verdict_Breached(finding) if found > share else Verdict_Ok(finding)
