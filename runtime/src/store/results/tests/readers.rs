//! The database, its connections, and what waits for them.

use super::*;

#[tokio::test]
async fn a_query_that_nobody_waits_for_is_stopped() {
    let running = Running::start();
    let long = QueryLimits {
        timeout: Duration::from_secs(3_600),
        ..limits()
    };
    {
        let query = running
            .store
            .query("SELECT count(*) FROM range(1000000000000)", long);
        let mut query = std::pin::pin!(query);
        // Given up as soon as it holds its slot.
        while running.store.queries.available_permits() == QUERIES {
            assert!(futures::poll!(query.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        assert!(futures::poll!(query.as_mut()).is_pending());
    }
    let all = running.store.queries.acquire_many(QUERIES as u32);
    drop(
        tokio::time::timeout(Duration::from_secs(10), all)
            .await
            .unwrap()
            .unwrap(),
    );
    running.stop().await;
}

#[tokio::test]
async fn a_query_without_end_is_stopped_and_gives_its_slot_back() {
    let running = Running::start();
    let short = QueryLimits {
        timeout: Duration::from_millis(200),
        ..limits()
    };
    for sql in [
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT count(*) FROM r",
        "WITH RECURSIVE r(n) USING KEY (n) AS (SELECT 1 UNION SELECT n FROM recurring.r) FROM r",
        "SELECT count(*) FROM range(1000000000000)",
        "SELECT * FROM range(1000000) a, range(1000000) b ORDER BY a.range + b.range",
    ] {
        let error = running.store.query(sql, short).await.unwrap_err();
        assert!(
            matches!(error, QueryError::Timeout(_) | QueryError::Memory),
            "{sql}: {error}"
        );
        let all = running.store.queries.acquire_many(QUERIES as u32);
        let freed = tokio::time::timeout(Duration::from_secs(10), all)
            .await
            .expect(sql)
            .unwrap();
        drop(freed);
    }
    running.stop().await;
}

#[tokio::test]
async fn two_opens_are_refused() {
    let running = Running::start();
    let error = ResultStore::open(running.dir.path(), ResultSettings::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("results.duckdb") && error.contains("in use"),
        "{error}"
    );
    running.stop().await;
}

#[tokio::test]
async fn the_instance_can_be_opened_anew_while_handles_live_on() {
    let running = Running::start();
    running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap();
    let other = ResultStore {
        ..running.store.clone()
    };
    running.store.close().await.unwrap();
    running.store.database.reopen().await.unwrap();
    assert_eq!(
        other.observation_page("shop-api", None, 9).await.unwrap(),
        [observation(1)]
    );
    running.thread.join().unwrap().unwrap();
}

#[tokio::test]
async fn alerting_reads_while_all_other_readers_are_taken() {
    let running = Running::start();
    running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap();
    let mut taken = Vec::new();
    while let Ok(reader) = tokio::time::timeout(
        Duration::from_millis(200),
        running.store.database.reader(ReaderKind::Shared),
    )
    .await
    {
        taken.push(reader.unwrap());
    }
    assert!(taken.len() >= 4, "{}", taken.len());
    let history = running.past("shop-api", 0, START + 2 * MINUTE);
    let history = tokio::time::timeout(Duration::from_secs(20), history)
        .await
        .expect("a reader is kept for it");
    assert_eq!(history.observations.len(), 1);
    drop(taken);
    running.stop().await;
}

#[tokio::test]
async fn a_reader_whose_caller_gave_up_is_free_again() {
    let running = Running::start();
    // Hours of work, if nothing stopped it.
    let endless =
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range, b.range) = 1";
    let (started, is_started) = std::sync::mpsc::channel();
    let reading = running
        .store
        .read_as(ReaderKind::Alerting, move |connection| {
            started.send(()).unwrap();
            connection
                .query_row(endless, [], |row| row.get::<_, i64>(0))
                .map_err(super::error::reading)
        });
    let given_up = tokio::time::timeout(Duration::from_millis(300), reading).await;
    assert!(given_up.is_err(), "it can't have ended");
    is_started.recv_timeout(Duration::from_secs(20)).unwrap();
    let mut readers = Vec::new();
    for _ in 0..ALERTING_READERS {
        let reader = running.store.database.reader(ReaderKind::Alerting);
        readers.push(
            tokio::time::timeout(Duration::from_secs(30), reader)
                .await
                .expect("it was interrupted")
                .unwrap(),
        );
    }
    drop(readers);
    running.stop().await;
}
