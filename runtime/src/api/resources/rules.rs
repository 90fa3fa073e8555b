//! The rules in force and how they stand, and the escalations they may name.

use axum::Json;
use axum::extract::{Query, State};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::alerts::RuleStatus;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::ApiResult;
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page, PageQuery};
use crate::api::http::state::ApiState;
use crate::api_types::rules::{
    EscalationBody, EscalationStepBody, FailuresBody, HoursBody, RepeatBody, RuleBody,
    StandingBody, VerdictWord,
};
use crate::api_types::scope::Scope::Read;
use crate::domain::duration::format_duration;
use crate::domain::{AlertRule, Catalog, EscalationPolicy, Verdict};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/rules", list)
            .id("ruleList")
            .summary("Rules in force with their status, by key"),
        Endpoint::get(Read, "/api/v1/escalations", escalations)
            .id("escalationList")
            .summary("Escalations, by name"),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = "^[^/]*/.*$"))]
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

/// Lists rules by key; the cursor is the last key shown.
async fn list(
    State(state): State<ApiState>,
    Query(query): Query<RuleQuery>,
) -> ApiResult<Json<Page<RuleBody>>> {
    let limit = page::limit(query.limit)?;
    let after = page::key_cursor(query.cursor.as_deref(), |key| {
        key.contains('/') && !key.contains(char::is_control)
    })?;
    let catalog = state.deps.registry.catalog();
    let standings = state.deps.actions.signals().rule_statuses();
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

fn body(rule: &AlertRule, standing: RuleStatus) -> RuleBody {
    RuleBody {
        key: rule.key.clone(),
        name: rule.name.clone(),
        service: rule.service.clone(),
        plugin: rule.plugin.clone(),
        severity: rule.severity,
        duration: format_duration(rule.duration),
        keep_firing_for: format_duration(rule.options.keep_firing_for),
        failures: FailuresBody {
            count: rule.options.failures.count,
            of: rule.options.failures.of,
        },
        no_data: rule.options.no_data,
        escalation: rule.escalation.clone(),
        standing: standing_body(standing),
    }
}

fn standing_body(standing: RuleStatus) -> StandingBody {
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

async fn escalations(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<EscalationBody>>> {
    let catalog = state.deps.registry.catalog();
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
