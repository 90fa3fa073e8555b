//! Usage and cost of calls.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Query, State};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::analytics::{
    Analytics, CostRow, Costs, CycleOfService, Group, GroupKey, Overhead, Question, UsageRow,
};
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::state::ApiState;
use crate::api_types::costs::{
    CallCostBody, CostRowBody, CostsBody, CycleBody, ForecastBody, GroupBody, OverheadBody,
    UsageBody, UsageRowBody,
};
use crate::api_types::scope::Scope::Read;
use crate::domain::{UnixMillis, now_ms};
use crate::store::CallSum;

/// Rows of one answer: more are no help to people, and programs ask by day.
const MAX_ANSWERED: usize = 10_000;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/usage", usage)
            .id("usageGet")
            .summary("Calls and units, added up"),
        Endpoint::get(Read, "/api/v1/costs", costs)
            .id("costsGet")
            .summary("What calls cost so far, and what will be owed")
            .description(
                "Without `from` and `to`, each service is in the present cycle of its price list; by \
                 service alone, its row then has what is owed and the forecast.",
            ),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CostQuery {
    /// Beginning, RFC 3339 with an offset, rounded down to a minute. Default: that of the present
    /// cycle of each service.
    from: Option<String>,
    /// First moment that does not count. Default: now.
    to: Option<String>,
    /// `service`, `consumer`, `route`, `tag` and `day`, several of them joined by commas. Default:
    /// `service`.
    by: Option<String>,
    /// Only the service with that slug.
    service: Option<String>,
}

impl CostQuery {
    /// Asks for one service, since a moment or in its present cycle.
    pub(crate) fn of_service(slug: &str, by: &str, from_ms: Option<UnixMillis>) -> Self {
        Self {
            from: from_ms.map(rfc3339),
            by: Some(by.to_owned()),
            service: Some(slug.to_owned()),
            ..Self::default()
        }
    }

    fn question(&self, now_ms: UnixMillis) -> Result<Question, ApiError> {
        let mut by = BTreeSet::new();
        for word in self.by.as_deref().unwrap_or("service").split(',') {
            let group = Group::parse(word.trim()).ok_or_else(|| {
                let known: Vec<&str> = Group::ALL.map(Group::as_str).to_vec();
                let detail = format!("`{word}` is none of `{}`", known.join("`, `"));
                ApiError::bad_parameter("by", detail)
            })?;
            by.insert(group);
        }
        let from = moment("from", self.from.as_deref())?;
        let until = moment("to", self.to.as_deref())?;
        let range = match (from, until) {
            (None, None) => None,
            (Some(from), until) => Some((from, until.unwrap_or(now_ms + MINUTE_MS))),
            (None, Some(_)) => {
                return Err(ApiError::bad_parameter("from", "is missing beside `to`"));
            }
        };
        if range.is_some_and(|(from, until)| from >= until) {
            return Err(ApiError::bad_parameter("to", "must be later than `from`"));
        }
        Ok(Question {
            range,
            by,
            service: self.service.clone(),
        })
    }
}

const MINUTE_MS: i64 = 60_000;

/// Reads a moment, rounded down to a minute.
pub(super) fn moment(
    name: &'static str,
    text: Option<&str>,
) -> Result<Option<UnixMillis>, ApiError> {
    let Some(text) = text else {
        return Ok(None);
    };
    let parsed = text.parse::<jiff::Timestamp>();
    let ms = parsed.map(jiff::Timestamp::as_millisecond).map_err(|_| {
        ApiError::bad_parameter(
            name,
            format!("`{text}` is not a moment; write e.g. `2026-11-01T00:00:00+01:00`, with `+` as `%2B`"),
        )
    })?;
    // The years that the store can compute with.
    if !(0..7_258_118_400_000).contains(&ms) {
        return Err(ApiError::bad_parameter(name, "must be from 1970 to 2199"));
    }
    Ok(Some(ms.div_euclid(MINUTE_MS) * MINUTE_MS))
}

pub(crate) async fn usage(
    State(state): State<ApiState>,
    Query(query): Query<CostQuery>,
) -> ApiResult<Json<UsageBody>> {
    let now_ms = now_ms();
    let question = query.question(now_ms)?;
    let catalog = state.deps.registry.catalog();
    let analytics = Analytics::new(state.deps.results.clone());
    let rows = analytics.usage(&catalog, &question, now_ms).await?;
    few_enough(rows.len())?;
    Ok(Json(UsageBody {
        from: question.range.map(|(from, _)| rfc3339(from)),
        to: question.range.map(|(_, to)| rfc3339(to)),
        rows: rows.into_iter().map(UsageRowBody::from).collect(),
    }))
}

