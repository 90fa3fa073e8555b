//! Time that passes without observations.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_rule_without_a_verdict_for_long_is_shown_and_counts_as_configured() {
    use crate::domain::{AlertOptions, NoData};
    let ruled = |name: &str, no_data| AlertRule {
        options: AlertOptions {
            no_data,
            ..AlertOptions::default()
        },
        ..rule("shop-api", name)
    };
    let mut world = World::new(&[]).await;
    let rules = [
        ruled("Keep", NoData::Keep),
        ruled("Alert", NoData::Alert),
        ruled("Fine", NoData::Ok),
    ];
    world
        .catalog
        .send_replace(Arc::new(with_probe(&rules, None)));
    settle().await;
    world.observe("shop-api", Status::Unhealthy).await;
    world.observe("shop-api", Status::Healthy).await;
    let before = world.store.story().len();
    let since_ms = world.clock.now_ms();
    // Three intervals are less than the five minutes that are waited at least.
    for _ in 0..28 {
        pass(10).await;
        world.observe("shop-api", Status::Degraded).await;
    }
    assert_eq!(world.store.story().len(), before);
    assert_eq!(world.signals.rule_statuses().silent(), 0);
    pass(40).await;
    for name in ["Keep", "Alert", "Fine"] {
        let standing = world
            .signals
            .rule_statuses()
            .get(&format!("shop-api/{name}"));
        let silent_since = standing.no_data_since_ms.unwrap();
        assert!(
            (silent_since - since_ms).abs() <= 2,
            "{name}: {silent_since} {since_ms}"
        );
    }
    assert_eq!(
        world.store.story()[before..],
        ["4:firing"],
        "the one that wants to know"
    );
    let alert = world.store.state().alerts[&4].clone();
    assert!(alert.flags.no_data && alert.name == "Alert", "{alert:?}");
    assert!(
        alert.summary.ends_with("too little history"),
        "{}",
        alert.summary
    );
    pass(600).await;
    assert_eq!(world.store.story().len(), before + 1, "once");
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story().last().unwrap(), "4:resolved");
    assert_eq!(world.signals.rule_statuses().silent(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_without_any_observation_has_no_data() {
    use crate::domain::{AlertOptions, NoData};
    let options = AlertOptions {
        no_data: NoData::Alert,
        no_data_after: Some(Duration::from_secs(120)),
        ..AlertOptions::default()
    };
    let mut world = World::new(&[]).await;
    world
        .publish(&[AlertRule {
            options,
            ..rule("shop-api", "Down")
        }])
        .await;
    pass(100).await;
    assert!(world.store.story().is_empty());
    world.crash().await;
    pass(100).await;
    assert!(
        world.store.story().is_empty(),
        "the time without the program is nobody's silence"
    );
    pass(40).await;
    assert_eq!(world.store.story(), ["1:firing"]);
}

#[tokio::test(start_paused = true)]
async fn missed_runs_are_the_reason_why_there_is_no_data() {
    use crate::domain::{AlertOptions, NoData};
    let options = AlertOptions {
        no_data: NoData::Alert,
        no_data_after: Some(Duration::from_secs(120)),
        ..AlertOptions::default()
    };
    let mut world = World::new(&[AlertRule {
        options,
        ..rule("shop-api", "Down")
    }])
    .await;
    world.observe("shop-api", Status::Healthy).await;
    for _ in 0..14 {
        pass(10).await;
        let failure = Some(Failure::new(ErrorKind::Plugin, "missed: no free slot"));
        let run = observation("shop-api", world.clock.now_ms(), Status::Error);
        let run = Observation {
            missed: true,
            failure,
            ..run
        };
        world
            .engine
            .as_ref()
            .unwrap()
            .0
            .send(Arc::new(run))
            .await
            .unwrap();
        settle().await;
    }
    assert_eq!(world.store.story(), ["1:firing"]);
    let summary = world.store.state().alerts[&1].summary.clone();
    assert!(
        summary.ends_with("the last one: missed: no free slot"),
        "{summary}"
    );
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_holds_up_no_rule() {
    const HOUR_MS: i64 = 3_600_000;
    for back_ms in [40_000, HOUR_MS] {
        let mut world = World::new(&[lasting(60), absent(60)]).await;
        world.observe("shop-api", Status::Unhealthy).await;
        pass(20).await;
        world.clock.set_back(back_ms);
        world.signals.clock_jumps().add(-back_ms);
        for _ in 0..4 {
            world.observe("shop-api", Status::Unhealthy).await;
            pass(20).await;
        }
        assert_eq!(
            world.store.story(),
            ["1:pending", "1:firing"],
            "back by {back_ms} ms"
        );
        world.observe("shop-api", Status::Healthy).await;
        assert_eq!(
            world.store.story(),
            ["1:pending", "1:firing", "1:resolved"],
            "back by {back_ms} ms"
        );
        pass(90).await;
        assert_eq!(
            world.store.story().last().unwrap(),
            "2:firing",
            "silence is noticed: back by {back_ms} ms"
        );
    }
}

fn absent(seconds: u64) -> AlertRule {
    AlertRule {
        settings: serde_json::json!({"absentS": seconds}),
        ..rule("shop-api", "Silent")
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_noticed_although_nothing_arrives() {
    let mut world = World::new(&[absent(60), rule("mail", "Down")]).await;
    world.observe("mail", Status::Healthy).await;
    world.observe("shop-api", Status::Healthy).await;
    pass(50).await;
    assert_eq!(world.store.story(), [""; 0]);
    pass(30).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    pass(300).await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
    assert_eq!(world.outbox(), ["slack-1:firing", "slack-1:resolved"]);
    assert_eq!(
        world.rules.seen().len(),
        1,
        "a rule that did not ask for it is judged by observations alone"
    );
    let state = world.store.state();
    let moments: Vec<_> = state.events.iter().map(|event| event.ts_ms).collect();
    assert!(
        moments[0] % 15_000 == 0 && moments[0] <= moments[1],
        "{moments:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_reported_is_noticed() {
    let world = World::new(&[absent(60)]).await;
    pass(45).await;
    assert_eq!(world.store.story(), [""; 0]);
    pass(45).await;
    assert_eq!(world.store.story(), ["1:firing"]);
}

#[tokio::test(start_paused = true)]
async fn time_in_which_the_program_did_not_run_is_no_silence() {
    let mut world = World::new(&[absent(60)]).await;
    world.observe("shop-api", Status::Healthy).await;
    pass(50).await;
    world.crash().await;
    pass(50).await;
    assert_eq!(
        world.store.story(),
        [""; 0],
        "it has listened for 50 s only"
    );
    pass(30).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    world.crash().await;
    pass(30).await;
    assert_eq!(
        world.store.story(),
        ["1:firing"],
        "a start is no end of the silence either"
    );
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
    // The machine sleeps for an hour.
    tokio::time::advance(Duration::from_secs(3_600)).await;
    pass(30).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
    pass(60).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved", "2:firing"]);
}

#[tokio::test(start_paused = true)]
async fn an_observation_from_before_a_tick_does_not_turn_time_back() {
    let world = World::new(&[absent(60)]).await;
    pass(90).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    // It was due before the tick that fired, and ended after it.
    let run = observation("shop-api", world.clock.now_ms() - 30_000, Status::Healthy);
    world
        .engine
        .as_ref()
        .unwrap()
        .0
        .send(Arc::new(run))
        .await
        .unwrap();
    settle().await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
    let state = world.store.state();
    assert!(
        state.events[0].ts_ms <= state.events[1].ts_ms,
        "{:?}",
        state.events
    );
}
