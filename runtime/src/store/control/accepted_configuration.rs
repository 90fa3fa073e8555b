//! The configuration files that were last taken over, as texts. They may hold secrets, so they are
//! sealed.

use std::collections::BTreeMap;

use sqlx::Row;

use super::keyring::Place;
use super::{ControlError, ControlStore, KeyError, Result};
use crate::domain::{UnixMillis, now_ms};

const TABLE: &str = "accepted_configuration";

/// Texts of files by name, and who took them over.
#[derive(Clone, PartialEq)]
pub struct AcceptedConfiguration {
    /// Only files that were there.
    pub files: BTreeMap<String, String>,
    pub accepted_ms: UnixMillis,
    pub accepted_by: String,
    /// Grows by one with each change.
    pub revision: i64,
}

impl ControlStore {
    /// Returns the configuration that was taken over last; none: there was none.
    pub async fn accepted_configuration_get(&self) -> Result<Option<AcceptedConfiguration>> {
        let row =
            sqlx::query("SELECT sealed, revision, accepted_ms, accepted_by FROM accepted_configuration WHERE id = 1")
                .fetch_optional(&self.reader)
                .await?;
        let Some(row) = row else { return Ok(None) };
        let revision = row.try_get("revision")?;
        let plain = self.keyring.open(place(revision), row.try_get("sealed")?)?;
        let files = serde_json::from_slice(&plain).map_err(|_| {
            ControlError::Key(KeyError::Damaged {
                table: TABLE,
                identity: "1".to_owned(),
            })
        })?;
        let (accepted_ms, accepted_by) = (row.try_get("accepted_ms")?, row.try_get("accepted_by")?);
        Ok(Some(AcceptedConfiguration {
            files,
            accepted_ms,
            accepted_by,
            revision,
        }))
    }

    /// Replaces the configuration. `revision` is the new one, one more than the stored one.
    pub async fn accepted_configuration_put(
        &self,
        files: &BTreeMap<String, String>,
        revision: i64,
        by: &str,
    ) -> Result<()> {
        let text = serde_json::to_vec(files).expect("a map of texts is JSON");
        let sealed = self.keyring.seal(place(revision), &text)?;
        let mut tx = self.begin_write().await?;
        sqlx::query(
            "INSERT INTO accepted_configuration (id, sealed, revision, accepted_ms, accepted_by)
             VALUES (1, $1, $2, $3, $4)
             ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, revision = excluded.revision,
                 accepted_ms = excluded.accepted_ms, accepted_by = excluded.accepted_by",
        )
        .bind(sealed)
        .bind(revision)
        .bind(now_ms())
        .bind(by)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }
}

pub(super) fn place(revision: i64) -> Place<'static> {
    Place {
        table: TABLE,
        identity: "1",
        revision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keyring;

    #[tokio::test]
    async fn the_accepted_files_are_kept_sealed_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sqlite");
        let open = async || {
            ControlStore::open(&path, Keyring::load(None, folder.path()).unwrap())
                .await
                .unwrap()
        };
        let store = open().await;
        assert!(store.accepted_configuration_get().await.unwrap().is_none());
        let files = BTreeMap::from([(
            "services.yaml".to_owned(),
            "token: h4rd-to-guess".to_owned(),
        )]);
        store
            .accepted_configuration_put(&BTreeMap::new(), 1, "start")
            .await
            .unwrap();
        store
            .accepted_configuration_put(&files, 2, "ops")
            .await
            .unwrap();
        store.close().await;
        drop(store);
        let kept = open()
            .await
            .accepted_configuration_get()
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (kept.files, kept.revision, kept.accepted_by.as_str()),
            (files, 2, "ops")
        );
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(
                !bytes.windows(12).any(|window| window == b"h4rd-to-gues"),
                "a text is stored as it is"
            );
        }
    }
}