pub(crate) async fn costs(
    State(state): State<ApiState>,
    Query(query): Query<CostQuery>,
) -> ApiResult<Json<CostsBody>> {
    let now_ms = now_ms();
    let question = query.question(now_ms)?;
    let catalog = state.deps.registry.catalog();
    let analytics = Analytics::new(state.deps.results.clone());
    let Costs { rows, overhead } = analytics.costs(&catalog, &question, now_ms).await?;
    few_enough(rows.len())?;
    let overhead = overhead.into_iter();
    Ok(Json(CostsBody {
        from: question.range.map(|(from, _)| rfc3339(from)),
        to: question.range.map(|(_, to)| rfc3339(to)),
        rows: rows.into_iter().map(CostRowBody::from).collect(),
        overhead: overhead
            .map(|(currency, overhead)| (currency, OverheadBody::from(overhead)))
            .collect(),
    }))
}

fn few_enough(rows: usize) -> Result<(), ApiError> {
    if rows <= MAX_ANSWERED {
        return Ok(());
    }
    let detail = format!(
        "would make {rows} rows, and {MAX_ANSWERED} is the most; ask for one `service`, a shorter time, or less in `by`"
    );
    Err(ApiError::bad_parameter("by", detail))
}

impl From<GroupKey> for GroupBody {
    fn from(key: GroupKey) -> Self {
        let day = |day: i64| rfc3339(day.saturating_mul(86_400_000));
        Self {
            service: key.service,
            consumer: key.consumer,
            route: key.route,
            tag: key.tag,
            day: key.day.map(|number| day(number).chars().take(10).collect()),
        }
    }
}

impl From<(GroupKey, UsageRow)> for UsageRowBody {
    fn from((key, row): (GroupKey, UsageRow)) -> Self {
        let units = row.units.into_iter();
        Self {
            group: key.into(),
            calls: row.calls,
            attempts: row.attempts,
            bytes_in: row.bytes_in,
            bytes_out: row.bytes_out,
            units: units.map(|(unit, amount)| (unit, text(amount))).collect(),
        }
    }
}

impl From<CostRow> for CostRowBody {
    fn from(row: CostRow) -> Self {
        let is_priced = row.currency.is_some();
        let (cycle, owed, forecast) = match row.cycle {
            None => (None, None, None),
            Some(cycle) => (
                Some(CycleBody::from(&cycle)),
                Some(cycle.owed),
                Some(cycle.forecast),
            ),
        };
        let (forecast, missing) = match forecast {
            None => (None, None),
            Some(Ok(forecast)) => (
                Some(ForecastBody {
                    likely: text(forecast.likely),
                    low: text(forecast.low),
                    high: text(forecast.high),
                    days: forecast.days,
                    by_weekday: forecast.by_weekday,
                }),
                None,
            ),
            Some(Err(reason)) => (None, Some(reason)),
        };
        Self {
            group: row.key.into(),
            currency: row.currency,
            calls: row.calls,
            metered: row.metered,
            used: is_priced.then(|| text(row.used.low)),
            used_at_most: is_priced.then(|| text(row.used.high)),
            owed: owed.map(|owed| text(owed.low)),
            owed_at_most: owed.map(|owed| text(owed.high)),
            cycle,
            forecast,
            forecast_missing: missing,
            overhead: is_priced.then(|| row.overhead.into()),
        }
    }
}

impl From<&CycleOfService> for CycleBody {
    fn from(cycle: &CycleOfService) -> Self {
        Self {
            name: cycle.span.label(),
            from: rfc3339(cycle.span.from_ms),
            to: rfc3339(cycle.span.until_ms),
            fees: text(cycle.fees),
            true_up: text(cycle.true_up),
        }
    }
}

impl From<Overhead> for OverheadBody {
    fn from(overhead: Overhead) -> Self {
        Self {
            retries: overhead.retries.0,
            retries_at_most: text(overhead.retries.1),
            failures: overhead.failed.into(),
            timeouts: overhead.timed_out.into(),
            cut: overhead.cut.into(),
            own_checks: overhead.checks.into(),
        }
    }
}

impl From<CallSum> for CallCostBody {
    fn from(sum: CallSum) -> Self {
        Self {
            calls: sum.calls,
            at_least: text(sum.cost.low),
            at_most: text(sum.cost.high),
        }
    }
}

/// Digits without zeros that mean nothing.
fn text(amount: Decimal) -> String {
    amount.normalize().to_string()
}
