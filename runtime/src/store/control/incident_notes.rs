//! Notes about incidents, as people write them afterwards. They are appended and taken back,
//! never changed.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{ControlError, ControlStore, Result};
use crate::domain::UnixMillis;

/// More than a post-mortem has.
const MAX_NOTES: i64 = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentNoteDraft {
    pub incident: i64,
    pub at_ms: UnixMillis,
    /// Name of the token.
    pub author: String,
    pub text: String,
    /// Whether status pages show it.
    pub is_public: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentNote {
    pub id: i64,
    pub draft: IncidentNoteDraft,
}

impl ControlStore {
    /// `Full` when the incident has too many.
    pub async fn incident_note_append(&self, draft: IncidentNoteDraft) -> Result<IncidentNote> {
        let mut tx = self.begin_roomy_write().await?;
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM incident_notes WHERE incident = $1")
                .bind(draft.incident)
                .fetch_one(&mut *tx)
                .await?;
        if count >= MAX_NOTES {
            tx.rollback().await?;
            return Err(ControlError::Full {
                what: "notes of this incident",
                limit: MAX_NOTES,
            });
        }
        let id = sqlx::query_scalar(
            "INSERT INTO incident_notes (incident, at_ms, author, text, is_public) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .bind(draft.incident)
        .bind(draft.at_ms)
        .bind(&draft.author)
        .bind(&draft.text)
        .bind(draft.is_public)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(IncidentNote { id, draft })
    }

    /// Returns the note that was deleted.
    pub async fn incident_note_delete(&self, incident: i64, id: i64) -> Result<IncidentNote> {
        let mut tx = self.begin_write().await?;
        let gone =
            sqlx::query("DELETE FROM incident_notes WHERE incident = $1 AND id = $2 RETURNING *")
                .bind(incident)
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
        tx.commit().await?;
        let gone = gone.ok_or_else(|| ControlError::NotFound {
            what: "note",
            name: id.to_string(),
        })?;
        note_from(&gone)
    }

    /// Oldest first.
    pub async fn incident_note_list(&self, incident: i64) -> Result<Vec<IncidentNote>> {
        let rows = sqlx::query("SELECT * FROM incident_notes WHERE incident = $1 ORDER BY id")
            .bind(incident)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(note_from).collect()
    }

    /// Returns the notes of some incidents that status pages show, oldest first.
    pub async fn public_notes(&self, incident_ids: &[i64]) -> Result<Vec<IncidentNote>> {
        let wanted = serde_json::Value::from(incident_ids).to_string();
        let rows = sqlx::query(
            "SELECT n.* FROM json_each($1) AS wanted CROSS JOIN incident_notes n ON n.incident = wanted.value
             WHERE n.is_public",
        )
        .bind(wanted)
        .fetch_all(&self.reader)
        .await?;
        let mut notes: Vec<IncidentNote> = rows.iter().map(note_from).collect::<Result<_>>()?;
        notes.sort_by_key(|note| note.id);
        Ok(notes)
    }
}

fn note_from(row: &SqliteRow) -> Result<IncidentNote> {
    Ok(IncidentNote {
        id: row.try_get("id")?,
        draft: IncidentNoteDraft {
            incident: row.try_get("incident")?,
            at_ms: row.try_get("at_ms")?,
            author: row.try_get("author")?,
            text: row.try_get("text")?,
            is_public: row.try_get("is_public")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keyring;

    fn draft(incident: i64, text: &str, is_public: bool) -> IncidentNoteDraft {
        IncidentNoteDraft {
            incident,
            at_ms: 5,
            author: "ops".to_owned(),
            text: text.to_owned(),
            is_public,
        }
    }

    #[tokio::test]
    async fn only_public_notes_of_the_wanted_incidents_are_returned() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, dir.path()).unwrap();
        let path = dir.path().join("control.sqlite");
        let store = ControlStore::open(&path, keyring).await.unwrap();
        let mut written = Vec::new();
        for (incident, text, is_public) in [
            (1, "the vendor restarted a database", true),
            (1, "we should call them sooner", false),
            (2, "a certificate was not renewed", true),
            (3, "of an incident nobody asks for", true),
        ] {
            let note = store.incident_note_append(draft(incident, text, is_public));
            written.push(note.await.unwrap());
        }
        assert_eq!(store.incident_note_list(1).await.unwrap(), written[..2]);
        assert_eq!(
            store.public_notes(&[2, 1, 9]).await.unwrap(),
            [written[0].clone(), written[2].clone()]
        );
        assert!(store.public_notes(&[]).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_note_is_taken_back_from_its_incident_alone() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, dir.path()).unwrap();
        let path = dir.path().join("control.sqlite");
        let store = ControlStore::open(&path, keyring).await.unwrap();
        let kept = store.incident_note_append(draft(1, "stays", true));
        let kept = kept.await.unwrap();
        let wrong = store.incident_note_append(draft(1, "about another customer", true));
        let wrong = wrong.await.unwrap();
        let of_other = store.incident_note_delete(2, wrong.id).await;
        assert!(
            matches!(of_other, Err(ControlError::NotFound { .. })),
            "{of_other:?}"
        );
        assert_eq!(
            store.incident_note_delete(1, wrong.id).await.unwrap(),
            wrong
        );
        assert_eq!(store.public_notes(&[1]).await.unwrap(), [kept]);
        let again = store.incident_note_delete(1, wrong.id).await;
        assert!(
            matches!(again, Err(ControlError::NotFound { .. })),
            "{again:?}"
        );
    }

    #[tokio::test]
    async fn an_incident_has_a_bound_of_notes() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, dir.path()).unwrap();
        let path = dir.path().join("control.sqlite");
        let store = ControlStore::open(&path, keyring).await.unwrap();
        for _ in 0..MAX_NOTES {
            store
                .incident_note_append(draft(1, "again", false))
                .await
                .unwrap();
        }
        let full = store.incident_note_append(draft(1, "again", false)).await;
        assert!(matches!(full, Err(ControlError::Full { .. })), "{full:?}");
        let other = store.incident_note_append(draft(2, "again", false)).await;
        assert!(other.is_ok(), "{other:?}");
    }
}
