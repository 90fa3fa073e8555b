//! The questions behind the sections that come with the program: SQL over the same views that pages
//! and people read.

#[cfg(test)]
mod tests;

use crate::domain::{
    LATENCY_BASE, ReportChart, ReportNumber, ReportPeriod, ReportTable, UnixMillis,
};

/// Rows that a report has room for.
const MAX_ROWS: usize = 500;

/// Moment as a literal: of a macro's argument, or of a comparison.
fn text(ms: UnixMillis) -> String {
    let moment = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn timestamp(ms: UnixMillis) -> String {
    let moment = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    moment.strftime("TIMESTAMP '%Y-%m-%d %H:%M:%S'").to_string()
}

/// Condition that a column lies in the period.
fn within(column: &str, period: ReportPeriod) -> String {
    let (from, to) = (timestamp(period.from_ms()), timestamp(period.to_ms()));
    format!("{column} >= {from} AND {column} < {to}")
}

/// Seconds of each service in the period.
fn spent(period: ReportPeriod) -> String {
    let (from, to) = (text(period.from_ms()), text(period.to_ms()));
    format!("availability_between(NULL, '{from}', '{to}')")
}

/// Latencies of the period by bin, added up over what `by` names.
fn ranks(by: &str, period: ReportPeriod) -> String {
    let (columns, partition) = match by {
        "" => (String::new(), String::new()),
        by => (format!("{by}, "), format!("PARTITION BY {by} ")),
    };
    let within = within("ts", period);
    format!(
        "SELECT {columns}bin, sum(n) OVER ({partition}ORDER BY bin) AS so_far, sum(n) OVER ({partition}) AS total
         FROM (SELECT {columns}bin, sum(n)::BIGINT AS n FROM hist_1h WHERE {within} AND location <> 'webhook'
             GROUP BY {columns}bin) AS sums"
    )
}

/// Latency at which 95 in 100 are, in ms, within 2.5 %.
fn p95() -> String {
    let ends = 1.0 + LATENCY_BASE;
    format!("2 * {LATENCY_BASE} ** (min(bin) FILTER (so_far >= 0.95 * total)) / {ends} / 1000")
}

/// Alerts by the moment at which each fired first, however often it was silenced in between.
const FIRED: &str =
    "SELECT alert_id, min(ts) AS ts FROM alert_events WHERE to_state = 'firing' GROUP BY alert_id";

/// Returns a statement with one value, or with an amount and a currency in each row.
pub(super) fn number(number: ReportNumber, period: ReportPeriod) -> String {
    let within = |column: &str| within(column, period);
    match number {
        ReportNumber::Availability => format!(
            "SELECT (sum(good_s) * 100000 // nullif(sum(good_s) + sum(bad_s), 0))::DOUBLE / 1000 FROM {}",
            spent(period)
        ),
        ReportNumber::Downtime => {
            format!("SELECT sum(bad_s)::BIGINT FROM {}", spent(period))
        }
        ReportNumber::Incidents => format!(
            "SELECT count(*) FROM incidents WHERE source = 'ours' AND {}",
            within("started")
        ),
        ReportNumber::P95 => format!(
            "WITH ranks AS ({}) SELECT round({}, 1)::DOUBLE FROM ranks",
            ranks("", period),
            p95()
        ),
        ReportNumber::Calls => format!(
            "SELECT coalesce(sum(calls), 0)::BIGINT FROM usage_totals WHERE source <> 'probe' AND {}",
            within("ts")
        ),
        ReportNumber::Cost => format!(
            "SELECT sum(cost_min)::DECIMAL(38,2)::VARCHAR, currency FROM usage_totals
             WHERE currency IS NOT NULL AND cost_min IS NOT NULL AND {} GROUP BY currency ORDER BY currency",
            within("ts")
        ),
        ReportNumber::Alerts => format!(
            "SELECT count(*) FROM ({FIRED}) AS f WHERE {}",
            within("ts")
        ),
    }
}

pub(super) fn label(number: ReportNumber) -> &'static str {
    match number {
        ReportNumber::Availability => "Availability",
        ReportNumber::Incidents => "Outages",
        ReportNumber::Downtime => "Time down",
        ReportNumber::P95 => "Latency, p95",
        ReportNumber::Calls => "Calls",
        ReportNumber::Cost => "Cost",
        ReportNumber::Alerts => "Alerts",
    }
}

