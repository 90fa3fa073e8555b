//! Deliveries of webhooks as they came: the last ones of each webhook, without secrets.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{ControlError, ControlStore, Result, page, word};
use crate::domain::{
    DeliveryDraft, DeliveryEntry, DeliveryOutcome, KeptDelivery, UnixMillis, WebhookRequest,
};

/// Kept of one webhook: the last so many, and no more bytes of bodies.
const KEPT: i64 = 500;
const KEPT_BYTES: i64 = 16 * 1024 * 1024;
/// Of those that were handled, looked at for room when the disk is full.
const MAX_EVICTED: u32 = 256;
/// About what a row takes beside its headers and its body.
const ROW_BYTES: i64 = 1024;
/// Rows of a service that is deleted, in one step.
const STEP_ROWS: u32 = 16;

impl ControlStore {
    /// Keeps a delivery, and forgets older ones of its webhook beyond the bounds; where the disk has
    /// no room, in the place of the oldest ones that were handled. Returns its id.
    pub async fn delivery_insert(&self, draft: &DeliveryDraft) -> Result<i64> {
        let inserted = async {
            let mut tx = self.begin_roomy_write().await?;
            let id = insert(&mut tx, draft).await?;
            tx.commit().await?;
            Ok::<_, ControlError>(id)
        };
        match inserted.await {
            Err(error) if error.is_full() => self.delivery_insert_instead(draft, error).await,
            other => other,
        }
    }

    /// Takes no more room than it makes; otherwise returns the fault.
    async fn delivery_insert_instead(
        &self,
        draft: &DeliveryDraft,
        fault: ControlError,
    ) -> Result<i64> {
        let mut tx = self.begin_write().await?;
        let oldest: Vec<(i64, String, i64)> = sqlx::query_as(
            "SELECT id, outcome, bytes + length(headers) FROM webhook_deliveries WHERE id > $1 ORDER BY id LIMIT $2",
        )
        .bind(0)
        .bind(MAX_EVICTED)
        .fetch_all(&mut *tx)
        .await?;
        let needed = draft.request.body.len() as i64 + headers(draft).len() as i64 + ROW_BYTES;
        let (mut evicted, mut freed) = (Vec::new(), 0);
        for (id, outcome, bytes) in oldest {
            if freed < needed && outcome == DeliveryOutcome::Taken.as_str() {
                evicted.push(id);
                freed += bytes + ROW_BYTES;
            }
        }
        if freed < needed {
            tx.rollback().await?;
            return Err(fault);
        }
        let ids = serde_json::to_string(&evicted).expect("a list of numbers");
        sqlx::query("DELETE FROM webhook_deliveries WHERE id IN (SELECT value FROM json_each($1))")
            .bind(ids)
            .execute(&mut *tx)
            .await?;
        let id = insert(&mut tx, draft).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Forgets the deliveries of a service that is gone, in steps that no alert waits for.
    pub(super) async fn delivery_forget(&self, service: &str) -> Result<()> {
        loop {
            let mut tx = self.begin_write().await?;
            let done = sqlx::query(
                "DELETE FROM webhook_deliveries WHERE id IN (
                     SELECT id FROM webhook_deliveries WHERE service = $1 ORDER BY id LIMIT $2)",
            )
            .bind(service)
            .bind(STEP_ROWS)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            if done.rows_affected() < u64::from(STEP_ROWS) {
                return Ok(());
            }
        }
    }

