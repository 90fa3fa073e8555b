//! `GET /api/v1/analytics/honesty`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Frame, MAX_DAYS, is_slug, limit, minutes, pack, page_of};
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::page;
use crate::api::http::state::ApiState;
use crate::api_types::analytics::{AnalyticsBody, HonestyBody};
use crate::domain::Service;
use crate::store::HonestyRow;

const MOST: u32 = 100;

/// Probe that reads the status page of a vendor.
const STATUS_PAGE: &str = "status-page";

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HonestyQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = r"^[a-z0-9-]+$"))]
    pub(crate) cursor: Option<String>,
    /// 1 to 1000, of which 100 are answered at most.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) limit: Option<u32>,
    /// Beginning, RFC 3339 with an offset. Default: 30 days before `to`.
    pub(crate) from: Option<String>,
    /// First moment that does not count. Default: now.
    pub(crate) to: Option<String>,
    /// Slug of a service: its evidence for a credit in `month`.
    pub(crate) pack: Option<String>,
    /// Month of UTC of `pack`, as `2026-11`.
    pub(crate) month: Option<String>,
    /// Form of `pack`: `json`, or `csv` for its runs. Default: `json`.
    pub(crate) format: Option<String>,
}

/// Answers with the services, or with the evidence of one.
pub(crate) async fn honesty_of(
    State(state): State<ApiState>,
    Query(query): Query<HonestyQuery>,
) -> ApiResult<Response> {
    match (&query.pack, &query.month) {
        (Some(slug), Some(month)) => {
            pack::answer(&state, slug, month, query.format.as_deref()).await
        }
        (Some(_), None) => Err(ApiError::bad_parameter(
            "month",
            "is missing beside `pack`; write e.g. `2026-11`",
        )),
        (None, _) if query.month.is_some() || query.format.is_some() => Err(
            ApiError::bad_parameter("pack", "is missing; it is the slug of a service"),
        ),
        (None, _) => Ok(Json(honesty(&state, &query).await?).into_response()),
    }
}

pub(crate) async fn honesty(
    state: &ApiState,
    query: &HonestyQuery,
) -> ApiResult<AnalyticsBody<HonestyBody>> {
    let frame = Frame::read(query.from.as_deref(), query.to.as_deref(), None, MAX_DAYS)?;
    let limit = limit(query.limit, MOST)?;
    let after = page::key_cursor(query.cursor.as_deref(), is_slug)?;
    let rows = state.deps.results.vendor_honesty(frame.span).await?;
    let catalog = state.deps.registry.catalog();
    let mut by_service: BTreeMap<String, HonestyRow> = rows
        .into_iter()
        .map(|row| (row.service.clone(), row))
        .collect();
    for (slug, service) in &catalog.services {
        if has_vendor(service) {
            by_service
                .entry(slug.clone())
                .or_insert_with(|| HonestyRow {
                    service: slug.clone(),
                    ..HonestyRow::default()
                });
        }
    }
    let rows = by_service.into_values().filter(|row| {
        let service = catalog.services.get(&row.service);
        row.vendor_incidents > 0 || service.is_some_and(|service| has_vendor(service))
    });
    let (rows, next) = page_of(rows, after, limit, |row| row.service.as_str());
    let items = rows.into_iter().map(|row| {
        let service = catalog.described(&row.service);
        let contract = service.and_then(|service| service.profile.contract);
        body(row, contract.and_then(|contract| contract.sla))
    });
    Ok(frame.body(items.collect(), next))
}

/// Whether a vendor declares anything about the service, or has promised anything.
fn has_vendor(service: &Service) -> bool {
    let reads_page = service
        .probes
        .iter()
        .any(|probe| probe.plugin == STATUS_PAGE);
    reads_page || !service.webhooks.is_empty() || service.profile.contract.is_some()
}

fn body(row: HonestyRow, sla: Option<f64>) -> HonestyBody {
    HonestyBody {
        service: row.service,
        our_incidents: row.our_incidents,
        vendor_incidents: row.vendor_incidents,
        we_first: row.we_first,
        vendor_first: row.vendor_first,
        undeclared: row.undeclared,
        only_vendor: row.only_vendor,
        lag_p50_seconds: row.lag_p50_s,
        our_minutes: minutes(row.our_s),
        vendor_minutes: minutes(row.vendor_s),
        sla,
    }
}
