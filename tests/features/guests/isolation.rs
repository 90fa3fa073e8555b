//! Memory of a run is invisible to others: to the next run, to another plugin, to another service.

use extrack_tests::{TestRuntime, components};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_run_is_left_for_another() {
    const SERVICES: usize = 6;
    const ROUNDS: usize = 8;
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let guests = ["probe-remembers", "probe-remembers-too"];
    for guest in guests {
        api.plugin_put(guest, &components::guest(guest))
            .await
            .expect(200);
    }
    for index in 0..SERVICES {
        let service = json!({
            "name": format!("s{index}"), "type": "own", "baseUrl": "http://192.0.2.1",
            "monitoring": {"probe": guests[index % 2], "interval": 86400, "timeout": 10000},
        });
        api.post("/api/v1/services", &service).await.expect(201);
    }
    let slugs: Vec<String> = (0..SERVICES).map(|index| format!("s{index}")).collect();
    for _ in 0..ROUNDS {
        // At once, so that they stand beside each other in the pool; then the next ones in the same
        // places.
        let found = futures::future::join_all(slugs.iter().map(|slug| api.check(slug))).await;
        for observation in found {
            assert_eq!(observation["status"], "healthy", "{observation}");
            let metrics = &observation["metrics"];
            assert_eq!(
                [&metrics["left_behind"], &metrics["runs_before"]],
                [&json!(0), &json!(0)],
                "{observation}"
            );
        }
    }
    let peaks = api
        .sql("SELECT min(memory_bytes), count(*) FROM plugin_runs WHERE plugin LIKE 'probe-remembers%' AND function = 'check'")
        .await;
    assert!(
        peaks[0][0].as_u64().is_some_and(|bytes| bytes > 6 << 20),
        "they did look at their memory: {peaks:?}"
    );
    assert_ne!(peaks[0][1], Value::from(0));
}
