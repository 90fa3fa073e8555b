//! The console: a question in its address, its answer below.

mod chart;
mod fields;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form, Json};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::replies::refused;
use super::wording::count;
use super::{assets, layout};
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::{self, clock};
use crate::api::http::state::ApiState;
use crate::api::resources::queries::{self, QueryPath};
use crate::api::resources::sql::{Ask, answer, rows_of};
use crate::api_types::queries::NewSavedQuery;
use crate::api_types::scope::Scope;
use crate::api_types::sql::SqlFormat;
use crate::charts::Zone;
use crate::domain::UnixMillis;
use crate::store::control::SavedQuery;
use crate::store::{QueryLimits, SqlAnswer, SqlSchema};
use fields::Values;

/// Rows on the page; a download has them all.
const MAX_ROWS: usize = 500;
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Limit of time, below that of a page.
const TIMEOUT: Duration = Duration::from_secs(25);
/// Limit of one value on the page.
const MAX_CHARS: usize = 300;
/// The same where there are few rows, such as those of a plan.
const MAX_CHARS_OF_FEW: usize = 20_000;
const FEW_ROWS: usize = 3;
/// Limit of a statement in an address.
const MAX_QUERY_BYTES: usize = 4 * 1024;
const EXAMPLE: &str =
    "SELECT ts, service, status, latency_ms, error\nFROM observations\nORDER BY ts DESC\nLIMIT 50";

/// Questions that people begin with.
const EXAMPLES: [(&str, &str); 6] = [
    ("The last runs", EXAMPLE),
    (
        "Availability of 30 days, the worst first",
        "SELECT * FROM availability_30d ORDER BY availability",
    ),
    (
        "What failed today, by service",
        "SELECT service, count(*) AS failed\nFROM observations\nWHERE status <> 'healthy' AND ts > now() - INTERVAL 1 DAY\nGROUP BY service ORDER BY failed DESC",
    ),
    (
        "The longest incidents",
        "SELECT service, started, ended, cause\nFROM incidents\nORDER BY coalesce(ended, now()) - started DESC\nLIMIT 20",
    ),
    (
        "Runs of each hour",
        "SELECT date_trunc('hour', ts) AS hour, count(*) AS runs\nFROM observations\nWHERE ts > now() - INTERVAL 1 DAY\nGROUP BY hour ORDER BY hour",
    ),
    (
        "Plugins that failed",
        "SELECT plugin, version, outcome, count(*) AS runs\nFROM plugin_runs\nWHERE outcome <> 'ok'\nGROUP BY ALL ORDER BY runs DESC",
    ),
];
const KEYWORDS: [&str; 20] = [
    "select",
    "from",
    "where",
    "group",
    "order",
    "limit",
    "having",
    "join",
    "left",
    "using",
    "interval",
    "between",
    "distinct",
    "count",
    "coalesce",
    "date_trunc",
    "quantile_cont",
    "avg",
    "with",
    "union",
];

#[derive(Debug, Deserialize)]
pub(crate) struct ConsoleQuery {
    q: Option<String>,
    /// Name of a saved query, in place of its statement.
    saved: Option<String>,
    /// Values of parameters among them.
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

type Outcome = ApiResult<(SqlAnswer, UnixMillis)>;

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Query(ConsoleQuery {
        q,
        saved: name,
        rest,
    }): Query<ConsoleQuery>,
) -> ApiResult<Markup> {
    let saved = state.deps.control.saved_query_list().await?;
    let (text, defaults) = match (q, name) {
        (Some(text), _) => (text, Map::new()),
        (None, Some(name)) => statement(&saved, &name)?,
        (None, None) => (String::new(), Map::new()),
    };
    let values = Values::new(parameters(&state, &text), defaults, &rest);
    let outcome = match text.trim() {
        "" => None,
        _ => Some(ask(&state, &principal, &text, &values).await),
    };
    let schema = state.deps.results.query_schema().await.ok();
    let body = html! {
        h1 { "SQL" }
        form.console method="get" action="/sql" {
            label.hidden for="q" { "Statement" }
            textarea #q name="q" rows="8" spellcheck="false" autocapitalize="off" maxlength=(MAX_QUERY_BYTES) placeholder=(EXAMPLE) data-words=[schema.as_ref().map(words)] { (text) }
            p.muted #names role="status" {}
            (values.inputs())
            div.actions {
                button type="submit" { "Run" }
                button.quiet #cancel type="button" hidden { "Cancel" }
                @if outcome.is_some() { (downloads(&text, &values)) }
            }
        }
        @match &outcome {
            None => { (examples()) }
            Some(Ok((answer, data_to_ms))) => {
                @if let Some(chart) = chart::chart(answer, &Zone(moment::zone())) { div.card.panel { div.wide tabindex="0" { (chart) } } }
                (table(answer, *data_to_ms))
                @if principal.may(Scope::Write) { (save(&text)) }
            }
            Some(Err(error)) => { (fault(error)) }
        }
        (saved_queries(&saved, principal.may(Scope::Write)))
        @if let Some(schema) = &schema { (views(schema)) }
        script src=(assets::url("sql.js")) defer {}
    };
    Ok(layout::room(layout::Room {
        title: "SQL",
        path: "/sql",
        events: None,
        body,
    }))
}

