//! Which versions of a plugin were installed, and which one is active. The components themselves lie in files, by digest.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{ControlError, ControlStore, Result, word};
use crate::domain::{PluginKind, UnixMillis, now_ms};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginVersion {
    pub name: String,
    pub kind: PluginKind,
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    pub installed_ms: UnixMillis,
    pub installed_by: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginActivation {
    /// None: back to the bundled version, or to nothing.
    pub digest: Option<String>,
    pub activated_ms: UnixMillis,
    pub activated_by: String,
}

/// Everything that is known of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPlugin {
    pub name: String,
    pub active: Option<PluginVersion>,
    /// Newest first.
    pub versions: Vec<PluginVersion>,
    /// Newest first; the first one counts.
    pub activations: Vec<PluginActivation>,
}

impl ControlStore {
    /// Installing the same component again changes nothing.
    pub async fn plugin_version_insert(
        &self,
        name: &str,
        kind: PluginKind,
        version: &str,
        digest: &str,
        installed_by: &str,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO plugin_versions (name, digest, kind, version, installed_ms, installed_by)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name, digest) DO NOTHING",
        )
        .bind(name)
        .bind(digest)
        .bind(kind.as_str())
        .bind(version)
        .bind(now_ms())
        .bind(installed_by)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    pub async fn plugin_activate(&self, name: &str, digest: &str, by: &str) -> Result<()> {
        self.activation_insert(name, Some(digest), by).await
    }

    /// Back to the bundled version, or to nothing.
    pub async fn plugin_deactivate(&self, name: &str, by: &str) -> Result<()> {
        self.activation_insert(name, None, by).await
    }

    async fn activation_insert(&self, name: &str, digest: Option<&str>, by: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO plugin_activations (name, digest, activated_ms, activated_by) VALUES ($1, $2, $3, $4)",
        )
        .bind(name)
        .bind(digest)
        .bind(now_ms())
        .bind(by)
        .execute(&self.writer)
        .await
        .map_err(|source| match source.as_database_error() {
            Some(error) if error.is_foreign_key_violation() => ControlError::NotFound {
                what: "plugin version",
                name: format!("{name} {}", digest.unwrap_or_default()),
            },
            _ => ControlError::Database { doing: "write", source },
        })?;
        Ok(())
    }

    /// By name.
    pub async fn plugin_list(&self) -> Result<Vec<StoredPlugin>> {
        let mut tx = self.reader.begin().await?;
        let versions = sqlx::query(
            "SELECT name, kind, version, digest, installed_ms, installed_by FROM plugin_versions
             ORDER BY name, installed_ms DESC, digest",
        )
        .fetch_all(&mut *tx)
        .await?;
        let activations = sqlx::query(
            "SELECT name, digest, activated_ms, activated_by FROM plugin_activations ORDER BY name, id DESC",
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut plugins = std::collections::BTreeMap::<String, StoredPlugin>::new();
        for row in &versions {
            let version = read(row)?;
            entry(&mut plugins, &version.name).versions.push(version);
        }
        for row in &activations {
            let name: String = row.try_get("name")?;
            entry(&mut plugins, &name).activations.push(PluginActivation {
                digest: row.try_get("digest")?,
                activated_ms: row.try_get("activated_ms")?,
                activated_by: row.try_get("activated_by")?,
            });
        }
        for plugin in plugins.values_mut() {
            let active = plugin.activations.first().and_then(|activation| activation.digest.as_deref());
            plugin.active = plugin.versions.iter().find(|version| Some(version.digest.as_str()) == active).cloned();
        }
        Ok(plugins.into_values().collect())
    }

    /// What was active before the version that is active now: where a roll-back goes.
    pub async fn plugin_previous(&self, name: &str) -> Result<Option<PluginVersion>> {
        let digests: Vec<Option<String>> =
            sqlx::query_scalar("SELECT digest FROM plugin_activations WHERE name = $1 ORDER BY id DESC LIMIT 100")
                .bind(name)
                .fetch_all(&self.reader)
                .await?;
        let Some(current) = digests.first() else { return Ok(None) };
        let Some(Some(previous)) = digests.iter().find(|digest| *digest != current) else { return Ok(None) };
        sqlx::query(
            "SELECT name, kind, version, digest, installed_ms, installed_by FROM plugin_versions
             WHERE name = $1 AND digest = $2",
        )
        .bind(name)
        .bind(previous)
        .fetch_optional(&self.reader)
        .await?
        .map(|row| read(&row))
        .transpose()
    }
}

fn entry<'a>(plugins: &'a mut std::collections::BTreeMap<String, StoredPlugin>, name: &str) -> &'a mut StoredPlugin {
    plugins.entry(name.to_owned()).or_insert_with(|| StoredPlugin {
        name: name.to_owned(),
        active: None,
        versions: Vec::new(),
        activations: Vec::new(),
    })
}

fn read(row: &SqliteRow) -> Result<PluginVersion> {
    let name: String = row.try_get("name")?;
    Ok(PluginVersion {
        kind: word(row, "kind", "plugin", &name, PluginKind::parse)?,
        version: row.try_get("version")?,
        digest: row.try_get("digest")?,
        installed_ms: row.try_get("installed_ms")?,
        installed_by: row.try_get("installed_by")?,
        name,
    })
}
