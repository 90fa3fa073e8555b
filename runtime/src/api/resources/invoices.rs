//! Invoices of vendors: import, and comparison with what we counted.

mod csv;
mod read;

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::analytics::{Analytics, InvoiceComparison};
use crate::api::http::bodies::BodyLimit;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::rfc3339;
use crate::api::http::state::ApiState;
use crate::api_types::calls::RefusedLine;
use crate::api_types::invoices::{
    DriftReasonBody, InvoiceBody, InvoiceImport, InvoiceImported, InvoiceLineBody,
    InvoiceLinesBody, InvoicesBody,
};
use crate::api_types::scope::Scope::{Read, Write};
use crate::domain::{InvoiceLine, now_ms};
use crate::store::LineOutcome;

use read::{ReadLine, Reader};

/// A file of 50,000 lines, at the pace of a poor connection.
pub(crate) const LIMIT: BodyLimit = BodyLimit {
    bytes: 16 * 1024 * 1024,
    timeout: Duration::from_secs(60),
};
const MAX_LINES: usize = 50_000;
/// Refused lines that are listed.
const MAX_REFUSED: usize = 1_000;
/// Lines of one answer.
const PAGE: usize = 1_000;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Write, "/api/v1/invoices", import)
            .id("invoiceImport")
            .summary("Import an invoice of a vendor")
            .description(
                "CSV with a header: columns of FOCUS (`BilledCost`, `BillingCurrency`, `ChargePeriodStart`, \
                 `ChargePeriodEnd`, `ServiceName`, …), or `from`, `to`, `service`, `amount`, `currency`; or JSON with \
                 `content-type: application/json`, in the form of `InvoiceImport` or as Twilio's usage records, the costs of \
                 OpenAI and the cost report of Anthropic answer. A line is known by its invoice and its number, and counts once \
                 however often it is imported. At most 50,000 lines and 16 MiB.",
            )
            .takes_lines(LIMIT, "text/csv")
            .returns::<200, Json<InvoiceImported>>(),
        Endpoint::get(Read, "/api/v1/invoices", list)
            .id("invoiceList")
            .summary("Invoices, compared with what was counted"),
        Endpoint::get(Read, "/api/v1/invoices/{id}/lines", lines)
            .id("invoiceLines")
            .summary("Lines of an invoice"),
    ]
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportQuery {
    /// Id of the invoice, for lines without one.
    pub(crate) invoice: Option<String>,
    /// Slug of the service that all lines are for. Default: each line names its own.
    pub(crate) service: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only this invoice.
    invoice: Option<String>,
    /// Only the service with that slug.
    service: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct InvoicePath {
    /// Vendor's id of the invoice.
    id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinesQuery {
    /// Number of a line to go on behind.
    after: Option<i64>,
}

pub(crate) async fn import(
    State(state): State<ApiState>,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<Json<InvoiceImported>> {
    // Lines take several times the room of their text.
    let _permit = state
        .call_reports
        .try_acquire()
        .map_err(|_| ApiError::busy("too many reports at once; come again"))?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::body_missing("an invoice, as CSV or JSON"));
    }
    let catalog = state.deps.registry.catalog();
    if let Some(slug) = &query.service
        && catalog.described(slug).is_none()
    {
        let detail = format!("there is no service `{slug}`");
        return Err(ApiError::bad_parameter("service", detail));
    }
    let reader = Reader {
        catalog: &catalog,
        invoice: query.invoice.as_deref(),
        service: query.service.as_deref(),
        now_ms: now_ms(),
    };
    let read = if is_json(&headers) {
        read_json(&reader, &body).map_err(unreadable)?
    } else {
        let text = std::str::from_utf8(&body)
            .map_err(|_| unreadable("the body is not in UTF-8".to_owned()))?;
        reader.csv(text).map_err(unreadable)?
    };
    if read.len() > MAX_LINES {
        return Err(too_many_lines());
    }
    keep(&state, read).await.map(Json)
}

/// Reads an invoice, or else what a vendor's own interface answered.
fn read_json(reader: &Reader<'_>, body: &[u8]) -> Result<Vec<ReadLine>, String> {
    let error = match serde_json::from_slice::<InvoiceImport>(body) {
        Ok(import) => return Ok(reader.json(&import)),
        Err(error) => error,
    };
    let answer = serde_json::from_slice(body).unwrap_or(Value::Null);
    let report = reader.report(&answer);
    report.unwrap_or_else(|| Err(format!("the body is no invoice as JSON: {error}")))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().starts_with("application/json"))
}