/// Returns the statement of a saved query with its defaults.
fn statement(saved: &[SavedQuery], name: &str) -> ApiResult<(String, Map<String, Value>)> {
    let found = saved.iter().find(|query| query.draft.name == name);
    let found = found.ok_or_else(|| ApiError::saved_query_not_found(name))?;
    Ok((found.draft.query.clone(), found.draft.defaults.clone()))
}

/// Returns the parameters of a statement; none of one that is refused, which says why when it is run.
fn parameters(state: &ApiState, text: &str) -> Vec<String> {
    let found = state.deps.results.query_parameters(text);
    found.unwrap_or_default()
}

async fn ask(state: &ApiState, principal: &Principal, text: &str, values: &Values) -> Outcome {
    if text.len() > MAX_QUERY_BYTES {
        let detail = format!(
            "a statement on this page has at most {MAX_QUERY_BYTES} bytes; longer ones go to `POST /api/v1/sql` or `extrack sql -f FILE`"
        );
        return Err(ApiError::bad_parameter("q", detail));
    }
    let limits = QueryLimits {
        rows: MAX_ROWS,
        bytes: MAX_BYTES,
        timeout: TIMEOUT,
    };
    let params = Some(values.passed());
    rows_of(state, principal, text.to_owned(), params, limits).await
}

#[derive(Debug, Deserialize)]
pub(crate) struct DownloadQuery {
    q: String,
    format: SqlFormat,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

/// The whole answer, as `POST /api/v1/sql` returns it.
pub(crate) async fn download(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Query(DownloadQuery { q, format, rest }): Query<DownloadQuery>,
) -> ApiResult<Response> {
    let values = Values::new(parameters(&state, &q), Map::new(), &rest);
    let ask = Ask {
        query: q,
        params: Some(values.passed()),
        format: Some(format),
        limit: None,
    };
    let mut response = answer(&state, &principal, &HeaderMap::new(), ask).await?;
    let name = format!("attachment; filename=\"answer.{}\"", extension(format));
    if let Ok(name) = HeaderValue::try_from(name) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn extension(format: SqlFormat) -> &'static str {
    match format {
        SqlFormat::Json => "json",
        SqlFormat::Ndjson => "ndjson",
        SqlFormat::Csv => "csv",
        SqlFormat::Arrow => "arrows",
        SqlFormat::Parquet => "parquet",
    }
}

pub(super) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut written = url::form_urlencoded::Serializer::new(String::new());
    format!("{path}?{}", written.extend_pairs(query).finish())
}

