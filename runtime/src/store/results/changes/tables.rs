//! Tables that are sealed, and how each is cut into files. A table of a migration is named here, in
//! one of the two lists.

use super::span::{DAY, HOUR, Micros, Span, UNIT};

/// How a table is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::results) enum Cut {
    /// Cut by `ts`, into files of this width at the finest.
    Time(Micros),
    /// One file, for small tables whose rows change.
    Whole,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::store::results) struct SealedTable {
    pub(in crate::store::results) name: &'static str,
    pub(in crate::store::results) cut: Cut,
}

const fn by_time(name: &'static str, unit: Micros) -> SealedTable {
    SealedTable {
        name,
        cut: Cut::Time(unit),
    }
}

const fn whole(name: &'static str) -> SealedTable {
    SealedTable {
        name,
        cut: Cut::Whole,
    }
}

/// Every table of the schema `fact` whose rows are handed out.
pub(in crate::store::results) const TABLES: &[SealedTable] = &[
    by_time("observations", UNIT),
    by_time("rate_limits", UNIT),
    by_time("plugin_runs", UNIT),
    by_time("shadow_runs", UNIT),
    by_time("events", UNIT),
    by_time("calls", UNIT),
    by_time("usage_deltas", UNIT),
    by_time("alert_events", UNIT),
    by_time("incidents", DAY),
    // Closed slots, of which a step counts an hour or a day at once.
    by_time("roll_5m", HOUR),
    by_time("hist_5m", HOUR),
    by_time("roll_1h", DAY),
    by_time("hist_1h", DAY),
    by_time("roll_1d", DAY),
    by_time("hist_1d", DAY),
    by_time("plugin_run_minutes", DAY),
    whole("month_frozen"),
    whole("services"),
    whole("invoices"),
];

/// Tables that are about the store itself.
#[cfg(test)]
pub(in crate::store::results) const UNSEALED: &[&str] = &[
    "schema_steps",
    "call_batches",
    "call_keys",
    "roll_state",
    "archive_files",
    "sealed_files",
    "sealed_dirty",
    "sealed_state",
];

impl SealedTable {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name == name)
    }

    /// Returns the units of a file that this span touches.
    pub(super) fn units(&self, span: Span) -> Span {
        match self.cut {
            Cut::Whole => Span::EVER,
            Cut::Time(_) if span == Span::EVER => span,
            Cut::Time(unit) => {
                Span::around(span.from, unit).join(Span::around(span.until - 1, unit))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use duckdb::Connection;

    use super::*;
    use crate::store::results::{ResultError, schema};

    #[test]
    fn a_table_that_a_migration_makes_is_sealed_or_said_not_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.duckdb");
        let open = |path: &std::path::Path| {
            Connection::open(path).map_err(|source| ResultError::Database {
                doing: "open",
                source,
            })
        };
        let connection = schema::migrate(open(&path).unwrap(), &path, open).unwrap();
        let sql = "SELECT t.table_name AS name, count(c.column_name) > 0 AS has_ts FROM duckdb_tables() AS t \
                   LEFT JOIN duckdb_columns() AS c ON c.table_oid = t.table_oid AND c.column_name = 'ts' \
                       AND c.data_type = 'TIMESTAMP' AND NOT c.is_nullable \
                   WHERE t.schema_name = 'fact' GROUP BY ALL ORDER BY name";
        let mut statement = connection.prepare(sql).unwrap();
        let found = statement.query_map([], |row| {
            Ok((row.get::<_, String>("name")?, row.get::<_, bool>("has_ts")?))
        });
        let mut named: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        named.extend(UNSEALED);
        named.sort_unstable();
        let found: Vec<_> = found.unwrap().map(Result::unwrap).collect();
        assert_eq!(
            found
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>(),
            named,
            "name the table in one of the lists"
        );
        for (name, has_ts) in found {
            let is_cut = SealedTable::named(&name).is_some_and(|table| table.cut != Cut::Whole);
            assert!(has_ts || !is_cut, "{name} has no `ts` to be cut by");
        }
    }

    #[test]
    fn a_change_touches_whole_units() {
        let table = SealedTable::named("observations").unwrap();
        let units = |from, until| {
            let span = table.units(Span::new(from, until));
            (span.from / UNIT, span.until / UNIT)
        };
        assert_eq!(units(UNIT, UNIT + 1), (1, 2));
        assert_eq!(units(UNIT - 1, UNIT + 1), (0, 2));
        assert_eq!(units(UNIT, 3 * UNIT), (1, 3));
        let services = SealedTable::named("services").unwrap();
        assert_eq!(services.units(Span::new(1, 2)), Span::EVER);
    }
}