/// Returns a statement with the number of a part of the period, a value and a currency.
pub(super) fn chart(chart: ReportChart, period: ReportPeriod) -> String {
    let parts = period.parts().into_iter().enumerate();
    let row = |(index, (_, from_ms, to_ms)): (usize, (String, UnixMillis, UnixMillis))| {
        format!("({index}, {}, {})", timestamp(from_ms), timestamp(to_ms))
    };
    let parts = parts.map(row).collect::<Vec<_>>().join(", ");
    let fired = format!("({FIRED}) AS e ON e.ts >= p.since AND e.ts < p.until");
    let (value, currency, join) = match chart {
        ReportChart::Downtime => (
            "sum(CASE WHEN i.id IS NULL THEN 0 ELSE greatest(epoch_ms(least(coalesce(i.ended, p.until), p.until))
                 - epoch_ms(greatest(i.started, p.since)), 0) END)::DOUBLE / 60000",
            "NULL",
            "incidents AS i ON i.source = 'ours' AND i.started < p.until AND coalesce(i.ended, p.until) > p.since",
        ),
        ReportChart::Calls => (
            "coalesce(sum(u.calls), 0)::DOUBLE",
            "NULL",
            "usage_totals AS u ON u.ts >= p.since AND u.ts < p.until AND u.source <> 'probe'",
        ),
        ReportChart::Cost => (
            "coalesce(sum(u.cost_min), 0)::DOUBLE",
            "u.currency",
            "usage_totals AS u ON u.ts >= p.since AND u.ts < p.until AND u.currency IS NOT NULL",
        ),
        ReportChart::Alerts => (
            "count(e.alert_id)::DOUBLE",
            "NULL",
            fired.as_str(),
        ),
    };
    let group = match currency {
        "NULL" => String::new(),
        column => format!(", {column}"),
    };
    format!(
        "WITH parts AS (SELECT * FROM (VALUES {parts}) AS v(n, since, until))
         SELECT p.n, {value} AS value, {currency} AS currency FROM parts AS p LEFT JOIN {join}
         GROUP BY p.n{group} ORDER BY p.n"
    )
}

/// Returns what the bars of a chart count.
pub(super) fn unit(chart: ReportChart) -> &'static str {
    match chart {
        ReportChart::Downtime => "minutes",
        ReportChart::Calls => "calls",
        ReportChart::Cost => "cost",
        ReportChart::Alerts => "alerts",
    }
}

/// Returns a statement with the rows of a table, under headings for people.
pub(super) fn table(table: ReportTable, period: ReportPeriod, before: ReportPeriod) -> String {
    match table {
        ReportTable::Services => services(period),
        ReportTable::Incidents => format!(
            r#"SELECT coalesce(s.name, v.service) AS "Service", strftime(v.started, '%d %b %H:%M') AS "Began, UTC",
                 ((v.seconds + 59) // 60)::BIGINT AS "Minutes", left(v.cause, 200) AS "What", v.knew_first AS "Knew first"
             FROM vendor_claims AS v LEFT JOIN services AS s ON s.slug = v.service
             WHERE v.incident_id IS NOT NULL AND {}
             QUALIFY row_number() OVER (PARTITION BY v.incident_id ORDER BY v.lag_s) = 1
             ORDER BY v.seconds DESC LIMIT {MAX_ROWS}"#,
            within("v.started", period)
        ),
        ReportTable::Vendors => vendors(period),
        ReportTable::Cost => cost(period, before),
        ReportTable::Claims => claims(period),
        ReportTable::Noise => noise(period),
    }
}

fn services(period: ReportPeriod) -> String {
    format!(
        r#"WITH outages AS (
             SELECT service, count(*) AS outages FROM incidents WHERE source = 'ours' AND {} GROUP BY service
         ), ranks AS ({}), slow AS (SELECT service, round({}, 1) AS p95 FROM ranks GROUP BY service)
         SELECT coalesce(s.name, a.service) AS "Service", a.availability AS "Availability %", s.slo_target AS "Wanted %",
             ((a.bad_s + 59) // 60)::BIGINT AS "Minutes down", coalesce(o.outages, 0)::BIGINT AS "Outages",
             l.p95::DOUBLE AS "p95, ms", a.coverage AS "Coverage %"
         FROM {} AS a LEFT JOIN services AS s ON s.slug = a.service
         LEFT JOIN outages AS o ON o.service = a.service LEFT JOIN slow AS l ON l.service = a.service
         ORDER BY a.availability NULLS LAST, "Outages" DESC, "Service" LIMIT {MAX_ROWS}"#,
        within("started", period),
        ranks("service", period),
        p95(),
        spent(period)
    )
}

/// Outages and claims, each counted once, however many of the other side it overlaps.
fn vendors(period: ReportPeriod) -> String {
    format!(
        r#"WITH pairs AS (SELECT * FROM vendor_claims WHERE {}), ours AS (
             SELECT service, incident_id, min(lag_s) AS lag_s, count(*) FILTER (knew_first = 'vendor') > 0 AS is_vendor_first,
                 count(*) FILTER (knew_first <> 'only us') = 0 AS is_undeclared
             FROM pairs WHERE incident_id IS NOT NULL GROUP BY service, incident_id
         ), sums AS (
             SELECT service, count(*) FILTER (NOT is_vendor_first AND NOT is_undeclared) AS we_first,
                 count(*) FILTER (is_vendor_first) AS vendor_first, count(*) FILTER (is_undeclared) AS undeclared,
                 median(lag_s) AS lag_s
             FROM ours GROUP BY service
         ), theirs AS (
             SELECT service, count(*) AS unseen FROM pairs WHERE incident_id IS NULL GROUP BY service
         )
         SELECT coalesce(s.name, o.service, t.service) AS "Service", coalesce(o.we_first, 0)::BIGINT AS "We knew first",
             coalesce(o.vendor_first, 0)::BIGINT AS "Vendor knew first",
             coalesce(o.undeclared, 0)::BIGINT AS "Never declared",
             coalesce(t.unseen, 0)::BIGINT AS "Seen by the vendor only",
             round(o.lag_s / 60, 1)::DOUBLE AS "Median lag, min"
         FROM sums AS o FULL JOIN theirs AS t ON t.service = o.service
         LEFT JOIN services AS s ON s.slug = coalesce(o.service, t.service)
         ORDER BY "Never declared" DESC, "Service" LIMIT {MAX_ROWS}"#,
        within("coalesce(started, claimed)", period)
    )
}