fn downloads(text: &str, values: &Values) -> Markup {
    let fields = values.fields();
    let link = |format| {
        let mut query = vec![("format", format), ("q", text)];
        query.extend(
            fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        address("/sql/download", &query)
    };
    html! {
        span.muted { "All rows as" }
        @for format in ["csv", "ndjson", "parquet", "arrow"] { a href=(link(format)) { (format) } }
    }
}

fn table(answer: &SqlAnswer, data_to_ms: UnixMillis) -> Markup {
    let most = if answer.rows.len() <= FEW_ROWS {
        MAX_CHARS_OF_FEW
    } else {
        MAX_CHARS
    };
    html! {
        p.muted role="status" {
            (count(answer.rows.len(), "row"))
            @if answer.truncated { ", " b { "and there are more" } ": download them, or add a LIMIT" }
            " · data to " (clock(data_to_ms))
        }
        div.card.wide { table.list {
            thead { tr { @for column in &answer.columns { th scope="col" title=(column.kind) { (column.name) } } } }
            tbody {
                @for row in &answer.rows {
                    tr { @for value in row { (cell(value, most)) } }
                }
            }
        } }
    }
}

/// Numbers stand right; what is longer than a cell is cut, with a mark.
fn cell(value: &Value, most_chars: usize) -> Markup {
    let text = match value {
        Value::Null => return html! { td.muted { "NULL" } },
        Value::Number(number) => return html! { td.number { (number) } },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let lines = text.contains('\n').then_some("lines");
    match text.char_indices().nth(most_chars) {
        Some((end, _)) => html! { td class=[lines] { (&text[..end]) "…" } },
        None => html! { td class=[lines] { (text) } },
    }
}

/// Names that a statement may hold, for completion.
fn words(schema: &SqlSchema) -> String {
    let of_views = schema.views.iter().flat_map(|view| {
        let columns = view.columns.iter().map(|column| column.name.as_str());
        std::iter::once(view.name.as_str()).chain(columns)
    });
    let of_macros = schema.macros.iter().map(|each| each.name.as_str());
    let mut words: Vec<&str> = of_views.chain(of_macros).chain(KEYWORDS).collect();
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

fn examples() -> Markup {
    html! {
        p { "One statement that reads. For example:" }
        ul.saved { @for (name, query) in EXAMPLES { li { a href=(address("/sql", &[("q", query)])) { (name) } } } }
    }
}

fn save(text: &str) -> Markup {
    html! {
        form.acts.save-query method="post" action="/sql/save" {
            input type="hidden" name="q" value=(text);
            label { "Save it as " input name="name" required pattern="[a-z0-9][a-z0-9\\-]*" placeholder="slow-services" autocomplete="off"; }
            label { "What it answers " input name="description" autocomplete="off"; }
            button.quiet type="submit" { "Save" }
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct SaveForm {
    q: String,
    name: String,
    #[serde(default)]
    description: String,
}

pub(crate) async fn save_query(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Form(form): Form<SaveForm>,
) -> Response {
    let there = address("/sql", &[("saved", &form.name)]);
    let back = address("/sql", &[("q", &form.q)]);
    let new = NewSavedQuery {
        name: form.name,
        query: form.q,
        description: form.description,
        defaults: serde_json::Map::new(),
    };
    match queries::create(state, principal, Json(new)).await {
        Ok(_) => Redirect::to(&there).into_response(),
        Err(error) => refused(error, &back),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct DeleteForm {
    name: String,
}

pub(crate) async fn delete_query(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Form(form): Form<DeleteForm>,
) -> Response {
    let path = Path(QueryPath { name: form.name });
    match queries::delete(state, principal, path).await {
        Ok(_) => Redirect::to("/sql").into_response(),
        Err(error) => refused(error, "/sql"),
    }
}

fn fault(error: &ApiError) -> Markup {
    let caret = error.query_fault().and_then(|place| place.caret.as_ref());
    html! {
        div.fault role="alert" {
            p { (error.detail()) }
            @if let Some(caret) = caret { pre { (caret) } }
        }
    }
}

fn saved_queries(saved: &[SavedQuery], may_delete: bool) -> Markup {
    html! {
        @if !saved.is_empty() {
            section.card.panel aria-labelledby="saved-title" {
                h2 #saved-title { "Saved queries" }
                ul.saved {
                    @for SavedQuery { draft, .. } in saved {
                        li {
                            a href=(address("/sql", &[("saved", &draft.name)])) { (draft.name) }
                            " " span.muted { (draft.description) }
                            @if may_delete {
                                details.act {
                                    summary { "Delete" }
                                    form method="post" action="/sql/delete" {
                                        p { "Delete this query? It can't be brought back." }
                                        input type="hidden" name="name" value=(draft.name);
                                        button type="submit" { "Delete " (draft.name) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn views(schema: &SqlSchema) -> Markup {
    html! {
        section.card.panel aria-labelledby="views-title" {
            h2 #views-title { "Views" }
            @for view in &schema.views {
                details {
                    summary { code { (view.name) } " " span.muted { (view.about) } }
                    ul.columns-of {
                        @for column in &view.columns { li { code { (column.name) } " " span.muted { (column.kind) " " (column.about) } } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_text_and_exact() {
        let text = |value: Value| cell(&value, MAX_CHARS).into_string();
        assert_eq!(text(json!("<b>")), "<td>&lt;b&gt;</td>");
        assert_eq!(
            text(json!(9_007_199_254_740_993_u64)),
            r#"<td class="number">9007199254740993</td>"#
        );
        let long = text(json!("ä".repeat(400)));
        assert!(long.ends_with("ä…</td>"), "{long}");
        assert_eq!(text(Value::Null), r#"<td class="muted">NULL</td>"#);
        assert_eq!(text(json!("a\n  b")), "<td class=\"lines\">a\n  b</td>");
    }

    #[test]
    fn a_plan_is_whole_and_keeps_its_lines() {
        let plan = "│ scan │\n".repeat(200);
        let answer = |rows: usize| SqlAnswer {
            columns: vec![crate::store::SqlColumn {
                name: "explain_value".to_owned(),
                kind: "VARCHAR".to_owned(),
            }],
            rows: vec![vec![json!(plan)]; rows],
            truncated: false,
        };
        let page = table(&answer(1), 0).into_string();
        assert!(page.contains(&plan) && page.contains("\"lines\""), "{page}");
        assert!(!table(&answer(10), 0).into_string().contains(&plan));
    }
}
