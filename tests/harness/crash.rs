//! `kill -9` at random moments: what was committed is kept, and every notification that was due has
//! been sent, in order. The test does it often, the benchmark very often.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use crate::api::Api;
use crate::inbox::{Inbox, Mood, Received};
use crate::runtime::TestRuntime;
use crate::vendor::Vendor;
use crate::wait::wait_for;

const SERVICES: [&str; 3] = ["/a", "/b", "/c"];

/// Time after the last start: a message may still have to wait for its next attempt, whose distance
/// grows.
const DELIVERY: Duration = Duration::from_secs(600);

/// `EXTRACK_TEST_SEED` repeats a run; how far the program comes between two kills is the machine's
/// doing all the same.
fn seed() -> u64 {
    match std::env::var("EXTRACK_TEST_SEED") {
        Ok(seed) => seed.parse().expect("EXTRACK_TEST_SEED is a whole number"),
        Err(_) => rand::rng().random(),
    }
}

fn services(vendor: &Vendor) -> String {
    let service = |path: &&str| {
        format!(
            "\n  - {{name: \"Service {name}\", slug: {name}, baseUrl: \"{url}\", healthEndpoint: \"{path}\", \
             monitoring: {{interval: 1, timeout: 500}}}}",
            name = &path[1..],
            url = vendor.url()
        )
    };
    format!(
        "services:{}\n",
        SERVICES.iter().map(service).collect::<String>()
    )
}

fn alerts(inbox: &Inbox) -> String {
    format!(
        r#"
alerts:
  - name: "Service Down"
    condition: "status in ['unhealthy', 'error']"
    severity: "critical"
    notifications:
      - {{channel: webhook, name: ops, url: "{}"}}
      - {{channel: webhook, name: team, url: "{}"}}
"#,
        inbox.url("/ops"),
        inbox.url("/team")
    )
}

/// Kills the program so often, or as often as the time allows, and panics where anything is lost,
/// out of order, or there twice under two keys.
pub async fn kill_often(most: usize, within: Duration) {
    let seed = seed();
    println!("EXTRACK_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (vendor, mut inbox) = (Vendor::start().await, Inbox::start().await);
    let mut runtime = TestRuntime::builder()
        .services(services(&vendor))
        .alerts(alerts(&inbox))
        .prepare();
    let mut acknowledged: BTreeSet<i64> = BTreeSet::new();
    let mut killed_while_starting = 0;
    let started = Instant::now();

    let mut kills = 0;
    while kills < most && started.elapsed() < within {
        kills += 1;
        let mood = match random.random_range(0..4) {
            0 => Mood::Failing,
            1 => Mood::Refusing,
            _ => Mood::Up,
        };
        inbox.set_mood(mood).await;
        for path in SERVICES {
            vendor.set_status(path, if random.random_bool(0.5) { 200 } else { 503 });
        }
        let life = Duration::from_millis(random.random_range(0..2_000));
        if random.random_bool(0.1) {
            runtime.start_unready();
            killed_while_starting += 1;
        } else {
            runtime.start().await;
        }
        let moment = Instant::now() + life;
        // Until its moment comes, ask for checks, and believe in those that were answered.
        let api = runtime.api();
        while Instant::now() < moment {
            let path = SERVICES[random.random_range(0..SERVICES.len())];
            let asked = timeout(
                moment - Instant::now(),
                api.try_send(api.check_request(&path[1..])),
            )
            .await;
            match asked {
                Ok(Ok(reply)) if reply.status == 200 => {
                    let observation = reply.expect(200);
                    acknowledged.insert(
                        observation["runId"]
                            .as_i64()
                            .expect("an observation has its `runId`"),
                    );
                }
                // Not up yet: look again in a moment.
                Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                Ok(Ok(reply)) => {
                    panic!("a check was answered with {}: {}", reply.status, reply.text)
                }
                Err(_) => {}
            }
        }
        runtime.kill().await;
        assert_nothing_set_aside(&runtime, seed);
    }
    println!(
        "{kills} kills in {} s, {killed_while_starting} of them at a start; {} checks acknowledged",
        started.elapsed().as_secs(),
        acknowledged.len()
    );

    inbox.set_mood(Mood::Up).await;
    for path in SERVICES {
        vendor.set_status(path, 200);
    }
    runtime.start().await;
    let api = runtime.api();
    wait_for(
        "every alert to be resolved and every message to be delivered",
        DELIVERY,
        async || {
            let open: Vec<Value> = api
                .list("/api/v1/alerts")
                .await
                .into_iter()
                .filter(|alert| alert["state"] != "resolved")
                .collect();
            let waiting = api.list("/api/v1/notifications?state=waiting").await;
            if open.is_empty() && waiting.is_empty() {
                Ok(())
            } else {
                Err(format!("{open:?}\n{waiting:?}"))
            }
        },
    )
    .await;
    println!(
        "all delivered {} s after the first start",
        started.elapsed().as_secs()
    );

    // Each transition that is notified has its messages, one for each channel.
    let mut transitions = 0;
    for alert in api.list("/api/v1/alerts").await {
        let count = |detail: &Value, list: &str, key: &str, word: &str| {
            detail[list]
                .as_array()
                .unwrap()
                .iter()
                .filter(|item| item[key] == word)
                .count()
        };
        // Messages are made after the transition that they are about.
        let detail = wait_for(
            "two messages that it fires and two that it has ended",
            DELIVERY,
            async || {
                let detail = api
                    .get(&format!("/api/v1/alerts/{}", alert["id"]))
                    .await
                    .expect(200);
                let made = ["firing", "resolved"]
                    .map(|word| count(&detail, "notifications", "status", word));
                if made == [2, 2] {
                    Ok(detail)
                } else {
                    Err(format!("{detail:#}"))
                }
            },
        )
        .await;
        let steps = ["firing", "resolved"].map(|word| count(&detail, "events", "to", word));
        assert_eq!(steps, [1, 1], "{detail:#}");
        transitions += 2;
    }
    assert!(
        transitions >= 20,
        "only {transitions} transitions: the test did not try what it should"
    );

    // Each message has arrived, and none that was never committed.
    let arrived: BTreeMap<String, usize> =
        inbox
            .all()
            .into_iter()
            .fold(BTreeMap::new(), |mut counts, message| {
                *counts.entry(idempotency_key(&message)).or_default() += 1;
                counts
            });
    let notifications = api.list("/api/v1/notifications").await;
    let mut wanted = BTreeSet::new();
    for notification in &notifications {
        assert_eq!(notification["state"], "delivered", "{notification:#}");
        wanted.insert(
            notification["idempotencyKey"]
                .as_str()
                .expect("a notification has its key")
                .to_owned(),
        );
    }
    assert_eq!(wanted.len(), notifications.len(), "keys are not unique");
    assert_eq!(wanted.len(), 2 * transitions);
    assert_eq!(arrived.keys().cloned().collect::<BTreeSet<_>>(), wanted);
    let first = first_arrivals(&inbox.all());
    assert_in_order(&notifications, &first);
    println!(
        "{transitions} transitions, {} messages: 0 lost, 0 out of order, 0 twice under two keys; {} arrived again under the same key",
        wanted.len(),
        arrived.values().filter(|count| **count > 1).count()
    );

    // The events in DuckDB are those of the control store, once each.
    let in_control: BTreeSet<i64> = events(&api).await;
    wait_for(
        "the events in DuckDB",
        Duration::from_secs(30),
        async || {
            let ids = api
                .sql_numbers("SELECT event_id FROM alert_events ORDER BY event_id")
                .await;
            let distinct: BTreeSet<i64> = ids.iter().copied().collect();
            assert_eq!(distinct.len(), ids.len(), "an event was copied twice");
            if distinct == in_control {
                Ok(())
            } else {
                Err(format!("{:?}", in_control.symmetric_difference(&distinct)))
            }
        },
    )
    .await;

    // Every observation that was answered is there, once.
    let ids = api
        .sql_numbers("SELECT run_id FROM observations ORDER BY run_id")
        .await;
    let stored: BTreeSet<i64> = ids.iter().copied().collect();
    assert_eq!(stored.len(), ids.len(), "a run is stored twice");
    let lost: Vec<&i64> = acknowledged.difference(&stored).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged observations are gone: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    assert!(
        acknowledged.len() >= kills / 2,
        "only {} checks were acknowledged",
        acknowledged.len()
    );
}

/// Panics where a start found a damaged file; the folder is kept for a look at it.
fn assert_nothing_set_aside(runtime: &TestRuntime, seed: u64) {
    let entries = std::fs::read_dir(runtime.data()).expect("the data folder can be read");
    let aside: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.contains(".damaged-"))
        .collect();
    if aside.is_empty() {
        return;
    }
    let kept = std::env::temp_dir().join(format!("extrack-crash-{seed}"));
    let moved = std::fs::rename(runtime.data(), &kept);
    panic!(
        "set aside as damaged: {aside:?}, kept in {} ({moved:?})\n{}",
        kept.display(),
        runtime.logs()
    );
}