    /// Notes what became of a delivery after all, or when it was played again.
    pub async fn delivery_note(
        &self,
        id: i64,
        outcome: DeliveryOutcome,
        error: Option<&str>,
        events: Option<u64>,
        replayed_ms: Option<UnixMillis>,
    ) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query(
            "UPDATE webhook_deliveries SET outcome = $2, error = $3, events = coalesce($4, events),
                 replayed_ms = coalesce($5, replayed_ms) WHERE id = $1",
        )
        .bind(id)
        .bind(outcome.as_str())
        .bind(error)
        .bind(events.map(|events| i64::try_from(events).unwrap_or(i64::MAX)))
        .bind(replayed_ms)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Those of a service, newest first, before an id; of one webhook, or of all.
    pub async fn delivery_page(
        &self,
        service: &str,
        webhook: Option<&str>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<DeliveryEntry>> {
        let query = match webhook {
            Some(_) => {
                "SELECT id, service, webhook, received_ms, method, path, query, bytes, is_proven, outcome, error, events, replayed_ms
                 FROM webhook_deliveries WHERE service = $1 AND webhook = $2 AND id < $3 ORDER BY id DESC LIMIT $4"
            }
            None => {
                "SELECT id, service, webhook, received_ms, method, path, query, bytes, is_proven, outcome, error, events, replayed_ms
                 FROM webhook_deliveries WHERE service = $1 AND $2 IS NULL AND id < $3 ORDER BY id DESC LIMIT $4"
            }
        };
        let rows = sqlx::query(query)
            .bind(service)
            .bind(webhook)
            .bind(before.unwrap_or(i64::MAX))
            .bind(page(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(entry).collect()
    }

    /// A delivery of a service, with its headers and its body.
    pub async fn delivery_get(&self, service: &str, id: i64) -> Result<Option<KeptDelivery>> {
        let row = sqlx::query("SELECT * FROM webhook_deliveries WHERE id = $1 AND service = $2")
            .bind(id)
            .bind(service)
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(kept).transpose()
    }
}

fn headers(draft: &DeliveryDraft) -> String {
    serde_json::to_string(&draft.request.headers).expect("pairs of texts")
}

async fn insert(tx: &mut SqliteConnection, draft: &DeliveryDraft) -> Result<i64> {
    let DeliveryDraft {
        service,
        webhook,
        request,
        is_proven,
        outcome,
        error,
        events,
    } = draft;
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO webhook_deliveries
             (service, webhook, received_ms, method, path, query, headers, body, bytes, is_proven, outcome, error, events)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id",
    )
    .bind(service)
    .bind(webhook)
    .bind(request.received_ms)
    .bind(&request.method)
    .bind(&request.path)
    .bind(&request.query)
    .bind(headers(draft))
    .bind(&request.body)
    .bind(request.body.len() as i64)
    .bind(is_proven)
    .bind(outcome.as_str())
    .bind(error)
    .bind(i64::try_from(*events).unwrap_or(i64::MAX))
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query(
        "DELETE FROM webhook_deliveries WHERE id IN (
             SELECT id FROM (
                 SELECT id, row_number() OVER newest AS number, sum(bytes) OVER newest AS total
                 FROM webhook_deliveries WHERE service = $1 AND webhook = $2
                 WINDOW newest AS (ORDER BY id DESC)
             ) WHERE (number > $3 OR total > $4) AND id <> $5)",
    )
    .bind(service)
    .bind(webhook)
    .bind(KEPT)
    .bind(KEPT_BYTES)
    .bind(id)
    .execute(&mut *tx)
    .await?;
    Ok(id)
}

fn entry(row: &SqliteRow) -> Result<DeliveryEntry> {
    let id: i64 = row.try_get("id")?;
    Ok(DeliveryEntry {
        id,
        service: row.try_get("service")?,
        webhook: row.try_get("webhook")?,
        received_ms: row.try_get("received_ms")?,
        method: row.try_get("method")?,
        path: row.try_get("path")?,
        query: row.try_get("query")?,
        bytes: row.try_get::<i64, _>("bytes")?.unsigned_abs(),
        is_proven: row.try_get("is_proven")?,
        outcome: word(
            row,
            "outcome",
            "webhook delivery",
            id,
            DeliveryOutcome::parse,
        )?,
        error: row.try_get("error")?,
        events: row.try_get::<i64, _>("events")?.unsigned_abs(),
        replayed_ms: row.try_get("replayed_ms")?,
    })
}

fn kept(row: &SqliteRow) -> Result<KeptDelivery> {
    let entry = entry(row)?;
    let headers: String = row.try_get("headers")?;
    let headers = serde_json::from_str(&headers).map_err(|_| ControlError::Unreadable {
        what: "webhook delivery",
        name: entry.id.to_string(),
        column: "headers",
        found: "something that is no list of pairs".to_owned(),
    })?;
    let request = WebhookRequest {
        method: entry.method.clone(),
        path: entry.path.clone(),
        query: entry.query.clone(),
        headers,
        body: row.try_get("body")?,
        received_ms: entry.received_ms,
    };
    Ok(KeptDelivery { entry, request })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keyring;
    use crate::store::control::ControlSettings;

    async fn open(folder: &std::path::Path) -> ControlStore {
        let keyring = Keyring::load(None, folder).unwrap();
        ControlStore::open(&folder.join("control.sqlite"), keyring)
            .await
            .unwrap()
    }

    fn draft(webhook: &str, received_ms: UnixMillis, bytes: usize) -> DeliveryDraft {
        DeliveryDraft {
            service: "shop".to_owned(),
            webhook: webhook.to_owned(),
            request: WebhookRequest {
                method: "POST".to_owned(),
                path: "/a".to_owned(),
                query: "token=***".to_owned(),
                headers: vec![("x-one".to_owned(), "1".to_owned())],
                body: vec![0xff; bytes],
                received_ms,
            },
            is_proven: true,
            outcome: DeliveryOutcome::Taken,
            error: None,
            events: 2,
        }
    }

    async fn ids(store: &ControlStore, webhook: Option<&str>) -> Vec<i64> {
        let page = store.delivery_page("shop", webhook, None, 1_000).await;
        page.unwrap().iter().map(|entry| entry.id).collect()
    }

    #[tokio::test]
    async fn a_delivery_is_kept_as_it_came() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let draft = draft("github", 1_000, 3);
        let id = store.delivery_insert(&draft).await.unwrap();
        let found = store.delivery_get("shop", id).await.unwrap().unwrap();
        assert_eq!(found.request, draft.request);
        assert_eq!((found.entry.bytes, found.entry.is_proven), (3, true));
        assert!(store.delivery_get("other", id).await.unwrap().is_none());
        let (broken, reason) = (DeliveryOutcome::Broken, Some("a trap"));
        store
            .delivery_note(id, broken, reason, None, Some(5))
            .await
            .unwrap();
        let found = store.delivery_get("shop", id).await.unwrap().unwrap();
        let entry = found.entry;
        assert_eq!(
            (
                entry.outcome,
                entry.error.as_deref(),
                entry.events,
                entry.replayed_ms
            ),
            (broken, reason, 2, Some(5))
        );
    }

