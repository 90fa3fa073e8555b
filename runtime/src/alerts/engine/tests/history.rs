//! Histories that are read back.

use super::*;

#[tokio::test(start_paused = true)]
async fn history_is_read_back_before_the_first_evaluation_and_counts_no_run_twice() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    pass(3_600).await;
    let now_ms = world.clock.now_ms();
    let recorded = (0..100).map(|n| Observation {
        run_id: n - 99,
        ..observation("shop-api", now_ms - (99 - n) * 30_000, Status::Healthy)
    });
    world.history.recorded.lock().unwrap().extend(recorded);
    // The first run of this process has reached the results already.
    world.history.recorded.lock().unwrap().push(Observation {
        run_id: 1,
        ..observation("shop-api", now_ms, Status::Healthy)
    });
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(
        world.rules.seen(),
        [("shop-api".to_owned(), 1, 21)],
        "20 in the ten minutes before, and itself"
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_of_a_rule_that_looks_back_further_sees_as_far_at_once() {
    let mut looks_back_a_minute = rule("shop-api", "Down");
    looks_back_a_minute.settings = serde_json::json!({"lookBackS": 60});
    let mut world = World::new(&[looks_back_a_minute]).await;
    pass(3_600).await;
    let now_ms = world.clock.now_ms();
    let recorded = (0..100).map(|n| Observation {
        run_id: n - 99,
        ..observation("shop-api", now_ms - (100 - n) * 30_000, Status::Healthy)
    });
    world.history.recorded.lock().unwrap().extend(recorded);
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.history.loads().len(), 1);
    world.rules.swap(Duration::from_secs(600));
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(
        world.history.loads().len(),
        2,
        "it was read again, further back"
    );
    assert_eq!(
        world.rules.seen()[1].2,
        19 + 2,
        "those of the ten minutes before, and its own two"
    );
}

fn looking_back(name: &str, seconds: u64) -> AlertRule {
    AlertRule {
        settings: serde_json::json!({"lookBackS": seconds}),
        ..rule("shop-api", name)
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_that_can_not_be_read_is_read_again_and_only_rules_that_need_it_wait() {
    let mut world = World::new(&[]).await;
    let now_ms = world.clock.now_ms();
    let recorded = (0..100).map(|n| Observation {
        run_id: n - 100,
        ..observation("shop-api", now_ms - (100 - n) * 5_000, Status::Healthy)
    });
    world.history.recorded.lock().unwrap().extend(recorded);
    world.history.set(Reading::Fails);
    world
        .publish(&[looking_back("Now", 0), looking_back("Long", 600)])
        .await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(
        world.store.story(),
        ["1:firing"],
        "the one that looks at the last run alone"
    );
    let standing = world.signals.rule_statuses().get("shop-api/Long");
    let Some(crate::domain::Verdict::NoOpinion(reason)) = &standing.verdict else {
        panic!("{standing:?}")
    };
    assert_eq!(
        reason,
        "it looks back 10m, and the history can't be read: the disk is full; it is tried again"
    );
    pass(60).await;
    world.observe("shop-api", Status::Unhealthy).await;
    let tries = world.history.loads().len();
    assert!((4..8).contains(&tries), "it backs off: {tries}");
    world.history.set(Reading::Works);
    pass(120).await;
    assert_eq!(
        world.store.story(),
        ["1:firing", "2:firing"],
        "judged as soon as the history is there"
    );
    let counts: Vec<u64> = world
        .rules
        .seen()
        .into_iter()
        .map(|(_, _, count)| count)
        .collect();
    // The last ten minutes hold all that was recorded, and the two runs since.
    assert_eq!(counts, [1, 2, 102]);
    let tries = world.history.loads().len();
    pass(3_600).await;
    assert_eq!(
        world.history.loads().len(),
        tries,
        "once it is there it is not read again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rule_whose_look_back_has_passed_since_the_start_needs_no_history() {
    let mut world = World::new(&[]).await;
    world.history.set(Reading::Fails);
    world.publish(&[looking_back("Down", 600)]).await;
    for _ in 0..9 {
        world.observe("shop-api", Status::Unhealthy).await;
        pass(60).await;
    }
    assert!(world.store.story().is_empty() && world.rules.seen().is_empty());
    pass(70).await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(world.store.story(), ["1:firing"]);
}

#[tokio::test(start_paused = true)]
async fn results_that_hang_hold_up_no_service_for_longer_than_the_patience() {
    let services: Vec<String> = (0..200).map(|n| format!("s{n}")).collect();
    let rules: Vec<AlertRule> = services
        .iter()
        .flat_map(|slug| {
            let looking_back = |name: &str, seconds: u64| AlertRule {
                settings: serde_json::json!({"lookBackS": seconds}),
                ..rule(slug, name)
            };
            [looking_back("Now", 0), looking_back("Long", 600)]
        })
        .collect();
    let mut world = World::new(&[]).await;
    world.history.set(Reading::Hangs);
    world.publish(&rules).await;
    for slug in &services {
        world.send(slug, Status::Unhealthy).await;
    }
    pass(3).await;
    assert_eq!(
        world.store.story().len(),
        services.len(),
        "all of those that need no history have fired"
    );
    assert_eq!(world.history.passes(), 2, "two passes at once");
    world.history.set(Reading::Works);
    // The two that hang end with their time, then all others are read together.
    pass(45).await;
    assert_eq!(world.store.story().len(), 2 * services.len());
    assert!(world.history.passes() < 20, "{}", world.history.passes());
}

#[tokio::test(start_paused = true)]
async fn runs_are_evaluated_one_by_one_although_their_history_comes_late() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    for status in [Status::Unhealthy, Status::Healthy, Status::Unhealthy] {
        world.send("shop-api", status).await;
    }
    settle().await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved", "2:firing"]);
}
