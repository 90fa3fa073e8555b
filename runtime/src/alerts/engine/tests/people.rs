//! Alerts that people change.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_a_person_resolved_is_no_alert_again_until_the_rule_was_satisfied() {
    use crate::alerts::AlertActions;
    use crate::domain::AlertId;
    for restarts in [false, true] {
        let mut world = World::new(&[rule("shop-api", "Down")]).await;
        world.observe("shop-api", Status::Unhealthy).await;
        let store = world.store.control();
        let actions = AlertActions::new(store, Arc::new(world.clock), world.signals.clone());
        actions.resolve(AlertId(1), "ann", "known").await.unwrap();
        if restarts {
            world.crash().await;
        }
        for status in [
            Status::Unhealthy,
            Status::Unhealthy,
            Status::Healthy,
            Status::Healthy,
            Status::Unhealthy,
        ] {
            world.observe("shop-api", status).await;
        }
        assert_eq!(
            world.store.story(),
            ["1:firing", "1:resolved", "2:firing"],
            "restarts: {restarts}"
        );
        assert!(!world.store.state().memories["shop-api/Down"].1.is_held);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_made_again_alerts_again_although_its_alert_was_resolved_by_hand() {
    use crate::alerts::{AlertActions, ports::MemoryChange};
    use crate::domain::AlertId;
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Gone {
        /// The engine sees a catalog without it.
        Seen,
        /// The service is made again before the engine looks; the store forgets with the service.
        Unseen,
        WhileStopped,
    }
    for gone in [Gone::Seen, Gone::Unseen, Gone::WhileStopped] {
        let mut world = World::new(&[rule("shop-api", "Down")]).await;
        world.observe("shop-api", Status::Unhealthy).await;
        let store = world.store.control();
        let actions =
            AlertActions::new(store.clone(), Arc::new(world.clock), world.signals.clone());
        actions.resolve(AlertId(1), "ann", "known").await.unwrap();
        world.observe("shop-api", Status::Unhealthy).await;
        assert_eq!(
            world.store.story(),
            ["1:firing", "1:resolved"],
            "{gone:?}: it is held"
        );
        match gone {
            Gone::Seen => world.publish(&[]).await,
            Gone::Unseen => {
                store
                    .rule_memory_put("shop-api/Down", "shop-api", MemoryChange::Forgotten)
                    .await
                    .unwrap();
            }
            Gone::WhileStopped => {
                world.stop().await;
                world.catalog.send_replace(Arc::new(Catalog {
                    version: 9,
                    ..Catalog::default()
                }));
                world.start().await;
            }
        }
        if gone != Gone::Unseen {
            assert!(world.store.state().memories.is_empty(), "{gone:?}");
        }
        world.publish(&[rule("shop-api", "Down")]).await;
        world.observe("shop-api", Status::Unhealthy).await;
        assert_eq!(
            world.store.story(),
            ["1:firing", "1:resolved", "2:firing"],
            "{gone:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn people_and_the_engine_on_one_alert_do_not_undo_each_other() {
    use crate::alerts::AlertActions;
    use crate::domain::AlertId;
    let mut world = World::new(&[rule("shop-api", "Down")]).await;
    world.observe("shop-api", Status::Unhealthy).await;
    let store = world.store.control();
    let actions = AlertActions::new(store, Arc::new(world.clock), world.signals.clone());
    actions
        .acknowledge(AlertId(1), "ann", None, "looking")
        .await
        .unwrap();
    world.observe("shop-api", Status::Unhealthy).await;
    // The engine still takes it for firing, and has to find out in the same turn.
    world.observe("shop-api", Status::Healthy).await;
    assert_eq!(
        world.store.story(),
        ["1:firing", "1:acknowledged", "1:resolved"]
    );
    let alert = world.store.state().alerts[&1].clone();
    assert_eq!(
        alert.flags.acknowledged.unwrap().by,
        "ann",
        "who was on it stays known"
    );
}
