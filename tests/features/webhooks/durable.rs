//! `kill -9` while deliveries come: what was confirmed is kept, once, whatever the sender repeats.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::Rng;
use serde_json::json;
use tokio::task::JoinSet;

use super::sender::standard;
use super::*;

const KILLS: usize = 6;
/// Senders at the same time; each waits for its answer.
const SENDERS: usize = 4;

async fn send(api: &Api, id: &str) -> bool {
    let body = json!({"type": "n", "data": {"id": id}}).to_string();
    let mut request = api.request(Method::POST, "/webhooks/shop/std");
    for (name, value) in standard("STANDARD_SECRET", id, &body, now_s()) {
        request = request.header(name, value);
    }
    match api.try_send(request.body(body)).await {
        Ok(reply) => reply.status == 200,
        // The program went down: was it kept? It was not confirmed.
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_event_survives_kill_9() {
    let (mut runtime, _vendor) = started(WEBHOOKS, "").await;
    let (mut confirmed, mut unconfirmed) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..KILLS {
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let api = runtime.api().anonymous();
            senders.spawn(async move {
                let mut sent = Vec::new();
                for number in 0.. {
                    let id = format!("msg_{round}_{sender}_{number}");
                    let is_confirmed = send(&api, &id).await;
                    sent.push((id, is_confirmed));
                    if !is_confirmed {
                        break;
                    }
                }
                sent
            });
        }
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(50..600))).await;
        runtime.kill().await;
        while let Some(sent) = senders.join_next().await {
            for (id, is_confirmed) in sent.expect("a sender only sends") {
                if is_confirmed {
                    confirmed.insert(id)
                } else {
                    unconfirmed.insert(id)
                };
            }
        }
        runtime.start().await;
    }
    println!(
        "{} confirmed, {} not, {KILLS} kills",
        confirmed.len(),
        unconfirmed.len()
    );
    assert!(
        confirmed.len() >= KILLS,
        "only {} deliveries were confirmed",
        confirmed.len()
    );

    // The senders repeat all they have, as they would after an outage.
    let api = runtime.api();
    for id in confirmed.iter().chain(&unconfirmed).take(150) {
        assert!(send(&api.anonymous(), id).await, "{id}");
    }
    for id in &unconfirmed {
        assert!(send(&api.anonymous(), id).await, "{id}");
    }
    let rows = api
        .sql("SELECT event_id, count(*) FROM events GROUP BY event_id")
        .await;
    let twice: Vec<_> = rows.iter().filter(|row| row[1] != 1).collect();
    assert!(twice.is_empty(), "kept more than once: {twice:?}");
    let stored: BTreeSet<String> = rows
        .iter()
        .map(|row| row[0].as_str().expect("an id").to_owned())
        .collect();
    let sent: BTreeSet<String> = confirmed.union(&unconfirmed).cloned().collect();
    assert_eq!(stored, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_report_is_judged_even_if_the_program_dies_at_once() {
    let alerts =
        "alerts:\n  - {name: Vendor, condition: \"status == 'unhealthy'\", probes: [statuspage]}\n";
    let (mut runtime, _vendor) = started(WEBHOOKS, alerts).await;
    let path = format!(
        "/webhooks/shop/statuspage?token={}",
        super::sender::secret("STATUSPAGE_SECRET")
    );
    for round in 0..6 {
        let (status, open) = if round % 2 == 0 {
            ("major_outage", 1)
        } else {
            ("operational", 0)
        };
        let update = json!({
            "component": {"id": "c1", "name": "API"},
            "component_update": {"id": format!("u{round}"), "old_status": "x", "new_status": status},
        });
        assert_eq!(
            post(&runtime.api(), &path, &[], update.to_string())
                .await
                .expect(200),
            kept(1, 0)
        );
        runtime.kill().await;
        runtime.start().await;
        let api = runtime.api();
        wait_for("the alert to follow the report", PATIENCE, async || {
            let alerts = api.list("/api/v1/alerts?state=firing").await;
            if alerts.len() == open {
                Ok(())
            } else {
                Err(format!("{status}: {alerts:?}"))
            }
        })
        .await;
    }
}
