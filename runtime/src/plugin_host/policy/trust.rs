//! Which components may become plugins: pinned by digest, signed by a key of the operator's. Asked
//! at every load, however the component came: uploaded, from the folder, pulled, rolled back to, or
//! read at the start.

pub(in crate::plugin_host) mod oci;
pub(in crate::plugin_host) mod reference;
mod signature;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;

pub use reference::check_reference;
pub use signature::{SIGNATURE_BYTES, check_key};

use crate::domain::PluginTrust;
use crate::plugin_host::engine::bundled;
use crate::plugin_host::versions::loader::{LoadedPlugin, Refusal, digest, refuse};
use crate::plugin_host::{PluginEntry, PluginHost};

/// Where `plugins.yaml` says what to trust, for refusals.
const FILE: &str = "plugins.yaml";

/// The operator's word, and the signatures that came with components.
#[derive(Default)]
pub(in crate::plugin_host) struct Trust {
    policy: ArcSwap<PluginTrust>,
    /// Signatures lie beside the components, by digest. None: nothing was ever installed.
    folder: Option<PathBuf>,
}

impl Trust {
    pub(in crate::plugin_host) fn new(policy: PluginTrust, folder: &Path) -> Self {
        Self {
            policy: ArcSwap::from_pointee(policy),
            folder: Some(folder.to_owned()),
        }
    }

    /// Another word of the operator's, with the same signatures.
    pub(in crate::plugin_host) fn under(&self, policy: PluginTrust) -> Self {
        Self {
            policy: ArcSwap::from_pointee(policy),
            folder: self.folder.clone(),
        }
    }

    pub(in crate::plugin_host) fn policy(&self) -> Arc<PluginTrust> {
        self.policy.load_full()
    }

    /// By the digest alone, before anything of the component is looked at. The answer is the key
    /// that signed it.
    pub(in crate::plugin_host) async fn check_signature(
        &self,
        component: &Bytes,
        digest: &str,
    ) -> Result<Option<String>, Refusal> {
        let policy = self.policy();
        if policy.keys.is_empty() && !policy.require_signatures {
            return Ok(None);
        }
        let signature = self.signature(digest).await;
        let verified = match &signature {
            Some(signature) => {
                Some(signature::verify(&policy.keys, component.clone(), signature.clone()).await)
            }
            None => None,
        };
        let is_free = !policy.require_signatures || is_bundled(digest);
        match verified {
            Some(Ok(key)) => Ok(Some(key)),
            // By nobody the operator knows: as good as none. What one of the keys signed otherwise
            // was changed since.
            Some(Err(fault)) if !(is_free && fault.is_foreign) => {
                Err(refuse("signature", fault.reason))
            }
            _ if is_free => Ok(None),
            Some(Err(fault)) => Err(refuse("signature", fault.reason)),
            None => Err(refuse(
                "signature",
                format!(
                    "is not signed, and `trust.requireSignatures` in {FILE} asks for a signature: make one with \
                     `minisign -Sm FILE` and install the file with its `.minisig` beside it"
                ),
            )),
        }
    }

    /// Looks at what can be said before a component is compiled, and keeps its signature for the
    /// checks to come. One that no version needs in the end goes with the next start.
    pub(in crate::plugin_host) async fn admit(
        &self,
        name: Option<&str>,
        component: &Bytes,
        signature: Option<String>,
    ) -> Result<(), Refusal> {
        let digest = digest(component);
        if let Some(name) = name {
            self.check_pin(name, &digest)?;
        }
        let Some(signature) = signature else {
            return Ok(());
        };
        if signature.len() > SIGNATURE_BYTES {
            return Err(refuse(
                "signature",
                format!("the signature is larger than {SIGNATURE_BYTES} bytes"),
            ));
        }
        let keys = self.policy().keys.clone();
        // Without keys nobody can say whether it is good: it is kept for when there are some.
        if !keys.is_empty() {
            let verified = signature::verify(&keys, component.clone(), signature.clone()).await;
            verified.map_err(|fault| refuse("signature", fault.reason))?;
        } else if self
            .path(&digest)
            .is_some_and(|path| path.exists() && path.with_extension("wasm").exists())
        {
            // That of a version which is there may be good, and stays.
            return Ok(());
        }
        self.keep(&digest, signature).await
    }

