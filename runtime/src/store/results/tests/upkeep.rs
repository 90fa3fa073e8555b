//! What the committer does beside committing: retention that changes while the store is open.

use super::*;

#[tokio::test]
async fn retention_that_changes_holds_without_a_restart() {
    let settings = ResultSettings {
        tiers: TierSettings {
            retention: TierRetention::FOR_EVER,
            interval: Duration::from_millis(20),
        },
        tables: TableRetention::FOR_EVER,
        ..ResultSettings::default()
    };
    let running = Running::start_in(tempfile::tempdir().unwrap(), settings);
    let filling = running.store.database.connect().unwrap();
    filling
        .execute_batch(
            "INSERT INTO fact.rate_limits BY NAME
             SELECT TIMESTAMP '2020-01-01' + to_days(n::INTEGER) AS ts, 's' AS service, 'p' AS probe, 'local' AS location,
                 'h' AS host, 'n' AS name, n AS run_id FROM range(0, 5) AS numbers(n)",
        )
        .unwrap();
    // A look with what was wanted at the start.
    while running.store.counted_until_ms(Tier::Day).is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        running.one("SELECT count(*) FROM rate_limits").await,
        json!(5)
    );
    running
        .store
        .set_retention(TierRetention::FOR_EVER, TableRetention::default());
    while running.one("SELECT count(*) FROM rate_limits").await != json!(0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.stop().await;
}