/// Days to claim within count from the last day of the period.
fn claims(period: ReportPeriod) -> String {
    let last = period.end.pred_opt().unwrap_or(period.first);
    format!(
        r#"SELECT s.name AS "Service", s.sla AS "Promised %", a.availability AS "Found %",
             (a.bad_s // 60)::BIGINT AS "Minutes down",
             strftime(DATE '{last}' + s.claim_days::INTEGER, '%d %b %Y') AS "Claim by"
         FROM {} AS a JOIN services AS s ON s.slug = a.service
         WHERE s.sla IS NOT NULL AND a.availability < s.sla ORDER BY a.availability, "Service" LIMIT {MAX_ROWS}"#,
        spent(period)
    )
}

fn cost(period: ReportPeriod, before: ReportPeriod) -> String {
    let sums = |period| {
        format!(
            "SELECT service, currency, sum(calls) AS calls, sum(cost_min) AS cost FROM usage_totals
             WHERE currency IS NOT NULL AND {} GROUP BY service, currency",
            within("ts", period)
        )
    };
    format!(
        r#"WITH these AS ({}), former AS ({})
         SELECT coalesce(s.name, t.service) AS "Service", t.currency AS "Currency", t.calls::BIGINT AS "Calls",
             t.cost::DECIMAL(38,2) AS "Cost", f.cost::DECIMAL(38,2) AS "Before"
         FROM these AS t LEFT JOIN former AS f ON f.service = t.service AND f.currency = t.currency
         LEFT JOIN services AS s ON s.slug = t.service
         ORDER BY t.cost DESC NULLS LAST, "Service" LIMIT {MAX_ROWS}"#,
        sums(period),
        sums(before)
    )
}

fn noise(period: ReportPeriod) -> String {
    format!(
        r#"WITH fired AS (
             SELECT alert_id, max(service) AS service, max(alert) AS alert, min(ts) AS began FROM alert_events
             WHERE to_state = 'firing' GROUP BY alert_id HAVING {}
         ), acted AS (
             SELECT alert_id, min(ts) AS acted FROM alert_events WHERE actor NOT IN ('engine', 'auditor') GROUP BY alert_id
         )
         SELECT coalesce(s.name, f.service) AS "Service", f.alert AS "Alert", count(*) AS "Fired",
             count(a.alert_id) AS "Somebody acted",
             round(median(epoch_ms(a.acted - f.began)) / 60000, 1)::DOUBLE AS "Median min to act"
         FROM fired AS f LEFT JOIN acted AS a ON a.alert_id = f.alert_id LEFT JOIN services AS s ON s.slug = f.service
         GROUP BY coalesce(s.name, f.service), f.alert ORDER BY "Fired" DESC, "Service", "Alert" LIMIT {MAX_ROWS}"#,
        within("min(ts)", period)
    )
}

