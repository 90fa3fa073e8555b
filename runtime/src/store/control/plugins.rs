//! Installed versions of plugins, the active one, and the candidate that is tried beside it.
//! The components themselves lie in files, by digest. Each decision is one transaction, with its
//! line in the audit log.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{ControlStore, Result, audit, word};
use crate::domain::{
    ActivationReason, PluginActivation, PluginChange, PluginKind, PluginRecord, PluginShadow,
    PluginStep, PluginTrial, PluginVersion, Withdrawn,
};

/// Activations read of one name; a rollback never goes further back.
const ACTIVATIONS_READ: i64 = 1_000;

impl ControlStore {
    /// Returns the records of one plugin, or of all, by name.
    pub async fn plugin_list(&self, name: Option<&str>) -> Result<Vec<PluginRecord>> {
        let mut tx = self.reader.begin().await?;
        let versions = sqlx::query(
            "SELECT name, kind, version, digest, installed_ms, installed_by, removed_ms, withdrawn_ms, withdrawn_reason
             FROM plugin_versions
             WHERE $1 IS NULL OR name = $1 ORDER BY name, installed_ms DESC, digest",
        )
        .bind(name)
        .fetch_all(&mut *tx)
        .await?;
        let activations = sqlx::query(
            "SELECT name, digest, bundled, activated_ms, activated_by, trial_previous, trial_broken FROM (
                 SELECT *, row_number() OVER (PARTITION BY name ORDER BY id DESC) AS nth FROM plugin_activations
                 WHERE $1 IS NULL OR name = $1
             ) AS latest WHERE nth <= $2 ORDER BY name, nth",
        )
        .bind(name)
        .bind(ACTIVATIONS_READ)
        .fetch_all(&mut *tx)
        .await?;
        let shadows = sqlx::query(
            "SELECT name, digest, started_ms, started_by FROM plugin_shadows WHERE $1 IS NULL OR name = $1",
        )
        .bind(name)
        .fetch_all(&mut *tx)
        .await?;
        let mut plugins = BTreeMap::new();
        for row in &versions {
            let version = read(row)?;
            record(&mut plugins, &version.name).versions.push(version);
        }
        for row in &activations {
            record(&mut plugins, row.try_get("name")?)
                .activations
                .push(PluginActivation {
                    digest: row.try_get("digest")?,
                    is_bundled: row.try_get("bundled")?,
                    activated_ms: row.try_get("activated_ms")?,
                    activated_by: row.try_get("activated_by")?,
                    trial: trial(row)?,
                });
        }
        for row in &shadows {
            record(&mut plugins, row.try_get("name")?).shadow = Some(PluginShadow {
                digest: row.try_get("digest")?,
                started_ms: row.try_get("started_ms")?,
                started_by: row.try_get("started_by")?,
            });
        }
        Ok(plugins.into_values().collect())
    }

    /// Writes down how many first runs of the active version broke; with none its trial is over.
    /// Nothing changes if another version is active by now.
    pub async fn plugin_trial_note(
        &self,
        name: &str,
        digest: &str,
        broken: Option<u32>,
    ) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query(
            "UPDATE plugin_activations SET trial_broken = $3, trial_previous = CASE WHEN $3 IS NULL THEN NULL ELSE trial_previous END
             WHERE id = (SELECT max(id) FROM plugin_activations WHERE name = $1) AND digest = $2 AND trial_previous IS NOT NULL",
        )
        .bind(name)
        .bind(digest)
        .bind(broken)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// All of it or nothing; on the disk when it returns.
    pub async fn plugin_change(&self, change: &PluginChange) -> Result<()> {
        let mut tx = self.begin_roomy_write().await?;
        let mut detail = json!({ "from": change.from });
        apply(&mut tx, change, &mut detail).await?;
        audit::append(
            &mut *tx,
            change.ts_ms,
            &change.by,
            &format!("plugin.{}", change.step.as_str()),
            &change.name,
            &detail,
        )
        .await?;
        tx.commit().await
    }
}

/// Takes a step, and adds to the detail for the audit log.
async fn apply(tx: &mut SqliteConnection, change: &PluginChange, detail: &mut Value) -> Result<()> {
    let name = &change.name;
    match &change.step {
        PluginStep::Activate {
            why,
            version,
            is_bundled,
            bundled_before,
            ends_shadow,
            trial_after,
        } => {
            if let Some(before) = bundled_before {
                put(tx, before).await?;
                activate_before(tx, before).await?;
            }
            put(tx, version).await?;
            activate(tx, change, Some(&version.digest), *is_bundled).await?;
            if let Some(previous) = trial_after {
                begin_trial(tx, name, previous).await?;
            }
            withdraw(tx, name, &version.digest, None).await?;
            if let (ActivationReason::Withdraw { reason, .. }, Some(from)) = (why, &change.from) {
                let withdrawn = Withdrawn {
                    ts_ms: change.ts_ms,
                    reason: reason.clone(),
                };
                withdraw(tx, name, from, Some(&withdrawn)).await?;
                detail["reason"] = reason.as_str().into();
            }
            if *ends_shadow {
                end_shadow(tx, name).await?;
                detail["shadowEnded"] = true.into();
            }
            detail["to"] = version.digest.as_str().into();
            detail["version"] = version.version.as_str().into();
            detail["bundled"] = (*is_bundled).into();
        }
        PluginStep::Deactivate => {
            activate(tx, change, None, false).await?;
            end_shadow(tx, name).await?;
        }
        PluginStep::Shadow { candidate } => {
            put(tx, candidate).await?;
            end_shadow(tx, name).await?;
            begin_shadow(tx, change, &candidate.digest).await?;
            detail["candidate"] = candidate.digest.as_str().into();
            detail["version"] = candidate.version.as_str().into();
        }
        PluginStep::Discard { digest } => {
            end_shadow(tx, name).await?;
            detail["candidate"] = digest.as_str().into();
        }
        PluginStep::Forget { digests } => {
            forget(tx, change, digests).await?;
            detail["digests"] = digests.clone().into();
        }
    }
    Ok(())
}

