//! A step is whole or did not happen.

use super::*;

/// All tables of the tiers, as text.
fn contents(connection: &Connection) -> String {
    let sums = ["5m", "1h", "1d"].map(|tier| {
        format!(
            "(SELECT count(*) || ' ' || coalesce(sum(hash(r)), 0) FROM fact.roll_{tier} r),
             (SELECT count(*) || ' ' || coalesce(sum(hash(h)), 0) FROM fact.hist_{tier} h)"
        )
    });
    let sql = format!(
        "SELECT concat_ws(' | ', {}, (SELECT string_agg(s::VARCHAR, ' ' ORDER BY tier) FROM fact.roll_state s)) AS found",
        sums.join(", ")
    );
    connection
        .query_row(&sql, [], |row| row.get("found"))
        .unwrap()
}

#[test]
fn a_step_that_fails_between_its_statements_leaves_all_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(folder.path());
    fill(&connection, T0, T0 + 25 * HOUR);
    let now = T0 + 25 * HOUR + 10 * MINUTE;
    for (tier, from) in [
        (Tier::FiveMinutes, T0 + 3 * HOUR),
        (Tier::Hour, T0 + 5 * HOUR),
        (Tier::Day, T0),
    ] {
        count_all(&mut connection, now, &FOR_EVER, |_| {});
        let whole = contents(&connection);
        append(&mut connection, vec![run_at(1_000_000, from + MINUTE)]);
        let reopened = contents(&connection);
        assert_ne!(reopened, whole);
        // The tier's own step is the next one once the finer ones are counted again.
        while super::super::plan::next(&Marks::read(&connection).unwrap(), now, &FOR_EVER)
            .is_some_and(|task| !is_of(&task, tier, from))
        {
            step(&mut connection, now / 1_000, &FOR_EVER).unwrap();
        }
        let before = contents(&connection);
        for table in ["hist", "roll"] {
            let name = format!("{table}_{}", tier.as_str());
            break_table(&connection, &name);
            step(&mut connection, now / 1_000, &FOR_EVER).unwrap_err();
            mend_table(&connection, &name);
            assert_eq!(contents(&connection), before, "{name}");
        }
        count_all(&mut connection, now, &FOR_EVER, |_| {});
        connection
            .execute_batch("DELETE FROM fact.observations WHERE run_id = 1000000")
            .unwrap();
        reopen(&connection, [run_at(0, from)].iter()).unwrap();
        count_all(&mut connection, now, &FOR_EVER, |_| {});
        assert_eq!(
            contents(&connection),
            whole,
            "counted anew without that run"
        );
    }
}

fn is_of(task: &super::super::plan::Task, wanted: Tier, at: Micros) -> bool {
    matches!(task, super::super::plan::Task::Count { tier, range, is_again: true, .. }
        if *tier == wanted && range.from <= at + MINUTE && range.until > at)
}

/// Makes inserts into a table fail, after what was deleted from it.
fn break_table(connection: &Connection, name: &str) {
    let sql = format!("ALTER TABLE fact.{name} ADD COLUMN one_more INTEGER");
    connection.execute_batch(&sql).unwrap();
}

fn mend_table(connection: &Connection, name: &str) {
    let sql = format!("ALTER TABLE fact.{name} DROP COLUMN one_more");
    connection.execute_batch(&sql).unwrap();
}

/// The files as they are on the disk at some moment are what a crash leaves behind.
#[test]
fn totals_are_the_same_after_a_crash_at_any_statement() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = open(folder.path());
    fill(&connection, T0, T0 + 3 * HOUR);
    let now = T0 + 3 * HOUR + 10 * MINUTE;
    step(&mut connection, now / 1_000, &FOR_EVER).unwrap();
    let range = format!(
        "ts >= make_timestamp({}) AND ts < make_timestamp({})",
        T0,
        T0 + HOUR
    );
    let statements = [
        format!("DELETE FROM fact.roll_5m WHERE {range}"),
        format!("DELETE FROM fact.hist_5m WHERE {range}"),
        format!(
            "INSERT INTO fact.roll_5m FROM fact.observed_roll(INTERVAL 5 MINUTE, make_timestamp({T0}), make_timestamp({}))",
            T0 + HOUR
        ),
        "UPDATE fact.roll_state SET done_until = TIMESTAMP '2030-01-01'".to_owned(),
    ];
    for cut in 0..=statements.len() {
        connection.execute_batch("BEGIN").unwrap();
        for statement in &statements[..cut] {
            connection.execute_batch(statement).unwrap();
        }
        let crashed = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), crashed.path().join(file.file_name())).unwrap();
        }
        connection.execute_batch("ROLLBACK").unwrap();
        let mut reopened = open(crashed.path());
        assert_agrees(&reopened);
        count_all(&mut reopened, now, &FOR_EVER, |_| {});
        assert_agrees(&reopened);
        assert_eq!(rows(&reopened, "fact.roll_5m"), 3 * 12 * 3);
        drop(reopened);
    }
}
