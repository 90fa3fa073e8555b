//! SQL over results without a server.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use axum::response::{IntoResponse, Response};

use crate::api::answer_offline;
use crate::api_types::sql::{SqlRequest, SqlSchemaBody};
use crate::archive;
use crate::domain::StorageSettings;
use crate::store::results::{OfflineSql, SqlSettings};

use super::stores::RESULTS;

/// Results that no program has open.
pub struct StoppedResults(OfflineSql);

impl StoppedResults {
    /// Opens a data folder, or the folder of an archive alone. `archive`: where the archive of a
    /// data folder is, if it is not in it.
    /// `sandbox`: as `EXTRACK_SQL_SANDBOX` has it.
    pub async fn open(folder: &Path, archive: Option<PathBuf>, sandbox: &str) -> Result<Self> {
        let sql = SqlSettings::with_sandbox(sandbox)
            .context("`EXTRACK_SQL_SANDBOX` must be `full`, `seccomp` or `off`")?;
        let folder = folder.to_owned();
        let opening = tokio::task::spawn_blocking(move || -> Result<OfflineSql> {
            if folder.join(RESULTS).exists() {
                let archive = archive
                    .unwrap_or_else(|| archive::folder_of(&folder, &StorageSettings::default()));
                return Ok(OfflineSql::of_store(&folder, archive, sql)?);
            }
            let days = archive::days_in(&folder)?;
            if days.is_empty() {
                bail!(
                    "`{}` is neither a data folder with a `{RESULTS}` nor an archive with days in it",
                    folder.display()
                );
            }
            Ok(OfflineSql::of_archive(days, sql)?)
        });
        Ok(Self(opening.await.context("opening the results")??))
    }

    /// Answers as the server does to `POST /api/v1/sql`.
    pub async fn answer(&self, request: SqlRequest) -> Response {
        let answered = answer_offline(&self.0, request).await;
        answered.unwrap_or_else(IntoResponse::into_response)
    }

    /// Returns what can be named in a statement.
    pub fn schema(&self) -> Result<SqlSchemaBody> {
        Ok(self.0.schema()?.into())
    }
}
