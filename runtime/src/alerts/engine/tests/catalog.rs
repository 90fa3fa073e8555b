//! Rules that come, go and change.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_removed_rule_resolves_its_alert_and_notifies_the_channels_of_its_firing() {
    for while_running in [true, false] {
        let mut world = World::new(&[
            rule("shop-api", "Down"),
            rule("shop-api", "Slow"),
            lasting(60),
        ])
        .await;
        world
            .publish(&[
                rule("shop-api", "Down"),
                AlertRule {
                    duration: Duration::from_secs(60),
                    ..rule("mail", "Late")
                },
            ])
            .await;
        world.observe("shop-api", Status::Unhealthy).await;
        world.observe("mail", Status::Unhealthy).await;
        if while_running {
            world.publish(&[]).await;
        } else {
            world.stop().await;
            world.catalog.send_replace(Arc::new(Catalog {
                version: 9,
                ..Catalog::default()
            }));
            world.start().await;
        }
        let mut story = world.store.story();
        story.sort();
        assert_eq!(story, ["1:firing", "1:resolved", "2:pending", "2:resolved"]);
        assert_eq!(world.outbox(), ["slack-1:firing", "slack-1:resolved"]);
        assert!(
            world
                .store
                .state()
                .events
                .iter()
                .skip(2)
                .all(|event| event.reason == "rule removed")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_can_not_run_keeps_its_alerts_until_it_runs_again_or_is_removed() {
    for comes_back in [true, false] {
        let mut world = World::new(&[rule("shop-api", "Down")]).await;
        world.observe("shop-api", Status::Unhealthy).await;
        let stopped = with_probe(&[], None).services;
        world.catalog.send_replace(Arc::new(Catalog {
            version: 7,
            stopped,
            ..Catalog::default()
        }));
        settle().await;
        world.crash().await;
        pass(60).await;
        assert_eq!(world.store.story(), ["1:firing"]);
        match comes_back {
            true => {
                world.publish(&[rule("shop-api", "Down")]).await;
                world.observe("shop-api", Status::Healthy).await;
            }
            false => world.publish(&[]).await,
        }
        assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
        let reason = world.store.state().events[1].reason.clone();
        assert_eq!(reason == "rule removed", !comes_back, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_service_keeps_its_alert_and_is_judged_again_once_it_is_resumed() {
    use crate::domain::Pause;
    let rules = [rule("shop-api", "Down")];
    let mut world = World::new(&rules).await;
    world.observe("shop-api", Status::Unhealthy).await;
    let sent = world.outbox();
    let pause = Pause {
        until_ms: None,
        reason: "moving".to_owned(),
        by: None,
    };
    world.catalog.send_replace(Arc::new(Catalog {
        version: 7,
        paused: Arc::new([("shop-api".to_owned(), pause)].into()),
        ..fakes::catalog(&rules)
    }));
    settle().await;
    world.crash().await;
    // A run that was under way when it was paused.
    world.observe("shop-api", Status::Healthy).await;
    pass(600).await;
    assert_eq!(world.store.story(), ["1:firing", "1:suppressed"]);
    assert_eq!(world.outbox(), sent);
    world.publish(&rules).await;
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(
        world.store.story(),
        ["1:firing", "1:suppressed", "1:firing", "1:resolved"]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_resolved_before_a_catalog_was_published() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    world.observe("shop-api", Status::Unhealthy).await;
    let rules = world.catalog.borrow().clone();
    world.stop().await;
    world.catalog.send_replace(Arc::new(Catalog::default()));
    world.start().await;
    pass(60).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    world.catalog.send_replace(rules);
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_evaluated_before_the_open_alerts_were_read() {
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    world.observe("shop-api", Status::Unhealthy).await;
    world.stop().await;
    world.store.fail_reads(3);
    world.start().await;
    world.observe("shop-api", Status::Unhealthy).await;
    pass(60).await;
    assert_eq!(world.store.story(), ["1:firing"]);
    assert_eq!(world.rules.seen().len(), 2, "judged once they were read");
}

#[tokio::test(start_paused = true)]
async fn the_severity_of_an_edited_rule_reaches_its_open_alert() {
    use crate::domain::Severity;
    let to = |severity, names: &[&str]| AlertRule {
        severity,
        channels: names
            .iter()
            .map(|name| ChannelId((*name).to_owned()))
            .collect(),
        ..rule("shop-api", "Down")
    };
    let mut world = World::new(&[to(Severity::Warning, &["slack-1"])]).await;
    world.observe("shop-api", Status::Unhealthy).await;
    world
        .publish(&[to(Severity::Critical, &["slack-1", "pager-1"])])
        .await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:firing"]);
    {
        let state = world.store.state();
        assert_eq!(state.alerts[&1].severity, Severity::Critical);
        assert_eq!(
            state.events[1].reason,
            "its rule was edited: the severity is critical, and was warning"
        );
    }
    let told = ["pager-1:firing", "slack-1:firing", "slack-1:firing"];
    let outbox = |world: &World| {
        let mut outbox = world.outbox();
        outbox.sort();
        outbox
    };
    assert_eq!(
        outbox(&world),
        told,
        "who was told is told that it became worse, and who is to know now"
    );
    world
        .publish(&[to(Severity::Info, &["slack-1", "mail-1"])])
        .await;
    world.observe("shop-api", Status::Unhealthy).await;
    assert_eq!(outbox(&world), told, "that it became less is no news");
    assert_eq!(world.store.state().alerts[&1].severity, Severity::Info);
    world.observe("shop-api", Status::Healthy).await;
    let told = [
        "pager-1:firing",
        "pager-1:resolved",
        "slack-1:firing",
        "slack-1:firing",
        "slack-1:resolved",
    ];
    assert_eq!(outbox(&world), told, "the end goes to who was told");
}

#[tokio::test(start_paused = true)]
async fn an_alert_about_a_plugin_fires_and_resolves_as_any_other() {
    let mut world = World::new(&[rule("plugin:http", "Plugin failing")]).await;
    world.observe("plugin:http", Status::Unhealthy).await;
    world.crash().await;
    world.observe("plugin:http", Status::Healthy).await;
    assert_eq!(world.store.story(), ["1:firing", "1:resolved"]);
    assert_eq!(world.outbox(), ["slack-1:firing", "slack-1:resolved"]);
}
