//! Changes of messages beside their attempts: several are merged into one, and dead letters are put
//! back.

use super::notifications::{not_in_state, notification_from, queue};
use super::{ControlStore, Result, alert_groups, resend};
use crate::domain::{
    ChannelId, Notification, NotificationReason, NotificationState, NotificationStatus, UnixMillis,
    merge_into_digest,
};

/// Messages in one digest; those beyond it are in the next one.
const MOST_DIGESTED: i64 = 500;

/// Attempts looked at for a rate limit: more than any limit that means anything.
const MOST_ATTEMPTS: i64 = 100_000;

impl ControlStore {
    pub async fn notification_get(&self, id: i64) -> Result<Option<Notification>> {
        let row = sqlx::query("SELECT * FROM notifications WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(notification_from).transpose()
    }

    /// Returns the name that the other side gave the delivered message before this one about its
    /// group on its channel, if that was a firing one.
    pub async fn notification_reference(&self, id: i64) -> Result<Option<String>> {
        let found: Option<(String, Option<String>)> = sqlx::query_as(
            "SELECT e.status, e.reference FROM notifications n
             JOIN notifications e ON e.group_key = n.group_key AND e.channel = n.channel AND e.id < n.id
             WHERE n.id = $1 AND e.state = 'delivered'
             ORDER BY e.id DESC LIMIT 1",
        )
        .bind(id)
        .fetch_optional(&self.reader)
        .await?;
        Ok(found
            .filter(|(status, _)| status == NotificationStatus::Firing.as_str())
            .and_then(|(_, reference)| reference))
    }

    /// When attempts on a channel began since then, oldest first.
    pub async fn notification_attempts_since(
        &self,
        channel: &ChannelId,
        since_ms: UnixMillis,
    ) -> Result<Vec<UnixMillis>> {
        Ok(sqlx::query_scalar(
            "SELECT a.started_ms FROM notification_attempts a JOIN notifications n ON n.id = a.notification_id
             WHERE a.started_ms > $1 AND n.channel = $2 AND n.reason <> 'report' ORDER BY a.started_ms LIMIT $3",
        )
        .bind(since_ms)
        .bind(&channel.0)
        .bind(MOST_ATTEMPTS)
        .fetch_all(&self.reader)
        .await?)
    }

    /// Puts one message in the place of all that wait on a channel but these, if there are at least
    /// two. Signs of life, tests and reports stay what they are.
    pub async fn notification_digest(
        &self,
        channel: &ChannelId,
        except: &[i64],
        idempotency_key: String,
        now_ms: UnixMillis,
    ) -> Result<Option<Notification>> {
        let mut tx = self.begin_write().await?;
        let rows = sqlx::query(
            "SELECT * FROM notifications WHERE state = 'waiting' AND channel = $1 AND reason NOT IN ($2, $3, $4)
             ORDER BY id LIMIT $5",
        )
        .bind(&channel.0)
        .bind(NotificationReason::Watchdog.as_str())
        .bind(NotificationReason::Test.as_str())
        .bind(NotificationReason::Report.as_str())
        .bind(MOST_DIGESTED)
        .fetch_all(&mut *tx)
        .await?;
        let waiting = rows
            .iter()
            .map(notification_from)
            .collect::<Result<Vec<Notification>>>()?;
        let held: Vec<Notification> = waiting
            .into_iter()
            .filter(|message| !except.contains(&message.id))
            .collect();
        if held.len() < 2 {
            tx.rollback().await?;
            return Ok(None);
        }
        let message = queue(
            &mut tx,
            now_ms,
            merge_into_digest(channel, &held, idempotency_key),
        )
        .await?;
        for held in &held {
            sqlx::query("UPDATE notifications SET state = $1, digest_id = $2 WHERE id = $3 AND state = 'waiting'")
                .bind(NotificationState::Digested.as_str())
                .bind(message.id)
                .bind(held.id)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(Some(message))
    }

    /// Puts a message back that was given up: due at once, under the same idempotency key, but for
    /// what has ended since: see [`resend::as_of_now`]. `Conflict` when it is in another state.
    pub async fn notification_resend(&self, id: i64, now_ms: UnixMillis) -> Result<Notification> {
        let mut tx = self.begin_write().await?;
        let row = sqlx::query(
            "UPDATE notifications SET state = 'waiting', next_attempt_ms = $1, resent_ms = $1
             WHERE id = $2 AND state = 'dead' RETURNING *",
        )
        .bind(now_ms)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else {
            return Err(not_in_state(&mut tx, id, NotificationState::Dead).await?);
        };
        let notification = resend::as_of_now(&mut tx, notification_from(&row)?).await?;
        // Its end will be sent as well.
        if notification.status == NotificationStatus::Firing {
            alert_groups::note_resent(&mut tx, &notification).await?;
        }
        tx.commit().await?;
        Ok(notification)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::NotificationDraft;
    use crate::store::Keyring;
    use crate::store::control::{AfterAttempt, Attempt, AttemptOutcome, ControlError};

    async fn open(folder: &std::path::Path) -> ControlStore {
        let keyring = Keyring::load(None, folder).unwrap();
        ControlStore::open(&folder.join("control.sqlite"), keyring)
            .await
            .unwrap()
    }

    fn draft(
        key: &str,
        group: &str,
        channel: &str,
        status: NotificationStatus,
    ) -> NotificationDraft {
        NotificationDraft {
            group_key: group.to_owned(),
            group_labels: Vec::new(),
            channel: ChannelId(channel.to_owned()),
            reason: NotificationReason::Transition,
            status,
            idempotency_key: key.to_owned(),
            alerts: Vec::new(),
            omitted: 0,
        }
    }

    async fn attempt(store: &ControlStore, id: i64, outcome: AttemptOutcome, after: AfterAttempt) {
        let attempt = Attempt {
            started_ms: 1_000 * id,
            duration_ms: 5,
            outcome,
            answer: "so".to_owned(),
        };
        store
            .notification_attempt(id, &attempt, after)
            .await
            .unwrap();
    }

    fn delivered(reference: &str) -> AfterAttempt {
        AfterAttempt {
            reference: Some(reference.to_owned()),
            ..AfterAttempt::new(NotificationState::Delivered, 0)
        }
    }

    async fn due(store: &ControlStore) -> Vec<i64> {
        store
            .notification_due(10_000, 100)
            .await
            .unwrap()
            .iter()
            .map(|row| row.id)
            .collect()
    }

    use NotificationStatus::{Firing, Resolved};

    #[tokio::test]
    async fn a_digest_stands_between_what_was_before_and_what_comes_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let channel = ChannelId("chat".to_owned());
        for (index, (group, channel)) in [
            ("a", "chat"),
            ("b", "chat"),
            ("b", "chat"),
            ("c", "chat"),
            ("a", "mail"),
        ]
        .into_iter()
        .enumerate()
        {
            store
                .notification_queue(draft(&format!("k{index}"), group, channel, Firing), 0)
                .await
                .unwrap();
        }
        let watchdog = NotificationDraft {
            reason: NotificationReason::Watchdog,
            ..draft("w", "w", "chat", Firing)
        };
        store.notification_queue(watchdog, 0).await.unwrap();
        let made = store
            .notification_digest(&channel, &[1], "digest".to_owned(), 9_000)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((made.id, made.reason), (7, NotificationReason::Digest));
        let held: Vec<(i64, NotificationState, Option<i64>)> = {
            let mut held = Vec::new();
            for id in 1..=6 {
                let row = store.notification_get(id).await.unwrap().unwrap();
                held.push((id, row.state, row.digest));
            }
            held
        };
        let (waiting, digested) = (NotificationState::Waiting, NotificationState::Digested);
        assert_eq!(
            held,
            [
                (1, waiting, None),
                (2, digested, Some(7)),
                (3, digested, Some(7)),
                (4, digested, Some(7)),
                (5, waiting, None),
                (6, waiting, None)
            ]
        );
        store
            .notification_queue(draft("later", "a", "chat", Resolved), 0)
            .await
            .unwrap();
        store
            .notification_queue(draft("other", "z", "chat", Resolved), 0)
            .await
            .unwrap();
        assert_eq!(
            due(&store).await,
            [1, 5, 6],
            "the digest waits for what is before it"
        );
        for id in [1, 5, 6] {
            attempt(
                &store,
                id,
                AttemptOutcome::Delivered,
                AfterAttempt::new(NotificationState::Delivered, 0),
            )
            .await;
        }
        assert_eq!(
            due(&store).await,
            [7],
            "and everything behind waits for the digest"
        );
        attempt(
            &store,
            7,
            AttemptOutcome::Delivered,
            AfterAttempt::new(NotificationState::Delivered, 0),
        )
        .await;
        assert_eq!(due(&store).await, [8, 9]);
        assert_eq!(
            store
                .notification_attempts_since(&channel, 1_000)
                .await
                .unwrap(),
            [6_000, 7_000]
        );
        let one = store
            .notification_digest(&channel, &[8], "another".to_owned(), 9_000)
            .await
            .unwrap();
        assert_eq!(one, None, "one message is no digest");
    }

    #[tokio::test]
    async fn the_reference_is_that_of_the_outage_that_ends() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        for (index, (group, status)) in [
            ("a", Firing),
            ("b", Firing),
            ("a", Firing),
            ("a", Resolved),
            ("a", Firing),
            ("a", Resolved),
        ]
        .into_iter()
        .enumerate()
        {
            store
                .notification_queue(draft(&format!("k{index}"), group, "chat", status), 0)
                .await
                .unwrap();
        }
        let reference = async |id| store.notification_reference(id).await.unwrap();
        attempt(&store, 1, AttemptOutcome::Delivered, delivered("first")).await;
        assert_eq!(
            (reference(1).await, reference(4).await.as_deref()),
            (None, Some("first"))
        );
        attempt(&store, 3, AttemptOutcome::Delivered, delivered("second")).await;
        assert_eq!(reference(4).await.as_deref(), Some("second"));
        attempt(&store, 4, AttemptOutcome::Delivered, delivered("second")).await;
        assert_eq!(
            (reference(5).await, reference(6).await),
            (None, None),
            "a new outage is a new message"
        );
    }

    #[tokio::test]
    async fn what_was_given_up_goes_to_its_fallback_once_and_can_be_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        store
            .notification_queue(draft("k", "a", "chat", Firing), 0)
            .await
            .unwrap();
        let refused = store.notification_resend(1, 5_000).await.unwrap_err();
        assert!(
            matches!(&refused, ControlError::Conflict { found, .. } if found.contains("waiting")),
            "{refused}"
        );
        let fallback = Some(draft("k/fallback", "a", "mail", Firing));
        let after = AfterAttempt {
            fallback,
            ..AfterAttempt::new(NotificationState::Dead, 0)
        };
        attempt(&store, 1, AttemptOutcome::Dead, after.clone()).await;
        let back = store.notification_resend(1, 5_000).await.unwrap();
        assert_eq!(
            (back.state, back.resent_ms, back.attempts),
            (NotificationState::Waiting, Some(5_000), 1)
        );
        assert_eq!(back.idempotency_key, "k");
        assert_eq!(
            due(&store).await,
            [2, 1],
            "the fallback is due since the first attempt ended"
        );
        attempt(&store, 1, AttemptOutcome::Dead, after).await;
        assert_eq!(due(&store).await, [2], "the fallback is told once");
        assert_eq!(store.notification_attempts(1).await.unwrap().len(), 2);
        assert!(matches!(
            store.notification_resend(99, 0).await,
            Err(ControlError::NotFound { .. })
        ));
    }
}