/// Stores what could be read, and puts together what became of each line.
async fn keep(state: &ApiState, read: Vec<ReadLine>) -> ApiResult<InvoiceImported> {
    let mut imported = InvoiceImported::default();
    let (mut lines, mut places) = (Vec::new(), Vec::new());
    for ReadLine { place, line } in read {
        match line {
            Ok(line) => {
                lines.push(line);
                places.push(place);
            }
            Err(reason) => refuse(&mut imported, place, reason),
        }
    }
    let outcomes = if lines.is_empty() {
        Vec::new()
    } else {
        state.deps.results.invoice_append(lines).await?
    };
    for (place, outcome) in places.into_iter().zip(outcomes) {
        match outcome {
            LineOutcome::Taken => imported.taken += 1,
            LineOutcome::Known => imported.duplicates += 1,
            LineOutcome::Differs(known) => refuse(&mut imported, place, differs(&known)),
            LineOutcome::Full => {
                let reason = "there is no room for more lines of invoices".to_owned();
                refuse(&mut imported, place, reason);
            }
        }
    }
    imported.refused.sort_by_key(|refused| refused.line);
    if imported.refused.len() > MAX_REFUSED {
        let more = imported.refused.len() - MAX_REFUSED;
        imported.refused.truncate(MAX_REFUSED);
        imported.refused.push(RefusedLine {
            line: 0,
            reason: format!("{more} more lines were refused"),
        });
    }
    Ok(imported)
}

fn refuse(imported: &mut InvoiceImported, line: usize, reason: String) {
    imported.refused.push(RefusedLine { line, reason });
}

fn differs(known: &InvoiceLine) -> String {
    format!(
        "line {} of invoice `{}` is there with another content: {} {} for `{}`; an invoice that was corrected has another id, or other lines",
        known.line,
        known.invoice,
        text(known.amount),
        known.currency,
        known.service
    )
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ListQuery>,
) -> ApiResult<Json<InvoicesBody>> {
    let catalog = state.deps.registry.catalog();
    let analytics = Analytics::new(state.deps.results.clone());
    let lost_until_ms = state.deps.calls.status().unknown_until_ms;
    let which = (query.invoice, query.service);
    let compared = analytics.invoices(&catalog, which, lost_until_ms).await?;
    Ok(Json(InvoicesBody {
        invoices: compared.into_iter().map(InvoiceBody::from).collect(),
    }))
}

async fn lines(
    State(state): State<ApiState>,
    Path(InvoicePath { id }): Path<InvoicePath>,
    Query(query): Query<LinesQuery>,
) -> ApiResult<Json<InvoiceLinesBody>> {
    let after = query.after.unwrap_or(i64::MIN);
    let results = &state.deps.results;
    let found = results.invoice_lines(id, after, PAGE).await?;
    let last = found.last().map(|line| line.line);
    Ok(Json(InvoiceLinesBody {
        after: last.filter(|_| found.len() == PAGE),
        lines: found.into_iter().map(InvoiceLineBody::from).collect(),
    }))
}

fn unreadable(detail: String) -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invoice-unreadable",
        "Invoice unreadable",
        detail,
    )
}

fn too_many_lines() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too-many-lines",
        "Too many lines",
        format!("the invoice has more than {MAX_LINES} lines; import it in several parts"),
    )
}

impl From<InvoiceComparison> for InvoiceBody {
    fn from(compared: InvoiceComparison) -> Self {
        let sum = compared.sum;
        let reasons = compared.reasons.iter().map(|reason| DriftReasonBody {
            kind: reason.kind().to_owned(),
            detail: reason.detail(),
        });
        Self {
            invoice: sum.invoice,
            service: sum.service,
            currency: sum.currency,
            from: rfc3339(sum.from_ms),
            to: rfc3339(sum.until_ms),
            lines: sum.lines,
            billed: text(sum.billed),
            tax: text(sum.tax),
            counted: text(compared.counted.low),
            counted_at_most: text(compared.counted.high),
            drift: text(compared.drift),
            drift_percent: compared.drift_percent.map(text),
            reasons: reasons.collect(),
            imported_at: rfc3339(sum.imported_ms),
        }
    }
}

impl From<InvoiceLine> for InvoiceLineBody {
    fn from(line: InvoiceLine) -> Self {
        Self {
            line: line.line,
            service: line.service,
            name: line.name,
            category: line.category,
            from: rfc3339(line.from_ms),
            to: rfc3339(line.until_ms),
            amount: text(line.amount),
            currency: line.currency,
        }
    }
}

/// Digits without zeros that mean nothing.
fn text(amount: Decimal) -> String {
    amount.normalize().to_string()
}
