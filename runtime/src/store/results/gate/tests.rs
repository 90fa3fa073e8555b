mod diagnoses;

use super::*;

fn reason(gate: &Gate, sql: &str) -> Option<String> {
    match gate.admit(sql, &QueryParams::default()) {
        Ok(_) => None,
        Err(QueryError::Refused(reason)) => Some(reason.message),
        Err(QueryError::Invalid(message)) => Some(format!("invalid: {}", message.message)),
        Err(other) => panic!("{sql}: {other:?}"),
    }
}

/// What must never run, with a word of the reason. The features try the same over HTTP.
fn hostile() -> Vec<(String, String)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/sql/hostile.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(in crate::store::results) const USEFUL: &[&str] = &[
    "SELECT 1",
    "SELECT 1;",
    " -- a comment\n SELECT 1; -- and another",
    "SELECT * FROM observations",
    "SELECT * FROM Observations o WHERE o.status = 'error' ORDER BY ts DESC LIMIT 10 OFFSET 5",
    "SELECT * FROM main.observations LIMIT 10%",
    "FROM observations",
    "TABLE services",
    "VALUES (1, 'a'), (2, 'b')",
    "SELECT service, count(*), avg(latency_ms), quantile_cont(latency_us, 0.95) FROM observations GROUP BY ALL",
    "SELECT service, count(*) FILTER (WHERE status = 'healthy') * 100.0 / count(*) FROM observations GROUP BY ROLLUP (service) HAVING count(*) > 1",
    "SELECT time_bucket(INTERVAL '5 minutes', ts) AS bucket, count(*) FROM observations WHERE ts > utc_now() - INTERVAL 1 DAY GROUP BY bucket",
    "SELECT date_trunc('hour', ts), extract(dow FROM ts), ts::DATE, ts AT TIME ZONE 'UTC' FROM observations",
    "SELECT service, ts - lag(ts) OVER (PARTITION BY service ORDER BY ts) FROM observations QUALIFY row_number() OVER () < 5",
    "SELECT rank() OVER w FROM observations WINDOW w AS (PARTITION BY service ORDER BY ts)",
    "SELECT metrics->>'$.days', json_extract(metrics, '$.a'), metrics->'a' FROM observations",
    "SELECT key, value FROM observations, json_each(metrics)",
    "WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS x FROM a) SELECT * FROM a JOIN b USING (x)",
    "WITH a AS MATERIALIZED (SELECT 1) FROM a",
    "WITH a AS (SELECT 1) SELECT (SELECT count(*) FROM a), EXISTS (FROM a), 1 IN (FROM a)",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r",
    "WITH RECURSIVE r(n) USING KEY (n) AS (SELECT 1 UNION SELECT n + 1 FROM recurring.r WHERE false) FROM r",
    "SELECT * FROM observations UNION ALL BY NAME SELECT * FROM observations",
    "SELECT * FROM observations o ASOF JOIN alert_events e ON o.service = e.service AND o.ts >= e.ts",
    "SELECT s.name, x.n FROM services s, LATERAL (SELECT count(*) AS n FROM observations o WHERE o.service = s.slug) x",
    "SELECT COLUMNS('.*_us') FROM observations",
    "SELECT * EXCLUDE (error) FROM observations",
    "SELECT DISTINCT ON (service) service, status FROM observations ORDER BY service, ts DESC",
    "SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END, coalesce(a, 0), nullif(a, 1), a BETWEEN 1 AND 2, a IS NULL, NOT a FROM (SELECT 1 AS a)",
    "SELECT [1, 2][1], {'a': 1}.a, list_transform([1, 2], x -> x + 1), [x * 2 FOR x IN [1, 2] IF x > 1], MAP {'a': 1}",
    "SELECT name ILIKE '%shop%', name LIKE 'a' ESCAPE '$', regexp_matches(name, 'a+'), name ~ 'x', upper(name) || '!' FROM services",
    "SELECT CAST(1 AS DECIMAL(10, 2)), 1::VARCHAR, TRY_CAST('x' AS INTEGER), DATE '2026-01-01', INTERVAL 1 DAY",
    "SELECT unnest(tags) FROM services",
    "SELECT * FROM range(5) t(i), generate_series(1, 3), unnest([1, 2])",
    "FROM (UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b)",
    "SELECT arg_max(status, ts), max_by(status, ts), approx_quantile(latency_us, 0.5), histogram(latency_us) FROM observations",
    "SELECT now(), current_date, current_timestamp, today()",
    "SELECT * FROM observations USING SAMPLE 10%",
    "SELECT * FROM plugin_runs p JOIN observations o ON p.run_id = o.run_id",
    "DESCRIBE observations",
    "DESCRIBE SELECT * FROM observations",
    "SUMMARIZE observations",
    "SHOW TABLES",
    "EXPLAIN SELECT * FROM observations",
    "explain analyze select 1",
    "SELECT * FROM roll_5m r JOIN hist_5m h USING (ts, service, probe, location)",
    "SELECT service, sum(runs) FROM roll_1d WHERE ts > utc_now() - INTERVAL 1 YEAR GROUP BY service",
    "SELECT sum(n) FROM hist_1h UNION ALL SELECT sum(n) FROM hist_1d UNION ALL SELECT sum(runs) FROM roll_1h",
    "FROM availability('shop-api', INTERVAL 7 DAY)",
    "SELECT * FROM main.availability(NULL, span := INTERVAL '36 hours') WHERE availability < 99.9",
    "SELECT a.service, l.p95_ms FROM availability_30d a JOIN latency(NULL, INTERVAL 30 DAY) l USING (service)",
    "FROM latency('shop-api', to_days(90))",
    "WITH ranks AS (
        SELECT ts, bin, sum(n) OVER (PARTITION BY ts ORDER BY bin) AS so_far, sum(n) OVER (PARTITION BY ts) AS total
        FROM hist_1d WHERE service = 'shop-api' AND probe = 'http' AND location = 'local'
     )
     SELECT ts, 2 * 1.05 ** min(bin) FILTER (so_far >= 0.95 * total) / 2.05 / 1000 AS p95_ms FROM ranks GROUP BY ts ORDER BY ts",
    " -- why\nEXPLAIN -- slow\nANALYZE SELECT 1",
];

