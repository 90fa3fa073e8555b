//! What users may ask of: the views with their columns, and the macros.

use std::collections::HashMap;

use duckdb::Connection;

use super::database::ReaderKind;
use super::error::reading;
use super::gate::{VIEWS, is_function_allowed};
use super::interrupt::interruptible;
use super::tables::{Record, ServiceRow, column_docs};
use super::{ResultError, ResultStore};
use crate::domain::{CallRow, Event, Incident, InvoiceLine, Observation, PluginRun, ShadowRun};

/// What can be named in a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlSchema {
    pub views: Vec<SqlView>,
    pub macros: Vec<SqlMacro>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlView {
    pub name: String,
    pub about: String,
    pub columns: Vec<SqlViewColumn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlViewColumn {
    pub name: String,
    /// DuckDB's word.
    pub kind: String,
    pub about: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlMacro {
    pub name: String,
    /// Names of the parameters.
    pub parameters: Vec<String>,
    /// Stands after `FROM`.
    pub is_table: bool,
    pub about: String,
}

/// One line about each view.
const VIEW_DOCS: &[(&str, &str)] = &[
    (
        "observations",
        "runs of probes, and services' reports on themselves",
    ),
    (
        "plugin_runs",
        "executions of plugins, with duration, CPU, memory and outcome",
    ),
    ("alert_events", "changes in the life of alerts"),
    ("events", "reports of services through webhooks"),
    ("services", "services, without secrets"),
    (
        "shadow_runs",
        "calls that both an active version and its candidate got",
    ),
    (
        "plugin_health",
        "each version of a plugin over all its runs",
    ),
    ("rate_limits", "limits as the headers of answers gave them"),
    ("roll_5m", "the runs of a probe in 5 minutes, counted"),
    ("roll_1h", "the runs of a probe in an hour, counted"),
    ("roll_1d", "the runs of a probe in a day, counted"),
    (
        "hist_5m",
        "latencies of a probe in 5 minutes, counted by bins",
    ),
    (
        "hist_1h",
        "latencies of a probe in an hour, counted by bins",
    ),
    ("hist_1d", "latencies of a probe in a day, counted by bins"),
    (
        "availability_30d",
        "availability of each service over 30 days",
    ),
    (
        "incidents",
        "times in which a service was not available, by us and by its vendor",
    ),
    (
        "availability_by_month",
        "availability of each service by months of UTC, closed ones as they were frozen",
    ),
    ("slo", "service level objectives, and whether they are met"),
    (
        "error_budget",
        "how much of the time that objectives allow is used up, and how fast",
    ),
    (
        "plugin_run_minutes",
        "good runs of plugins that are no longer kept one by one, added up by minutes",
    ),
    ("calls", "calls of clients to the services"),
    (
        "usage_totals",
        "calls, their units and their cost, added up by minutes",
    ),
    (
        "cost_by_month",
        "cost of the calls of each service by months of UTC and currencies",
    ),
    (
        "invoices",
        "lines of invoices of vendors, as they were imported",
    ),
    (
        "vendor_claims",
        "our outages beside what the vendor claims of that time: who knew first",
    ),
    (
        "alert_noise",
        "rules whose alerts fired in 30 days, and whether anybody acted on them",
    ),
    (
        "vendor_honesty",
        "outages and claims of 30 days by service: who knew first, and what was never declared",
    ),
    (
        "service_comparison",
        "services side by side over 30 days: availability, latency, incidents, cost",
    ),
    ("usage_by_hour", "calls of a service in an hour of UTC"),
];

/// Columns of `vendor_claims`.
const VENDOR_CLAIMS: &[(&str, &str)] = &[
    ("service", "slug of the service"),
    ("incident_id", "id of our incident; null where we saw none"),
    ("started", "first failed run of ours"),
    ("ended", "first good run of ours; null while it lasts"),
    ("seconds", "length of our incident"),
    ("cause", "our first failure"),
    (
        "claim_id",
        "id of the vendor's incident; null where the vendor claims none",
    ),
    ("claim", "the vendor's last words"),
    ("kind", "`outage` or `degradation`, by the vendor"),
    ("impact", "the vendor's word for it"),
    ("claimed", "when it began, by the vendor"),
    ("first_seen", "when we first saw the claim"),
    ("claim_ended", "when the vendor took it back"),
    ("knew_first", "`us`, `vendor`, `only us` or `only vendor`"),
    (
        "lag_s",
        "seconds from our first failed run to the first sight of the claim; below 0 where the vendor was first",
    ),
    (
        "backdated_s",
        "seconds from the begin by the vendor to the first sight of the claim",
    ),
];

/// Columns of `usage_totals`, which adds up what is stored.
const USAGE_TOTALS: &[(&str, &str)] = &[
    ("ts", "begin of the minute"),
    ("service", "slug of the service"),
    ("consumer", "who called"),
    ("method", "method of HTTP"),
    ("route", "template of the path"),
    ("status_class", "class of the status, e.g. `2xx`"),
    ("cache", "`none`, `hit`, `miss`, `revalidated` or `bypass`"),
    ("source", "who counted the calls, as in `calls`"),
    ("ended", "how the calls ended, as in `calls`"),
    ("calls", "number of calls"),
    ("unlisted", "calls among them that have no row in `calls`"),
    ("attempts", "requests sent to the service"),
    ("bytes_in", "bodies of the requests, in bytes"),
    ("bytes_out", "bodies of the answers, in bytes"),
    ("latency_us", "times of all calls together, in µs"),
    ("units", "what was used, by unit"),
    ("cost_min", "cost, at least"),
    ("cost_max", "cost, at most"),
    ("currency", "currency of the cost (ISO 4217)"),
];

/// Columns of `cost_by_month`.
const COST_BY_MONTH: &[(&str, &str)] = &[
    ("month", "first day of the month"),
    ("service", "slug of the service"),
    ("currency", "currency of the cost (ISO 4217)"),
    ("calls", "calls with a cost"),
    ("attempts", "requests sent to the service"),
    ("cost_min", "cost, at least"),
    ("cost_max", "cost, at most"),
];

const MACRO_DOCS: &[(&str, &str)] = &[
    ("utc_now", "the moment of the query, in UTC"),
    (
        "availability",
        "availability of a service, or of all with NULL, over an interval up to now",
    ),
    (
        "availability_between",
        "availability of a service, or of all with NULL, in seconds from one moment to another",
    ),
    (
        "latency",
        "quantiles of the latency of a service, or of all with NULL, over an interval up to now",
    ),
];

impl ResultStore {
    /// Returns what can be named in a query.
    pub async fn query_schema(&self) -> Result<SqlSchema, ResultError> {
        let reader = self.database.reader(ReaderKind::Shared).await?;
        interruptible(reader, schema_of).await
    }
}

/// Returns what can be named where all migrations were applied.
pub(super) fn schema_of(connection: &Connection) -> Result<SqlSchema, ResultError> {
    Ok(SqlSchema {
        views: views(connection)?,
        macros: macros(connection)?,
    })
}

fn views(connection: &Connection) -> Result<Vec<SqlView>, ResultError> {
    let docs = docs();
    let mut found: HashMap<String, Vec<SqlViewColumn>> = HashMap::new();
    let sql = "SELECT table_name, column_name, data_type FROM duckdb_columns() \
               WHERE schema_name = 'main' AND NOT internal ORDER BY table_name, column_index";
    let mut statement = connection.prepare(sql).map_err(reading)?;
    let mut rows = statement.query([]).map_err(reading)?;
    while let Some(row) = rows.next().map_err(reading)? {
        let view: String = row.get("table_name").map_err(reading)?;
        let name: String = row.get("column_name").map_err(reading)?;
        let kind = row.get("data_type").map_err(reading)?;
        let about = about(&docs, &view, &name);
        let column = SqlViewColumn { name, kind, about };
        found.entry(view).or_default().push(column);
    }
    let views = VIEWS.iter().map(|name| SqlView {
        name: (*name).to_owned(),
        about: doc(VIEW_DOCS, name),
        columns: found.remove(*name).unwrap_or_default(),
    });
    Ok(views.collect())
}

type Docs = HashMap<(&'static str, &'static str), &'static str>;

fn docs() -> Docs {
    let mut docs = Docs::new();
    let mut add = |table, columns: Vec<(&'static str, &'static str)>| {
        docs.extend(
            columns
                .into_iter()
                .map(|(name, about)| ((table, name), about)),
        );
    };
    add(Observation::TABLE, column_docs::<Observation>());
    add(Event::TABLE, column_docs::<Event>());
    add(PluginRun::TABLE, column_docs::<PluginRun>());
    add(ShadowRun::TABLE, column_docs::<ShadowRun>());
    add(ServiceRow::TABLE, column_docs::<ServiceRow>());
    add(Incident::TABLE, column_docs::<Incident>());
    add(CallRow::TABLE, column_docs::<CallRow>());
    add(InvoiceLine::TABLE, column_docs::<InvoiceLine>());
    add("usage_totals", USAGE_TOTALS.to_vec());
    add("cost_by_month", COST_BY_MONTH.to_vec());
    add("vendor_claims", VENDOR_CLAIMS.to_vec());
    for (view, columns) in super::analytics::COLUMNS {
        add(*view, columns.to_vec());
    }
    add(
        super::tables::RateLimitRow::TABLE,
        column_docs::<super::tables::RateLimitRow>(),
    );
    add(
        super::tables::AlertEventRow::TABLE,
        column_docs::<super::tables::AlertEventRow>(),
    );
    docs
}

/// A view adds durations in milliseconds to those in microseconds.
fn about(docs: &Docs, view: &str, column: &str) -> String {
    let of = |name: &str| {
        docs.iter()
            .find(|((table, known), _)| *table == view && *known == name)
            .map(|(_, about)| (*about).to_owned())
    };
    let in_milliseconds = || {
        let stem = column.strip_suffix("_ms")?;
        let about = of(&format!("{stem}_us"))?;
        Some(format!("{}, in ms", about.trim_end_matches(" in µs")))
    };
    of(column).or_else(in_milliseconds).unwrap_or_default()
}

fn macros(connection: &Connection) -> Result<Vec<SqlMacro>, ResultError> {
    let sql = "SELECT function_name, function_type, array_to_string(parameters, ',') AS parameters \
               FROM duckdb_functions() WHERE schema_name = 'main' AND NOT internal \
               AND function_type IN ('macro', 'table_macro') ORDER BY function_name";
    let mut statement = connection.prepare(sql).map_err(reading)?;
    let mut rows = statement.query([]).map_err(reading)?;
    let mut macros = Vec::new();
    while let Some(row) = rows.next().map_err(reading)? {
        let name: String = row.get("function_name").map_err(reading)?;
        if !is_function_allowed(&name) {
            continue;
        }
        let kind: String = row.get("function_type").map_err(reading)?;
        let parameters: Option<String> = row.get("parameters").map_err(reading)?;
        let parameters = parameters.unwrap_or_default();
        macros.push(SqlMacro {
            parameters: parameters
                .split(',')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            is_table: kind == "table_macro",
            about: doc(MACRO_DOCS, &name),
            name,
        });
    }
    Ok(macros)
}

fn doc(docs: &[(&str, &str)], name: &str) -> String {
    docs.iter()
        .find(|(known, _)| *known == name)
        .map_or_else(String::new, |(_, about)| (*about).to_owned())
}

#[cfg(test)]
mod tests {
    use crate::store::results::tests::Running;

    #[tokio::test]
    async fn each_view_and_each_column_of_a_table_is_described() {
        let running = Running::start();
        let schema = running.store.query_schema().await.unwrap();
        for view in &schema.views {
            assert!(!view.about.is_empty(), "`{}` has no line", view.name);
            assert!(!view.columns.is_empty(), "`{}` has no columns", view.name);
        }
        let observations = &schema.views[0];
        let about = |name: &str| {
            let column = observations
                .columns
                .iter()
                .find(|column| column.name == name);
            column.map(|column| column.about.as_str())
        };
        assert_eq!(observations.name, "observations");
        assert_eq!(about("service"), Some("slug of the service"));
        assert_eq!(about("latency_ms"), Some("latency, in ms"));
        let macros: Vec<&str> = schema
            .macros
            .iter()
            .map(|found| found.name.as_str())
            .collect();
        assert!(macros.contains(&"utc_now"), "{macros:?}");
        assert!(schema.macros.iter().all(|found| !found.about.is_empty()));
        running.stop().await;
    }
}