/// Installing the same component again changes nothing, unless its file was deleted meanwhile.
async fn put(tx: &mut SqliteConnection, version: &PluginVersion) -> Result<()> {
    sqlx::query(
        "INSERT INTO plugin_versions (name, digest, kind, version, installed_ms, installed_by)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (name, digest) DO UPDATE
         SET removed_ms = NULL, installed_ms = excluded.installed_ms, installed_by = excluded.installed_by
         WHERE plugin_versions.removed_ms IS NOT NULL",
    )
    .bind(&version.name)
    .bind(&version.digest)
    .bind(version.kind.as_str())
    .bind(&version.version)
    .bind(version.installed_ms)
    .bind(&version.installed_by)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn activate(
    tx: &mut SqliteConnection,
    change: &PluginChange,
    digest: Option<&str>,
    is_bundled: bool,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO plugin_activations (name, digest, bundled, activated_ms, activated_by)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&change.name)
    .bind(digest)
    .bind(is_bundled)
    .bind(change.ts_ms)
    .bind(&change.by)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Puts the active version on trial.
async fn begin_trial(tx: &mut SqliteConnection, name: &str, previous: &str) -> Result<()> {
    sqlx::query(
        "UPDATE plugin_activations SET trial_previous = $2, trial_broken = 0
         WHERE id = (SELECT max(id) FROM plugin_activations WHERE name = $1)",
    )
    .bind(name)
    .bind(previous)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Records that the bundled version was active, which nothing decided, when it is first replaced.
async fn activate_before(tx: &mut SqliteConnection, before: &PluginVersion) -> Result<()> {
    sqlx::query(
        "INSERT INTO plugin_activations (name, digest, bundled, activated_ms, activated_by)
         SELECT $1, $2, TRUE, $3, $4 WHERE NOT EXISTS (
             SELECT 1 FROM plugin_activations AS newest WHERE newest.name = $1 AND newest.digest = $2
             AND newest.id = (SELECT max(id) FROM plugin_activations WHERE name = $1)
         )",
    )
    .bind(&before.name)
    .bind(&before.digest)
    .bind(before.installed_ms)
    .bind(&before.installed_by)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Withdraws a version, or takes that back with none.
async fn withdraw(
    tx: &mut SqliteConnection,
    name: &str,
    digest: &str,
    withdrawn: Option<&Withdrawn>,
) -> Result<()> {
    sqlx::query("UPDATE plugin_versions SET withdrawn_ms = $3, withdrawn_reason = $4 WHERE name = $1 AND digest = $2")
        .bind(name)
        .bind(digest)
        .bind(withdrawn.map(|withdrawn| withdrawn.ts_ms))
        .bind(withdrawn.map(|withdrawn| withdrawn.reason.as_str()))
        .execute(&mut *tx)
        .await?;
    Ok(())
}

async fn begin_shadow(
    tx: &mut SqliteConnection,
    change: &PluginChange,
    digest: &str,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO plugin_shadows (name, digest, started_ms, started_by) VALUES ($1, $2, $3, $4)",
    )
    .bind(&change.name)
    .bind(digest)
    .bind(change.ts_ms)
    .bind(&change.by)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Marks versions whose files are deleted.
async fn forget(
    tx: &mut SqliteConnection,
    change: &PluginChange,
    digests: &[String],
) -> Result<()> {
    for digest in digests {
        sqlx::query("UPDATE plugin_versions SET removed_ms = $3 WHERE name = $1 AND digest = $2")
            .bind(&change.name)
            .bind(digest)
            .bind(change.ts_ms)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

async fn end_shadow(tx: &mut SqliteConnection, name: &str) -> Result<()> {
    sqlx::query("DELETE FROM plugin_shadows WHERE name = $1")
        .bind(name)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

fn record<'a>(plugins: &'a mut BTreeMap<String, PluginRecord>, name: &str) -> &'a mut PluginRecord {
    plugins
        .entry(name.to_owned())
        .or_insert_with(|| PluginRecord {
            name: name.to_owned(),
            versions: Vec::new(),
            activations: Vec::new(),
            shadow: None,
        })
}

fn trial(row: &SqliteRow) -> Result<Option<PluginTrial>> {
    let previous: Option<String> = row.try_get("trial_previous")?;
    let broken: Option<u32> = row.try_get("trial_broken")?;
    Ok(previous.map(|previous| PluginTrial {
        previous,
        broken: broken.unwrap_or(0),
    }))
}

fn read(row: &SqliteRow) -> Result<PluginVersion> {
    let name: String = row.try_get("name")?;
    Ok(PluginVersion {
        kind: word(row, "kind", "plugin", &name, PluginKind::parse)?,
        version: row.try_get("version")?,
        digest: row.try_get("digest")?,
        installed_ms: row.try_get("installed_ms")?,
        installed_by: row.try_get("installed_by")?,
        is_kept: row.try_get::<Option<i64>, _>("removed_ms")?.is_none(),
        withdrawn: match row.try_get::<Option<i64>, _>("withdrawn_ms")? {
            Some(ts_ms) => Some(Withdrawn {
                ts_ms,
                reason: row
                    .try_get::<Option<String>, _>("withdrawn_reason")?
                    .unwrap_or_default(),
            }),
            None => None,
        },
        name,
    })
}
