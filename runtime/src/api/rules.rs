//! The rules in force and how they stand, and the escalations they may name.

use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::{Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ApiResult;
use super::moment::rfc3339;
use super::page::{self, Page, PageQuery};
use super::state::ApiState;
use crate::alerts::RuleStanding;
use crate::domain::duration::format_duration;
use crate::domain::{AlertRule, Catalog, EscalationPolicy, NoData, Severity, Verdict};

/// One rule for one service, and what it said last.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleBody {
    /// `SERVICE/NAME`
    key: String,
    name: String,
    /// Slug.
    service: String,
    plugin: String,
    severity: Severity,
    /// How long a breach lasts before the alert fires.
    duration: String,
    keep_firing_for: String,
    failures: FailuresBody,
    no_data: NoData,
    /// Name of its escalation.
    escalation: Option<String>,
    standing: StandingBody,
}

/// So many of the last judgements have to be breaches.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FailuresBody {
    count: u32,
    of: u32,
}

#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum VerdictWord {
    Ok,
    Breached,
    NoOpinion,
    /// It could not be evaluated.
    Failed,
}

/// Since the program started.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StandingBody {
    /// Null before the first evaluation.
    verdict: Option<VerdictWord>,
    /// The rule's own words, or the error.
    text: String,
    evaluated_at: Option<String>,
    /// Since when there is no verdict, once that is long; null while there are some.
    no_data_since: Option<String>,
    flapping: bool,
    /// A person resolved its alert, and it has not been satisfied since.
    held: bool,
    /// Breaches count for nothing until the retries of the probe are over.
    retrying: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Only rules for the service with that slug.
    service: Option<String>,
    /// Only rules that have said nothing for long.
    #[serde(default, rename = "noData")]
    no_data: bool,
}

/// By key; the cursor is the last key shown.
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<RuleQuery>,
) -> ApiResult<Json<Page<RuleBody>>> {
    let limit = page::limit(query.limit)?;
    let after = page::key_cursor(query.cursor.as_deref(), |key| {
        key.contains('/') && !key.contains(char::is_control)
    })?;
    let catalog = state.parts.services.catalog();
    let standings = state.parts.actions.signals().standings();
    let mut rules: Vec<&AlertRule> = rules(&catalog, query.service.as_deref()).collect();
    rules.sort_by(|left, right| left.key.cmp(&right.key));
    let rows: Vec<RuleBody> = rules
        .into_iter()
        .filter(|rule| after.is_none_or(|after| rule.key.as_str() > after))
        .map(|rule| (rule, standings.get(&rule.key)))
        .filter(|(_, standing)| !query.no_data || standing.no_data_since_ms.is_some())
        .take(limit as usize + 1)
        .map(|(rule, standing)| body(rule, standing))
        .collect();
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row: &RuleBody| row.key.clone(),
        |row| row,
    )))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("ruleList")
        .tag("rules")
        .summary("Rules in force and how they stand, by key")
}

fn rules<'a>(
    catalog: &'a Catalog,
    service: Option<&'a str>,
) -> impl Iterator<Item = &'a AlertRule> {
    let of_service = catalog
        .rules
        .iter()
        .filter(move |(slug, _)| service.is_none_or(|service| service == **slug));
    of_service.flat_map(|(_, rules)| rules).map(AsRef::as_ref)
}

fn body(rule: &AlertRule, standing: RuleStanding) -> RuleBody {
    RuleBody {
        key: rule.key.clone(),
        name: rule.name.clone(),
        service: rule.service.clone(),
        plugin: rule.plugin.clone(),
        severity: rule.severity,
        duration: format_duration(rule.duration),
        keep_firing_for: format_duration(rule.life.keep_firing_for),
        failures: FailuresBody {
            count: rule.life.failures.count,
            of: rule.life.failures.of,
        },
        no_data: rule.life.no_data,
        escalation: rule.escalation.clone(),
        standing: standing_body(standing),
    }
}

fn standing_body(standing: RuleStanding) -> StandingBody {
    let (verdict, text) = match (standing.error, standing.verdict) {
        (Some(error), _) => (Some(VerdictWord::Failed), error),
        (None, Some(Verdict::Ok(finding))) => (Some(VerdictWord::Ok), finding.summary),
        (None, Some(Verdict::Breached(finding))) => (Some(VerdictWord::Breached), finding.summary),
        (None, Some(Verdict::NoOpinion(reason))) => (Some(VerdictWord::NoOpinion), reason),
        (None, None) => (None, String::new()),
    };
    StandingBody {
        verdict,
        text,
        evaluated_at: standing.evaluated_ms.map(rfc3339),
        no_data_since: standing.no_data_since_ms.map(rfc3339),
        flapping: standing.is_flapping,
        held: standing.is_held,
        retrying: standing.is_retrying,
    }
}

/// Who is told when nobody comes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EscalationBody {
    name: String,
    steps: Vec<EscalationStepBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EscalationStepBody {
    /// After the step before, for the first one after the alert fired.
    wait: String,
    /// Names of channels.
    notify: Vec<String>,
    repeat: Option<RepeatBody>,
    /// Null: at any time.
    hours: Option<HoursBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RepeatBody {
    every: String,
    /// Null: until somebody comes.
    times: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HoursBody {
    /// Monday is 0; empty: every day.
    weekdays: Vec<u8>,
    /// Minutes since midnight.
    from: u32,
    to: u32,
    timezone: String,
}

pub(super) async fn escalations(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<EscalationBody>>> {
    let catalog = state.parts.services.catalog();
    let mut items: Vec<EscalationBody> = catalog
        .escalations
        .values()
        .map(|policy| escalation_body(&catalog, policy))
        .collect();
    items.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(Json(Page::of_sorted(items, &query, |item| {
        item.name.clone()
    })?))
}

pub(super) fn escalations_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("escalationList")
        .tag("rules")
        .summary("Escalations, by name")
}

fn escalation_body(catalog: &Catalog, policy: &EscalationPolicy) -> EscalationBody {
    let steps = policy.steps.iter().map(|step| EscalationStepBody {
        wait: format_duration(step.wait),
        notify: step
            .channels
            .iter()
            .map(|id| {
                catalog
                    .channels
                    .get(id)
                    .map_or_else(|| id.0.clone(), |channel| channel.name.clone())
            })
            .collect(),
        repeat: step.repeat.map(|repeat| RepeatBody {
            every: format_duration(repeat.every),
            times: repeat.times,
        }),
        hours: step.hours.as_ref().map(|hours| HoursBody {
            weekdays: hours.weekdays.clone(),
            from: hours.from,
            to: hours.to,
            timezone: hours.zone.name().to_owned(),
        }),
    });
    EscalationBody {
        name: policy.name.clone(),
        steps: steps.collect(),
    }
}