#[test]
fn refuses_what_reaches_beyond_the_results() {
    let gate = Gate::open().unwrap();
    let mut faults = Vec::new();
    for (sql, wanted) in &hostile() {
        match reason(&gate, sql) {
            None => faults.push(format!("ADMITTED: {sql}")),
            Some(found) if !found.contains(wanted) => faults.push(format!("{sql}: {found}")),
            Some(_) => {}
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn admits_what_people_ask_of_results() {
    let gate = Gate::open().unwrap();
    let faults: Vec<_> = USEFUL
        .iter()
        .filter_map(|sql| reason(&gate, sql).map(|reason| format!("{sql}: {reason}")))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn refuses_what_is_too_long_or_nested_too_deeply() {
    let gate = Gate::open().unwrap();
    let long = format!("SELECT '{}'", "x".repeat(MAX_BYTES));
    assert!(reason(&gate, &long).unwrap().contains("longer than 64 KiB"));
    let deep = format!("SELECT {}1{}", "(SELECT ".repeat(200), ")".repeat(200));
    assert!(reason(&gate, &deep).is_some());
}

#[test]
fn every_function_that_duckdb_has_and_is_not_listed_is_refused() {
    let gate = Gate::open().unwrap();
    let parser = gate.parser.lock().unwrap();
    let mut statement = parser
        .connection
        .prepare(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro')",
        )
        .unwrap();
    let names: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    drop(statement);
    drop(parser);
    assert!(names.len() > 80, "{}", names.len());
    let admitted: Vec<_> = names
        .into_iter()
        .filter(|name| reason(&gate, &format!("SELECT * FROM \"{name}\"(1)")).is_none())
        .collect();
    let mut wanted = vec!["range", "generate_series", "unnest", "json_each"];
    wanted.retain(|name| admitted.iter().any(|admitted| admitted == name));
    assert_eq!(wanted.len(), admitted.len(), "{admitted:?}");
}

/// Each took the program gigabytes or minutes, with a word of the reason.
fn growing() -> Vec<(String, &'static str)> {
    let doubled = |body: &dyn Fn(usize) -> String| {
        let steps: Vec<String> = (1..30)
            .map(|step| format!("c{step} AS ({})", body(step)))
            .collect();
        format!(
            "WITH c0 AS (SELECT 'x' AS a), {} SELECT count(*) FROM c29",
            steps.join(", ")
        )
    };
    let long = "a".repeat(20_000);
    let many = vec!["s"; 16].join("||");
    let collected = "WITH a AS (SELECT string_agg('0123456789','') s FROM range(10000000))";
    vec![
        (format!("{collected} SELECT length({many}) FROM a"), "copies"),
        (format!("{collected} SELECT length(s||i) FROM a, range(2048) t(i)"), "row of a join"),
        (format!("{collected} SELECT len(string_split(s, '')) FROM a"), "copies"),
        (format!("{collected} SELECT length(hex(hex(hex(hex(hex(hex(s))))))) FROM a"), "copies"),
        (format!("{collected} SELECT length(replace(s, '0', s)) FROM a"), "multiply"),
        (format!("{collected} SELECT length(translate(replace(s, '0', '00000000'), '0', 'ä')) FROM a"), "copies"),
        (
            format!(
                "SELECT length(replace(replace(replace('{long}','a','{long}'),'a','aaaaaaaaaaaaaaaaaaaa'),'a','aaaaaaaaaa'))"
            ),
            "too large",
        ),
        (format!("SELECT regexp_replace(error, '', '{long}', 'g') FROM observations"), "too large"),
        (doubled(&|step| format!("SELECT a || a AS a FROM c{}", step - 1)), "too large"),
        (doubled(&|step| format!("SELECT a.a FROM c{} a, c{} b", step - 1, step - 1)), "tables"),
        (doubled(&|step| format!("SELECT a FROM c{} UNION ALL SELECT a FROM c{}", step - 1, step - 1)), "tables"),
        (
            doubled(&|step| format!("SELECT a.a FROM c{} a, c{} b", step - 1, step - 1))
                .replace(" AS (SELECT a.", " AS NOT MATERIALIZED (SELECT a."),
            "tables",
        ),
        (
            "WITH RECURSIVE r(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM r) SELECT max(length(s)) FROM r"
                .to_owned(),
            "add",
        ),
        (
            "WITH RECURSIVE r(s) AS (SELECT 'x' UNION ALL SELECT replace(s, 'x', 'xx') FROM r) SELECT s FROM r"
                .to_owned(),
            "add",
        ),
        ("SELECT list_reduce([1,2,3,4,5,6,7,8,9]::VARCHAR[], (a, b) -> a || a)".to_owned(), "add to it"),
        (format!("SELECT {}x{}", "list_transform([1,2,3,4,5,6,7,8,9,10], x -> ".repeat(8), ")".repeat(8)), "too large"),
        ("SELECT string_agg(error, ',') OVER (ORDER BY ts) FROM observations".to_owned(), "window"),
        ("SELECT reservoir_quantile(latency_us, 0.5, 2000000000) FROM observations".to_owned(), "samples"),
        ("SELECT equi_width_bins(0, 1000000000, 1000000000, false)".to_owned(), "bins"),
        (
            "SELECT count(*) FROM observations GROUP BY CUBE (ts, service, probe, status, error, bytes, plugin)"
                .to_owned(),
            "sets",
        ),
        (format!("SELECT {}", vec!["upper(payload)"; 4_000].join(", ")) + " FROM events", "too large"),
        (format!("SELECT count(*) FROM {}", vec!["observations"; 300].join(", ")), "nested"),
    ]
}

#[test]
fn refuses_what_grows_beyond_the_limits() {
    let gate = Gate::open().unwrap();
    let mut faults = Vec::new();
    for (sql, wanted) in growing() {
        let shown: String = sql.chars().take(200).collect();
        match reason(&gate, &sql) {
            None => faults.push(format!("ADMITTED: {shown}")),
            Some(found) if !found.contains(wanted) => faults.push(format!("{shown}: {found}")),
            Some(_) => {}
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// What people compute with texts and lists.
pub(in crate::store::results) const GROWING: &[&str] = &[
    "SELECT service, string_agg(DISTINCT status, ', ' ORDER BY status) FROM observations GROUP BY service",
    "SELECT 'services: ' || string_agg(name, ', ') || '.' FROM services",
    "SELECT service, upper(left(string_agg(error, '; '), 1000)) FROM observations GROUP BY service",
    "SELECT list_transform(list(name), x -> x || '!') FROM services",
    "SELECT list_sort(list_distinct(list(status)))[1], len(array_agg(status)) FROM observations",
    "WITH lines AS (SELECT service || ': ' || string_agg(DISTINCT status, ',') AS line FROM observations GROUP BY service) \
     SELECT string_agg(line, chr(10)) FROM lines",
    "WITH l AS (SELECT service, list(status) AS all_of FROM observations GROUP BY service) \
     SELECT l.service, upper(s.name), len(l.all_of), upper(u) FROM l JOIN services s ON s.slug = l.service, unnest(l.all_of) t(u)",
    "SELECT string_split(error, ' ')[1], regexp_replace(error, '[0-9]+', 'N', 'g'), replace(service, '-', '_') FROM observations",
    "SELECT concat_ws('|', ts, service, probe, status, latency_ms, http_status, error, plugin) FROM observations",
    "SELECT ts || ',' || service || ',' || probe || ',' || status || ',' || latency_us || ',' || error FROM observations",
    "WITH RECURSIVE r(n, path) AS (SELECT 1, 'a' UNION ALL SELECT n + 1, path || '/' || n FROM r WHERE n < 5) SELECT path FROM r",
    "SELECT list_reduce(list_transform([1, 2, 3], x -> x * 2), (a, b) -> a + b)",
    "SELECT json_object('service', service, 'p95', quantile_cont(latency_us, 0.95)) FROM observations GROUP BY service",
    "SELECT histogram(http_status), approx_top_k(error, 5), max(latency_us, 3), arg_max(error, ts, 3) FROM observations",
    "SELECT count(*) FROM observations GROUP BY CUBE (service, status)",
    "SELECT strftime(ts, '%Y-%m-%d %H:%M'), md5(error), to_json(metrics), json_pretty(metrics) FROM observations",
    "SELECT round(COLUMNS('.*_us') / 1000.0, 1) FROM observations",
];

#[test]
fn admits_what_people_compute_with_texts_and_lists() {
    let gate = Gate::open().unwrap();
    let faults: Vec<_> = GROWING
        .iter()
        .filter_map(|sql| reason(&gate, sql).map(|reason| format!("{sql}: {reason}")))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}
