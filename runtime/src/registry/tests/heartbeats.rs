//! Heartbeats as they are written, in files and over the API.

use std::time::Duration;

use super::*;
use crate::domain::{Cadence, HEARTBEAT};

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

#[tokio::test]
async fn a_job_needs_no_url_and_a_service_may_have_both() {
    let services = json!([
        {"name": "Backup", "type": "Heartbeat", "heartbeat": {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "grace": "20m"}},
        {"name": "Sync", "heartbeat": {"every": "1h", "maxDuration": "2h"}, "monitoring": {"interval": 30}},
        {"name": "Shop", "baseUrl": "https://shop.example", "heartbeat": {"every": 90}},
    ]);
    let registry = registry(entries(services, json!([]), json!([]))).await;
    registry
        .create(json!({"name": "Mail", "type": "heartbeat", "heartbeat": {"every": "1d"}}))
        .await
        .unwrap();
    let catalog = registry.catalog();
    let probes = |slug: &str| -> Vec<(String, Duration)> {
        let probes = catalog.services[slug].probes.iter();
        probes
            .map(|probe| (probe.name.clone(), probe.interval))
            .collect()
    };
    let heartbeat = || HEARTBEAT.to_owned();
    assert_eq!(probes("backup"), [(heartbeat(), minutes(1))]);
    assert_eq!(probes("sync"), [(heartbeat(), Duration::from_secs(30))]);
    assert_eq!(
        probes("shop"),
        [("http".to_owned(), minutes(1)), (heartbeat(), minutes(1))]
    );
    let backup = &catalog.heartbeats["backup"];
    assert_eq!(
        (backup.grace, backup.run_limit()),
        (minutes(20), minutes(20))
    );
    assert!(
        matches!(&backup.cadence, Cadence::Cron { schedule, .. } if schedule.zone().name() == "Europe/Berlin")
    );
    let sync = &catalog.heartbeats["sync"];
    assert_eq!((sync.grace, sync.run_limit()), (minutes(5), minutes(120)));
    let every = |slug: &str| match catalog.heartbeats[slug].cadence {
        Cadence::Every(period) => period,
        Cadence::Cron { .. } => panic!("{slug} has a schedule"),
    };
    assert_eq!(
        [every("sync"), every("shop"), every("mail")],
        [minutes(60), Duration::from_secs(90), minutes(24 * 60)]
    );
    assert!(catalog.is_heartbeat("shop", HEARTBEAT) && !catalog.is_heartbeat("shop", "http"));
    // No plugin runs it, so none can fail.
    assert!(!catalog.rules.contains_key("plugin:heartbeat"));
}

#[tokio::test]
async fn faults_say_what_to_write() {
    let job = |heartbeat: Value| json!({"name": "a", "type": "Heartbeat", "heartbeat": heartbeat});
    for (service, wanted) in [
        (
            json!({"name": "a", "type": "Heartbeat"}),
            vec![
                "/baseUrl: is missing (URL, or `host:port` for what speaks no HTTP)",
                "/type: needs `heartbeat` beside it, e.g. `heartbeat: {every: 1h}`",
            ],
        ),
        (
            json!({"name": "a", "type": "Heartbeat", "baseUrl": "https://a"}),
            vec!["/type: needs `heartbeat` beside it, e.g. `heartbeat: {every: 1h}`"],
        ),
        (
            job(json!({})),
            vec![
                "/heartbeat: needs `every`, e.g. `every: 1h`, or `cron`, e.g. `cron: \"0 3 * * *\"`",
            ],
        ),
        (
            job(json!({"every": "1h", "cron": "0 3 * * *"})),
            vec!["/heartbeat/cron: is given beside `every`; write one of them"],
        ),
        (
            job(json!({"every": "1h", "timezone": "UTC"})),
            vec!["/heartbeat/timezone: is that of `cron`; `every` needs none"],
        ),
        (
            job(json!({"every": "100ms", "grace": 0, "maxDuration": "0s"})),
            vec![
                "/heartbeat/every: must be at least 1s",
                "/heartbeat/grace: must be at least 1s",
                "/heartbeat/maxDuration: must be at least 1s",
            ],
        ),
        (
            job(json!({"cron": "0 3 * * *", "timezone": "Berlin"})),
            vec![
                "/heartbeat/timezone: `Berlin` is not a time zone; write e.g. `UTC` or `Europe/Berlin`",
            ],
        ),
        (
            job(json!({"cron": "0 3 31 2 *"})),
            vec!["/heartbeat/cron: `0 3 31 2 *` names a day that never comes"],
        ),
        (
            job(json!({"every": "1h", "gracee": "1m"})),
            vec!["/heartbeat/gracee: is not a known key; did you mean `grace`?"],
        ),
        (
            json!({"name": "a", "heartbeat": {"every": "1h"}, "probes": [{"plugin": "tcp"}]}),
            vec![
                "/baseUrl: is missing; what is asked of the service beside its heartbeat needs it",
            ],
        ),
        (
            json!({"name": "a", "baseUrl": "https://a", "heartbeat": {"every": "1h"}, "probes": [{"plugin": "tcp", "name": "heartbeat"}]}),
            vec![
                "/probes/0/name: `heartbeat` is the name under which the service's heartbeat is observed; give this probe another `name`",
            ],
        ),
        (
            json!({"name": "a", "type": "Heartbeet", "baseUrl": "https://a"}),
            vec![
                "/type: no probe is known for the type `Heartbeet`; did you mean `Heartbeat`?; or set `monitoring.probe`",
            ],
        ),
    ] {
        let registry = registry(FileEntries::default()).await;
        let error = registry.create(service.clone()).await.unwrap_err();
        let CatalogError::Invalid(faults) = error else {
            panic!("{service}: {error}")
        };
        assert_eq!(texts(&faults), wanted, "{service}");
    }
}
