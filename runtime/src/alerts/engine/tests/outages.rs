//! A store that commits nothing for a while: what people are notified of from memory, and what is
//! committed later.

use super::*;
use crate::alerts::fakes;
use crate::alerts::unrecorded::UnrecordedSender;

/// Sends from memory as the program does, and returns what arrives.
fn send_from_memory(world: &World) -> FakeNotifier {
    let notifier = FakeNotifier::default();
    let sender = UnrecordedSender::new(
        world.store.control(),
        Arc::new(notifier.clone()),
        Arc::new(world.clock),
        world.signals.unrecorded().clone(),
        String::new(),
    );
    tokio::spawn(sender.run(world.catalog.subscribe(), CancellationToken::new()));
    notifier
}

const FIRING: &str = "slack-1:firing:shop-api";
const RESOLVED: &str = "slack-1:resolved:shop-api";

#[tokio::test(start_paused = true)]
async fn each_outage_and_each_end_is_sent_once_while_nothing_can_be_committed_and_never_again() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    let notifier = send_from_memory(&world);
    world.store.fail_commits(usize::MAX);
    let mut sent = Vec::new();
    for (status, message) in [
        (Status::Unhealthy, FIRING),
        (Status::Healthy, RESOLVED),
        (Status::Unhealthy, FIRING),
        (Status::Healthy, RESOLVED),
        (Status::Unhealthy, FIRING),
    ] {
        for _ in 0..3 {
            world.observe("shop-api", status).await;
            pass(5).await;
        }
        sent.push(message);
        assert_eq!(notifier.inbox(), sent);
    }
    pass(3_600).await;
    world.observe("shop-api", Status::Unhealthy).await;
    pass(5).await;
    assert_eq!(notifier.inbox(), sent, "and not again after a while");

    world.store.fail_commits(0);
    pass(60).await;
    let story = [
        "1:firing",
        "1:resolved",
        "2:firing",
        "2:resolved",
        "3:firing",
    ];
    assert_eq!(world.store.story(), story);
    assert_eq!(world.outbox(), [""; 0], "all of it was sent from memory");
    world.observe("shop-api", Status::Healthy).await;
    pass(5).await;
    assert_eq!(world.outbox(), ["slack-1:resolved"]);
    assert_eq!(notifier.inbox(), sent);
}

#[tokio::test(start_paused = true)]
async fn an_alert_on_record_ends_from_memory_and_the_next_outage_fires_from_memory() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    let notifier = send_from_memory(&world);
    world.observe("shop-api", Status::Unhealthy).await;
    pass(5).await;
    assert_eq!(world.outbox(), ["slack-1:firing"]);
    world.store.fail_commits(usize::MAX);
    for status in [Status::Healthy, Status::Unhealthy] {
        world.observe("shop-api", status).await;
        pass(5).await;
    }
    assert_eq!(notifier.inbox(), [RESOLVED, FIRING]);
    world.store.fail_commits(0);
    pass(60).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved", "2:firing"]);
    assert_eq!(
        world.outbox(),
        ["slack-1:firing"],
        "the rest was sent from memory"
    );
}

#[tokio::test(start_paused = true)]
async fn a_breach_that_has_to_last_fires_from_memory_when_it_has() {
    let mut world = World::new(&[lasting(60)]).await;
    let notifier = send_from_memory(&world);
    world.store.fail_commits(usize::MAX);
    for _ in 0..3 {
        world.observe("shop-api", Status::Unhealthy).await;
        pass(29).await;
    }
    assert_eq!(notifier.inbox(), [""; 0], "58 seconds");
    world.observe("shop-api", Status::Unhealthy).await;
    pass(5).await;
    assert_eq!(notifier.inbox(), [FIRING]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_fires_from_memory_although_the_alerts_cant_be_read_either() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    let notifier = send_from_memory(&world);
    {
        world.store.fail_commits(usize::MAX);
        world.store.fail_reads(usize::MAX);
    }
    for status in [Status::Unhealthy, Status::Healthy, Status::Unhealthy] {
        world.observe("shop-api", status).await;
        pass(5).await;
    }
    assert_eq!(notifier.inbox(), [FIRING, RESOLVED, FIRING]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_removed_ends_what_it_sent_from_memory() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    let notifier = send_from_memory(&world);
    world.store.fail_commits(usize::MAX);
    world.observe("shop-api", Status::Unhealthy).await;
    pass(5).await;
    let channels = fakes::catalog(&[rule("shop-api", "Down")]).channels;
    let version = world.catalog.borrow().version + 1;
    let slow = fakes::catalog(&[rule("shop-api", "Slow")]);
    world.catalog.send_replace(Arc::new(Catalog {
        version,
        channels,
        ..slow
    }));
    pass(5).await;
    assert_eq!(notifier.inbox(), [FIRING, RESOLVED]);
}
