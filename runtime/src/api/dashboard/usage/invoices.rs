//! Invoices of vendors beside what was counted, and a form that imports one.

use std::path::Path;

use axum::Json;
use axum::extract::{Multipart, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use maud::{Markup, html};

use super::{PAGE, unreadable};
use crate::api::dashboard::layout;
use crate::api::dashboard::replies::refused;
use crate::api::dashboard::wording::{count, prose, written};
use crate::api::http::auth::Principal;
use crate::api::http::bodies::BodyLimit;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api::resources::invoices::{self, ImportQuery, ListQuery};
use crate::api_types::invoices::{InvoiceBody, InvoiceImported};
use crate::api_types::scope::Scope;

/// An invoice with the other fields of its form.
pub(crate) const FORM: BodyLimit = BodyLimit {
    bytes: invoices::LIMIT.bytes + 64 * 1024,
    timeout: invoices::LIMIT.timeout,
};
/// Refused lines that are shown.
const MAX_REFUSED: usize = 50;

pub(super) async fn section(state: State<ApiState>, principal: &Principal) -> Markup {
    let found = invoices::list(state, Query(ListQuery::default())).await;
    html! {
        section.card.panel aria-label="Invoices" {
            h2 { "Invoices" }
            @match &found {
                Err(_) => { (unreadable("Invoices")) }
                Ok(Json(body)) if body.invoices.is_empty() => { p.empty { "None was imported yet." } }
                Ok(Json(body)) => { (list(&body.invoices)) }
            }
            @if principal.may(Scope::Write) { (form()) }
        }
    }
}

fn list(invoices: &[InvoiceBody]) -> Markup {
    html! {
        div.wide { table.list {
            thead { tr {
                th scope="col" { "Invoice" } th scope="col" { "Service" } th scope="col" { "Period" } th.number scope="col" { "Billed" }
                th.number scope="col" { "Counted" } th.number scope="col" { "Drift" } th scope="col" { "What may explain it" }
            } }
            tbody { @for invoice in invoices {
                tr {
                    td { (invoice.invoice) }
                    td { a href={ "/services/" (invoice.service) } { (invoice.service) } }
                    td { (written(&invoice.from)) " to " (written(&invoice.to)) }
                    td.number { (invoice.billed) " " (invoice.currency) }
                    td.number { (super::span(Some(&invoice.counted), Some(&invoice.counted_at_most), &invoice.currency)) }
                    td.number { (invoice.drift) " " (invoice.currency) @if let Some(percent) = &invoice.drift_percent { " (" (percent) " %)" } }
                    td { @for reason in &invoice.reasons { p { (prose(&reason.detail)) } } }
                }
            } }
        } }
        p.muted { "Drift above zero: more is billed than was counted." }
    }
}

fn form() -> Markup {
    html! {
        h3 { "Import one" }
        form.acts method="post" action="/usage/invoices" enctype="multipart/form-data" {
            label { "File, CSV or JSON " input type="file" name="file" accept=".csv,.json,text/csv,application/json" required; }
            label { "Its id, where lines have none " input name="invoice" placeholder="name of the file" maxlength="200" autocomplete="off"; }
            label { "Service, where lines name none " input name="service" maxlength="200" autocomplete="off"; }
            button type="submit" { "Import" }
        }
        p.muted { "A line is known by its invoice and its number, and counts once however often it is imported." }
    }
}

/// Fields of the form. What was not filled in is none.
#[derive(Default)]
struct Upload {
    file: Bytes,
    invoice: Option<String>,
    service: Option<String>,
}

/// `POST /usage/invoices`
pub(crate) async fn import(state: State<ApiState>, fields: Multipart) -> Response {
    match imported(state, fields).await {
        Ok(done) => page(&done).into_response(),
        Err(error) => refused(error, PAGE),
    }
}

async fn imported(state: State<ApiState>, fields: Multipart) -> ApiResult<InvoiceImported> {
    let upload = read(fields).await?;
    let is_json = upload.file.trim_ascii_start().starts_with(b"{")
        || upload.file.trim_ascii_start().starts_with(b"[");
    let kind = if is_json {
        "application/json"
    } else {
        "text/csv"
    };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
    let query = Query(ImportQuery {
        invoice: upload.invoice,
        service: upload.service,
    });
    let Json(done) = invoices::import(state, query, headers, upload.file).await?;
    Ok(done)
}

async fn read(mut fields: Multipart) -> ApiResult<Upload> {
    let fault = |error: axum::extract::multipart::MultipartError| {
        ApiError::bad_parameter("form", error.body_text())
    };
    let filled = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let mut upload = Upload::default();
    let mut file_name = None;
    while let Some(field) = fields.next_field().await.map_err(fault)? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" => {
                file_name = field.file_name().and_then(stem);
                upload.file = field.bytes().await.map_err(fault)?;
            }
            "invoice" => upload.invoice = filled(field.text().await.map_err(fault)?),
            "service" => upload.service = filled(field.text().await.map_err(fault)?),
            _ => {}
        }
    }
    upload.invoice = upload.invoice.or(file_name);
    Ok(upload)
}

/// Name of a file without its ending, as `extrack invoices import` takes it.
fn stem(name: &str) -> Option<String> {
    let stem = Path::new(name).file_stem()?.to_str()?.trim();
    (!stem.is_empty()).then(|| stem.to_owned())
}

fn page(done: &InvoiceImported) -> Markup {
    layout::room(layout::Room {
        title: "Invoice",
        path: PAGE,
        events: None,
        body: html! {
            h1 { (count(done.taken, "line")) " imported" }
            section.card.panel {
                @if done.duplicates > 0 { p { (count(done.duplicates, "line")) " imported before, counted once" } }
                @if !done.refused.is_empty() {
                    p.fault role="alert" { (count(done.refused.len(), "line")) " refused" }
                    ul { @for refused in done.refused.iter().take(MAX_REFUSED) {
                        li { @if refused.line > 0 { "Line " (refused.line) ": " } (prose(&refused.reason)) }
                    } }
                    @if done.refused.len() > MAX_REFUSED { p.muted { "and " (done.refused.len() - MAX_REFUSED) " more" } }
                }
                p { a.button href=(PAGE) { "Back" } }
            }
        },
    })
}