/// When each key arrived first: its place among all messages.
fn first_arrivals(messages: &[Received]) -> BTreeMap<String, usize> {
    let mut first = BTreeMap::new();
    for (place, message) in messages.iter().enumerate() {
        first.entry(idempotency_key(message)).or_insert(place);
    }
    first
}

/// Checks that of one group on one channel, what was decided on first arrived first.
fn assert_in_order(notifications: &[Value], first: &BTreeMap<String, usize>) {
    let mut lines: BTreeMap<(String, String), Vec<(i64, usize)>> = BTreeMap::new();
    for notification in notifications {
        let text = |key: &str| {
            notification[key]
                .as_str()
                .unwrap_or_else(|| panic!("no `{key}`: {notification}"))
                .to_owned()
        };
        let id = notification["id"]
            .as_i64()
            .expect("a notification has its `id`");
        lines
            .entry((text("groupKey"), text("channel")))
            .or_default()
            .push((id, first[&text("idempotencyKey")]));
    }
    for ((group, channel), mut line) in lines {
        line.sort_unstable();
        assert!(
            line.is_sorted_by_key(|(_, place)| *place),
            "{group} on {channel} is out of order: {line:?}"
        );
    }
}

/// The key is the same for every attempt; where the webhook carries it.
fn idempotency_key(message: &Received) -> String {
    let key = message
        .headers
        .get("idempotency-key")
        .expect("a webhook carries its key");
    key.to_str()
        .expect("keys are plain text")
        .trim_matches('"')
        .to_owned()
}

async fn events(api: &Api) -> BTreeSet<i64> {
    let mut ids = BTreeSet::new();
    for alert in api.list("/api/v1/alerts").await {
        let detail = api
            .get(&format!("/api/v1/alerts/{}", alert["id"]))
            .await
            .expect(200);
        ids.extend(
            detail["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["id"].as_i64().unwrap()),
        );
    }
    ids
}
