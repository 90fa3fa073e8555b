//! `GET /api/v1/analytics/slo`

use axum::Json;
use axum::extract::{Query, State};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{is_slug, known, limit, minutes};
use crate::api::http::error::ApiResult;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::analytics::{MonthBody, SloBody};
use crate::store::{MonthRow, SloRow};

const MOST: u32 = 100;

/// Months of each service, this one among them.
const MONTHS: u32 = 13;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SloQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = r"^[a-z0-9-]+$"))]
    pub(crate) cursor: Option<String>,
    /// 1 to 1000, of which 100 are answered at most.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) limit: Option<u32>,
    /// Only the service with that slug.
    pub(crate) service: Option<String>,
}

pub(crate) async fn slo(
    State(state): State<ApiState>,
    Query(query): Query<SloQuery>,
) -> ApiResult<Json<Page<SloBody>>> {
    let limit = limit(query.limit, MOST)?;
    let after = page::key_cursor(query.cursor.as_deref(), is_slug)?;
    if let Some(slug) = &query.service {
        known(&state, "service", slug)?;
    }
    let results = &state.deps.results;
    let rows = results
        .slo_page(query.service, after.map(str::to_owned), limit as usize + 1)
        .await?;
    let months = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => {
            let slugs = (first.service.clone(), last.service.clone());
            results.month_list(slugs, MONTHS).await?
        }
        _ => Vec::new(),
    };
    Ok(Json(Page::from_rows(
        rows,
        limit,
        |row| row.service.clone(),
        |row| body(row, &months),
    )))
}

fn body(row: SloRow, months: &[MonthRow]) -> SloBody {
    let of_service = months.iter().filter(|month| month.service == row.service);
    SloBody {
        months: of_service.map(month_body).collect(),
        service: row.service,
        target: row.target,
        days: row.days,
        availability: row.availability,
        coverage: row.coverage,
        met: row.is_met,
        budget_minutes: minutes(row.budget_s),
        used_minutes: minutes(row.used_s),
        left_minutes: minutes(row.left_s),
        left_percent: row.left_percent,
        burn_rate_1h: row.burn_rate_1h,
        burn_rate_6h: row.burn_rate_6h,
        burn_rate_1d: row.burn_rate_1d,
    }
}

fn month_body(row: &MonthRow) -> MonthBody {
    MonthBody {
        month: row.month.clone(),
        availability: row.availability,
        coverage: row.coverage,
        bad_minutes: minutes(row.bad_s),
        frozen: row.is_frozen,
        revision: row.revision,
        reason: row.reason.clone(),
    }
}
