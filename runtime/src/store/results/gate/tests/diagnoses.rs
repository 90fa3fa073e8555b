//! What a refusal says, and parameters and moments that are judged by their values.

use super::*;

fn diagnosis(gate: &Gate, sql: &str) -> Diagnosis {
    match gate.check(sql) {
        Err(QueryError::Refused(diagnosis) | QueryError::Invalid(diagnosis)) => diagnosis,
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn a_fault_has_its_place_and_what_may_have_been_meant() {
    let gate = Gate::open().unwrap();
    for (sql, line, column, candidates) in [
        ("SELECT 1\n  FROM observation", 2, 8, "observations"),
        ("SELECT statuss(1) FROM events", 1, 8, ""),
        ("SELECT 'ü', coun(*) FROM events", 1, 13, "count"),
        ("SELECT 1 cost", 1, 10, ""),
        ("EXPLAIN   SELECT 1 FROM eventz", 1, 25, "events"),
        ("-- why\nEXPLAIN SELECT 1 FROM eventz", 2, 23, "events"),
        ("SELECT 1 FROM", 1, 14, ""),
    ] {
        let found = diagnosis(&gate, sql);
        let place = found
            .place
            .map_or((0, 0), |place| (place.line, place.column));
        assert_eq!(place, (line, column), "{sql}: {}", found.message);
        let first = found.candidates.first().map_or("", String::as_str);
        assert_eq!(first, candidates, "{sql}");
    }
}

#[test]
fn a_word_of_sql_as_a_name_gets_a_hint_and_other_mistakes_do_not() {
    let gate = Gate::open().unwrap();
    for (sql, hint) in [
        ("SELECT 1 cost", "`AS cost`"),
        ("SELECT 1 error, 2 value FROM events", "`AS error`"),
        ("SELEC 1", ""),
        ("SELECT 1 WHERE (", ""),
    ] {
        let message = diagnosis(&gate, sql).message;
        assert_eq!(message.contains("write `AS"), !hint.is_empty(), "{message}");
        assert!(message.contains(hint), "{message}");
    }
}

#[test]
fn an_offset_that_a_timestamp_would_drop_is_refused() {
    let gate = Gate::open().unwrap();
    for (condition, is_refused) in [
        ("ts > '2026-01-01T10:00:00+02:00'", true),
        ("ts BETWEEN '2026-01-01T10:00:00+02:00' AND utc_now()", true),
        ("o.ts IN ('2026-01-01 10:00:00-05')", true),
        ("ts > TIMESTAMP '2026-01-01 10:00:00+02:00'", true),
        ("ts > '2026-01-01T10:00:00+02:00'::DATE", true),
        ("ts > '2026-01-01T08:00:00Z'", false),
        ("ts > '2026-01-01 08:00:00+00:00'", false),
        ("ts > '2026-01-01 08:00:00'", false),
        ("ts > TIMESTAMPTZ '2026-01-01 10:00:00+02:00'", false),
        ("error = '2026-01-01T10:00:00+02:00'", false),
    ] {
        let found = gate.check(&format!("SELECT 1 FROM observations o WHERE {condition}"));
        assert_eq!(found.is_err(), is_refused, "{condition}: {found:?}");
        if let Err(error) = found {
            assert!(error.to_string().contains("Z`"), "{error}");
        }
    }
}

#[test]
fn parameters_are_judged_by_their_values() {
    let gate = Gate::open().unwrap();
    let params = |value: Value| QueryParams::Positional(vec![value]);
    let sql = "SELECT replace(error, 'a', $1) FROM observations";
    assert!(gate.check(sql).is_ok());
    assert!(gate.admit(sql, &params(Value::from("b"))).is_ok());
    let huge = Value::from("x".repeat(60_000));
    let refused = gate.admit(sql, &params(huge));
    assert!(
        matches!(refused, Err(QueryError::Refused(_))),
        "{refused:?}"
    );
    let missing = gate.admit(sql, &QueryParams::default());
    assert!(matches!(missing, Err(QueryError::Params(_))), "{missing:?}");
    let hidden = "SELECT * FROM $1";
    assert!(gate.check(hidden).is_err());
}