    /// Once the name is known.
    pub(in crate::plugin_host) fn check_pin(
        &self,
        name: &str,
        digest: &str,
    ) -> Result<(), Refusal> {
        match self.policy.load().pins.get(name) {
            Some(pins) if !pins.iter().any(|pin| pin == digest) => Err(refuse(
                "pin",
                format!(
                    "its sha256 is `{digest}`; `plugins.{name}.sha256` in {FILE} allows only `{}`",
                    pins.join("`, `")
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Components that are named by digest.
    pub(in crate::plugin_host) fn pinned(&self, name: &str) -> Vec<String> {
        self.policy
            .load()
            .pins
            .get(name)
            .cloned()
            .unwrap_or_default()
    }

    fn path(&self, digest: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{digest}.minisig")))
    }

    async fn signature(&self, digest: &str) -> Option<String> {
        let text = tokio::fs::read(self.path(digest)?).await.ok()?;
        String::from_utf8(text)
            .ok()
            .filter(|text| text.len() <= SIGNATURE_BYTES)
    }

    /// Beside the component, whether that is there already or comes next.
    async fn keep(&self, digest: &str, signature: String) -> Result<(), Refusal> {
        let Some(path) = self.path(digest) else {
            return Ok(());
        };
        let failed = |error: String| {
            refuse(
                "store",
                format!("can't write `{}`: {error}", path.display()),
            )
        };
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || {
            use std::io::Write;
            let folder = target.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(signature.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&target)?;
            std::fs::File::open(folder)?.sync_all()
        });
        match written.await {
            Ok(result) => result.map_err(|error| failed(error.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// Part of this binary, whose makers the operator trusts already.
fn is_bundled(wanted: &str) -> bool {
    bundled::bundled()
        .plugins
        .iter()
        .any(|(_, bytes)| digest(bytes) == wanted)
}

impl PluginHost {
    /// As [`PluginHost::install`], with the text of a `.minisig` file. What is known to be refused
    /// is not even compiled.
    pub async fn install_signed(
        &self,
        name: Option<&str>,
        component: Bytes,
        signature: Option<String>,
        by: &str,
    ) -> Result<PluginEntry, Refusal> {
        self.shared.trust.admit(name, &component, signature).await?;
        self.install(name, component, by).await
    }

    /// As [`PluginHost::shadow_start`], with the text of a `.minisig` file.
    pub async fn shadow_start_signed(
        &self,
        name: &str,
        component: Bytes,
        signature: Option<String>,
        by: &str,
    ) -> Result<PluginEntry, Refusal> {
        self.shared
            .trust
            .admit(Some(name), &component, signature)
            .await?;
        self.shadow_start(name, component, by).await
    }

    /// What holds at the moment.
    pub fn trust(&self) -> PluginTrust {
        PluginTrust::clone(&self.shared.trust.policy())
    }

    /// Holds for what is loaded from now on. An active version that would be refused now stays
    /// until it is replaced or the program starts again, and is told.
    pub fn set_trust(&self, policy: PluginTrust) {
        self.shared.trust.policy.store(Arc::new(policy));
        for plugin in self.shared.active.load().values() {
            if let Err(refusal) = self.shared.trust.still_good(plugin) {
                tracing::error!(
                    plugin = plugin.info.name, version = plugin.info.version, digest = plugin.digest, %refusal,
                    "the active version of a plugin is not one that {FILE} trusts; it stays until it is replaced or the \
                     program starts again"
                );
            }
        }
    }
}

impl Trust {
    fn still_good(&self, plugin: &LoadedPlugin) -> Result<(), Refusal> {
        self.check_pin(&plugin.info.name, &plugin.digest)?;
        if self.policy.load().require_signatures
            && plugin.signed_by.is_none()
            && !is_bundled(&plugin.digest)
        {
            return Err(refuse(
                "signature",
                "is not signed by a key that was known when it was loaded",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