    #[tokio::test]
    async fn each_webhook_has_its_own_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let other = store.delivery_insert(&draft("other", 0, 1)).await.unwrap();
        let large = KEPT_BYTES as usize / 4;
        for _ in 0..6 {
            store
                .delivery_insert(&draft("large", 0, large))
                .await
                .unwrap();
        }
        assert_eq!(ids(&store, Some("large")).await, [7, 6, 5, 4]);
        for _ in 0..KEPT + 3 {
            store.delivery_insert(&draft("small", 0, 1)).await.unwrap();
        }
        assert_eq!(ids(&store, Some("small")).await.len() as i64, KEPT);
        assert_eq!(ids(&store, Some("other")).await, [other]);
    }

    #[tokio::test]
    async fn deliveries_go_with_their_service() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        store
            .service_insert("shop", &serde_json::json!({}))
            .await
            .unwrap();
        let other = DeliveryDraft {
            service: "other".to_owned(),
            ..draft("github", 0, 1)
        };
        store.delivery_insert(&other).await.unwrap();
        for _ in 0..STEP_ROWS + 1 {
            store.delivery_insert(&draft("github", 0, 1)).await.unwrap();
        }
        store.service_delete("shop").await.unwrap();
        assert_eq!(ids(&store, None).await, [0; 0]);
        let left = store.delivery_page("other", None, None, 10).await;
        assert_eq!(left.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn without_room_the_oldest_that_were_handled_make_it() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, folder.path()).unwrap();
        let settings = ControlSettings {
            ballast_bytes: 64 * 1024,
            ..ControlSettings::default()
        };
        let path = folder.path().join("control.sqlite");
        let store = ControlStore::open_with(&path, keyring, settings)
            .await
            .unwrap();
        let broken = DeliveryDraft {
            outcome: DeliveryOutcome::Broken,
            ..draft("github", 0, 50_000)
        };
        let broken = store.delivery_insert(&broken).await.unwrap();
        let mut taken = Vec::new();
        for _ in 0..3 {
            let inserted = store.delivery_insert(&draft("github", 0, 5_000)).await;
            taken.push(inserted.unwrap());
        }
        assert!(store.health.ballast.give_up());
        assert!(matches!(
            store.begin_roomy_write().await,
            Err(ControlError::NoRoom)
        ));
        let id = store.delivery_insert(&draft("other", 0, 8_000)).await;
        assert_eq!(ids(&store, None).await, [id.unwrap(), taken[2], broken]);
        let large = store.delivery_insert(&draft("other", 0, 40_000)).await;
        assert!(matches!(large, Err(ControlError::NoRoom)), "{large:?}");
        assert_eq!(ids(&store, None).await.len(), 3);
    }
}
