//! Updates a message that is put back with the alerts that have ended since: a "firing" that
//! arrives after the end would stay in the channel for ever, because the end is not sent again.

use sqlx::SqliteConnection;

use super::Result;
use super::alerts::alert_from;
use crate::domain::{Alert, AlertId, AlertState, Notification, NotificationStatus};

/// The message with each alert that has ended as it is now. If none fires any more, it is a message
/// of their end, with an idempotency key of its own: a receiver may have taken in the former
/// message although it answered with an error.
pub(super) async fn as_of_now(
    tx: &mut SqliteConnection,
    mut message: Notification,
) -> Result<Notification> {
    if message.status != NotificationStatus::Firing {
        return Ok(message);
    }
    let mut is_changed = false;
    for alert in message
        .alerts
        .iter_mut()
        .filter(|alert| alert.state.is_open())
    {
        if let Some(ended) = ended(tx, alert.id).await? {
            *alert = ended;
            is_changed = true;
        }
    }
    if !is_changed {
        return Ok(message);
    }
    if !message.alerts.iter().any(|alert| alert.state.is_open()) {
        message.status = NotificationStatus::Resolved;
        message.idempotency_key = format!("{:032x}", rand::random::<u128>());
    }
    sqlx::query(
        "UPDATE notifications SET alerts = $1, status = $2, idempotency_key = $3 WHERE id = $4",
    )
    .bind(serde_json::to_string(&message.alerts).expect("an alert has only plain fields"))
    .bind(message.status.as_str())
    .bind(&message.idempotency_key)
    .bind(message.id)
    .execute(tx)
    .await?;
    Ok(message)
}

/// Returns the alert if it has ended; none as well for one without a row, e.g. that of a test.
async fn ended(tx: &mut SqliteConnection, id: AlertId) -> Result<Option<Alert>> {
    let row = sqlx::query("SELECT * FROM alerts WHERE id = $1 AND state = $2")
        .bind(id.0)
        .bind(AlertState::Resolved.as_str())
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(alert_from).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        AlertFlags, ChannelId, NotificationDraft, NotificationReason, NotificationState, Severity,
    };
    use crate::store::Keyring;
    use crate::store::control::{
        AfterAttempt, AlertDraft, Attempt, AttemptOutcome, ControlStore, EventDraft, Transition,
    };

    fn transition(id: Option<AlertId>, service: &str, state: AlertState) -> Transition {
        let is_over = state == AlertState::Resolved;
        let alert = AlertDraft {
            id,
            name: "Down".to_owned(),
            rule: format!("{service}/Down"),
            service: service.to_owned(),
            severity: Severity::Critical,
            state,
            summary: String::new(),
            value: None,
            wanted: None,
            started_ms: 1_000,
            fired_ms: Some(1_000),
            resolved_ms: is_over.then_some(2_000),
            updated_ms: 1_000,
            flags: AlertFlags::default(),
            labels: Default::default(),
        };
        let event = EventDraft {
            ts_ms: 1_000,
            from: is_over.then_some(AlertState::Firing),
            to: state,
            actor: "engine".to_owned(),
            reason: String::new(),
        };
        Transition {
            alert,
            event,
            groups: Vec::new(),
            is_news: false,
            memory: None,
            escalation: None,
        }
    }

    #[tokio::test]
    async fn a_firing_message_put_back_after_the_end_says_that_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, folder.path()).unwrap();
        let store = ControlStore::open(&folder.path().join("control.sqlite"), keyring)
            .await
            .unwrap();
        let (shop, _) = store
            .transition_commit(transition(None, "shop", AlertState::Firing))
            .await
            .unwrap();
        let (mail, _) = store
            .transition_commit(transition(None, "mail", AlertState::Firing))
            .await
            .unwrap();
        let message = |key: &str, alerts: Vec<Alert>| NotificationDraft {
            group_key: key.to_owned(),
            group_labels: Vec::new(),
            channel: ChannelId("slack".to_owned()),
            reason: NotificationReason::Transition,
            status: NotificationStatus::Firing,
            idempotency_key: key.to_owned(),
            alerts,
            omitted: 0,
        };
        let mut ids = Vec::new();
        for (key, alerts) in [
            ("one", vec![&shop]),
            ("both", vec![&shop, &mail]),
            ("other", vec![&mail]),
        ] {
            let alerts = alerts.into_iter().cloned().collect();
            let row = store
                .notification_queue(message(key, alerts), 1_000)
                .await
                .unwrap();
            let (outcome, answer) = (AttemptOutcome::Dead, "403".to_owned());
            let attempt = Attempt {
                started_ms: 1_000,
                duration_ms: 5,
                outcome,
                answer,
            };
            let after = AfterAttempt::new(NotificationState::Dead, 0);
            store
                .notification_attempt(row.id, &attempt, after)
                .await
                .unwrap();
            ids.push(row.id);
        }
        store
            .transition_commit(transition(Some(shop.id), "shop", AlertState::Resolved))
            .await
            .unwrap();
        let mut found = Vec::new();
        for id in ids {
            let row = store.notification_resend(id, 3_000).await.unwrap();
            assert_eq!(
                store.notification_get(id).await.unwrap().unwrap(),
                row,
                "what is answered is what is kept"
            );
            let states: Vec<&str> = row
                .alerts
                .iter()
                .map(|alert| alert.state.as_str())
                .collect();
            let has_its_key = ["one", "both", "other"].contains(&row.idempotency_key.as_str());
            found.push(format!(
                "{} {} {has_its_key}",
                row.status.as_str(),
                states.join("+")
            ));
        }
        assert_eq!(
            found,
            [
                "resolved resolved false",
                "firing resolved+firing true",
                "firing firing true"
            ]
        );
        assert_eq!(store.notification_due(10_000, 10).await.unwrap().len(), 3);
    }
}
