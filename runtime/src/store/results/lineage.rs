//! What stands behind the names of a query: views, macros and tables, and the statements that make
//! them, all read from the migrations. They name each other with their schema.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::schema::steps;

/// Statement of a migration that makes or changes something.
struct Step {
    text: &'static str,
    /// With its schema, e.g. `main.observations`.
    subject: String,
    is_table: bool,
    /// Names with a schema in the statement.
    mentions: BTreeSet<String>,
}

/// What a query needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lineage {
    /// Statements that make it, in their order.
    pub(super) steps: Vec<&'static str>,
    /// Tables of the schema `fact` among it.
    pub(super) tables: BTreeSet<String>,
}

/// Finds what stands behind views and macros of the schema `main`. Other names are passed over.
pub(super) fn behind<'a>(names: impl IntoIterator<Item = &'a str>) -> Lineage {
    static STEPS: LazyLock<Vec<Step>> = LazyLock::new(read);
    let mut wanted: Vec<String> = names
        .into_iter()
        .map(|name| format!("main.{}", name.to_ascii_lowercase()))
        .collect();
    let mut found = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        let makers = STEPS.iter().filter(|step| step.subject == name);
        let mentions: Vec<String> = makers.flat_map(|step| step.mentions.clone()).collect();
        if !mentions.is_empty() && found.insert(name) {
            wanted.extend(mentions);
        }
    }
    let makers = || STEPS.iter().filter(|step| found.contains(&step.subject));
    Lineage {
        steps: makers().map(|step| step.text).collect(),
        tables: makers()
            .filter(|step| step.is_table)
            .filter_map(|step| step.subject.strip_prefix("fact."))
            .map(str::to_owned)
            .collect(),
    }
}

fn read() -> Vec<Step> {
    steps().into_iter().filter_map(Step::read).collect()
}

impl Step {
    /// None: it changes rows.
    fn read(text: &'static str) -> Option<Self> {
        let code: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect();
        let code = code.join("\n");
        let mut words = code
            .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))
            .filter(|word| !word.is_empty());
        if !matches!(words.next()?, "CREATE" | "ALTER" | "DROP") {
            return None;
        }
        let mut words = words.filter(|word| !is_filler(word));
        let kind = words.next()?;
        let subject = words.next()?.to_owned();
        let mentions = words.filter_map(qualified).chain([subject.clone()]);
        Some(Self {
            text,
            is_table: kind == "TABLE",
            mentions: mentions.collect(),
            subject,
        })
    }
}

fn is_filler(word: &str) -> bool {
    matches!(word, "OR" | "REPLACE" | "IF" | "NOT" | "EXISTS")
}

/// Returns the first two parts of a name in one of our schemas.
fn qualified(word: &str) -> Option<String> {
    let mut parts = word.split('.');
    match (parts.next()?, parts.next()?) {
        (schema @ ("fact" | "main"), name) => Some(format!("{schema}.{name}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use duckdb::Connection;

    use super::*;
    use crate::store::results::gate::{MACROS, VIEWS};

    #[test]
    fn every_view_and_macro_works_with_what_stands_behind_it_alone() {
        let calls = MACROS.iter().map(|name| {
            let span = match *name {
                "availability_between" => "TIMESTAMP '2026-11-01', TIMESTAMP '2026-12-01'",
                _ => "INTERVAL 7 DAY",
            };
            (*name, format!("{name}('shop', {span})"))
        });
        let views = VIEWS.iter().map(|name| (*name, (*name).to_owned()));
        for (name, from) in views.chain(calls) {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch("CREATE SCHEMA fact").unwrap();
            let lineage = behind([name, "utc_now"]);
            for step in &lineage.steps {
                let made = connection.execute_batch(step);
                made.unwrap_or_else(|error| panic!("{name}: {step}: {error}"));
            }
            let sql = format!("SELECT count(*) AS n FROM {from}");
            let rows = connection.query_row(&sql, [], |row| row.get::<_, i64>("n"));
            assert_eq!(rows.unwrap_or_else(|error| panic!("{name}: {error}")), 0);
            assert!(!lineage.tables.is_empty(), "{name}");
        }
    }

    #[test]
    fn nothing_more_is_needed() {
        let tables = |name: &str| behind([name]).tables.into_iter().collect::<Vec<_>>();
        assert_eq!(tables("Observations"), ["observations"]);
        assert_eq!(
            tables("plugin_health"),
            ["plugin_run_minutes", "plugin_runs"]
        );
        assert_eq!(tables("hist_1h"), ["hist_1h", "hist_5m", "observations"]);
        assert_eq!(behind(["utc_now"]).steps.len(), 1);
        assert_eq!(behind(["nothing", "fact", ""]), Lineage::default());
    }
}