#[cfg(test)]
mod statement_tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::ReportSpan;
    use crate::store::results::tests::in_memory;

    /// The columns of the views that the statements read, with a month of the past.
    const VIEWS: &str = "
        CREATE TABLE services (slug VARCHAR, name VARCHAR, sla DOUBLE, claim_days BIGINT);
        INSERT INTO services VALUES ('shop', 'Shop', 99.9, 30);
        CREATE MACRO availability_between(slug, since, until) AS TABLE
            SELECT 'shop' AS service, 98.0::DOUBLE AS availability, 600::BIGINT AS bad_s;
        CREATE TABLE alert_events
            (ts TIMESTAMP, alert_id BIGINT, service VARCHAR, alert VARCHAR, to_state VARCHAR, actor VARCHAR);
        INSERT INTO alert_events VALUES
            ('2026-10-05 10:00:00', 1, 'shop', 'Down', 'suppressed', 'engine'),
            ('2026-10-05 10:10:00', 1, 'shop', 'Down', 'firing', 'engine'),
            ('2026-10-05 10:20:00', 1, 'shop', 'Down', 'acknowledged', 'ann'),
            ('2026-10-05 10:30:00', 1, 'shop', 'Down', 'firing', 'ann'),
            ('2026-10-05 11:00:00', 1, 'shop', 'Down', 'resolved', 'engine'),
            ('2026-10-06 10:00:00', 2, 'shop', 'Down', 'firing', 'engine'),
            ('2026-10-06 11:00:00', 2, 'shop', 'Down', 'resolved', 'auditor'),
            ('2026-09-30 10:00:00', 3, 'shop', 'Down', 'firing', 'engine'),
            ('2026-10-01 10:00:00', 3, 'shop', 'Down', 'firing', 'ann');
        CREATE TABLE vendor_claims
            (service VARCHAR, incident_id BIGINT, claim_id BIGINT, started TIMESTAMP, claimed TIMESTAMP, knew_first VARCHAR, lag_s BIGINT);
        INSERT INTO vendor_claims VALUES
            ('shop', 1, 10, '2026-10-05 10:00:00', '2026-10-05 10:05:00', 'us', 300),
            ('shop', 1, 11, '2026-10-05 10:00:00', '2026-10-05 10:20:00', 'us', 1200),
            ('shop', 2, NULL, '2026-10-06 10:00:00', NULL, 'only us', NULL),
            ('shop', NULL, 12, NULL, '2026-10-07 10:00:00', 'only vendor', NULL);
        CREATE TABLE usage_totals
            (ts TIMESTAMP, service VARCHAR, source VARCHAR, calls BIGINT, cost_min DECIMAL(38,12), cost_max DECIMAL(38,12), currency VARCHAR);
        INSERT INTO usage_totals VALUES ('2026-10-05 10:00:00', 'shop', 'api', 3, 1.5, 9, 'EUR');";

    fn october() -> ReportPeriod {
        let day = |month| chrono::NaiveDate::from_ymd_opt(2026, month, 1).unwrap();
        ReportPeriod {
            first: day(10),
            end: day(11),
            zone: chrono_tz::Tz::UTC,
        }
    }

    fn rows(sql: &str) -> Vec<Vec<Value>> {
        in_memory(VIEWS, sql)
    }

    fn table_rows(wanted: ReportTable) -> Vec<Vec<Value>> {
        let before = october().previous(ReportSpan::Month).unwrap();
        rows(&table(wanted, october(), before))
    }

    #[test]
    fn an_alert_counts_once_when_it_fired_first_also_after_a_silence() {
        let fired = rows(&number(ReportNumber::Alerts, october()));
        assert_eq!(fired, [[json!(2)]]);
        let bars = rows(&chart(ReportChart::Alerts, october()));
        assert_eq!(bars.len(), 31);
        let values: Vec<&Value> = bars.iter().map(|bar| &bar[1]).collect();
        assert_eq!(values[0], &json!(0.0));
        assert_eq!(values[4..6], [&json!(1.0), &json!(1.0)]);
    }

    #[test]
    fn neither_the_engine_nor_the_auditor_is_somebody_who_acted() {
        let found = table_rows(ReportTable::Noise);
        let wanted = [
            json!("Shop"),
            json!("Down"),
            json!(2),
            json!(1),
            json!(10.0),
        ];
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn an_outage_with_two_claims_counts_once() {
        let found = table_rows(ReportTable::Vendors);
        let wanted = [
            json!("Shop"),
            json!(1),
            json!(0),
            json!(1),
            json!(1),
            json!(5.0),
        ];
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn days_to_claim_count_from_the_last_day_of_the_period() {
        let found = table_rows(ReportTable::Claims);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0][4], json!("30 Nov 2026"));
    }

    #[test]
    fn costs_are_at_least_what_is_written() {
        let amount = rows(&number(ReportNumber::Cost, october()));
        assert_eq!(amount, [[json!("1.50"), json!("EUR")]]);
        let bars = rows(&chart(ReportChart::Cost, october()));
        assert!(bars.iter().any(|bar| bar[1] == json!(1.5)));
    }
}
