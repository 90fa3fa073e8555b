//! Counts and times that go on after a crash.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_count_that_has_begun_goes_on_over_a_crash() {
    use crate::domain::{AlertOptions, Failures};
    let options = AlertOptions {
        failures: Failures { count: 3, of: 5 },
        ..AlertOptions::default()
    };
    let mut world = World::new(&[AlertRule {
        options,
        ..rule("shop-api", "Down")
    }])
    .await;
    for status in [Status::Unhealthy, Status::Healthy, Status::Unhealthy] {
        world.observe("shop-api", status).await;
    }
    world.crash().await;
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:pending"]);
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(world.store.story(), ["1:pending", "1:firing"]);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_an_alert_is_kept_goes_on_over_a_crash() {
    use crate::domain::AlertOptions;
    let options = AlertOptions {
        keep_firing_for: Duration::from_secs(60),
        ..AlertOptions::default()
    };
    let mut world = World::new(&[AlertRule {
        options,
        ..rule("shop-api", "Down")
    }])
    .await;
    world.observe("shop-api", Status::Unhealthy).await;
    world.observe("shop-api", Status::Healthy).await;
    world.crash().await;
    pass(60).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
}

#[tokio::test(start_paused = true)]
async fn flapping_goes_on_over_a_crash() {
    use crate::domain::{AlertOptions, FlappingThresholds};
    let options = AlertOptions {
        flapping: Some(FlappingThresholds::default()),
        ..AlertOptions::default()
    };
    let mut world = World::new(&[AlertRule {
        options,
        ..rule("shop-api", "Down")
    }])
    .await;
    for _ in 0..2 {
        world.observe("shop-api", Status::Unhealthy).await;
        world.observe("shop-api", Status::Healthy).await;
        world.crash().await;
    }
    world.observe("shop-api", Status::Unhealthy).await;
    world.observe("shop-api", Status::Healthy).await;
    let story = [
        "1:firing",
        "1:resolved",
        "2:firing",
        "2:resolved",
        "3:firing",
        "3:firing",
    ];
    assert_eq!(
        world.store.story(),
        story,
        "the third does not end: it flaps"
    );
    world.crash().await;
    for _ in 0..20 {
        world.observe("shop-api", Status::Healthy).await;
    }
    assert_eq!(
        world.store.story().last().unwrap(),
        "3:resolved",
        "once it has calmed"
    );
}
