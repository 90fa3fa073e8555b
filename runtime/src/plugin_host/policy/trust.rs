//! Trust in components: pinned by digest, signed by a key of the operator's. Checked at every load,
//! however the component came: uploaded, from the folder, pulled, rolled back to, or read at the
//! start.

pub(in crate::plugin_host) mod oci;
pub(in crate::plugin_host) mod reference;
mod signature;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use reference::check_reference;
pub use signature::{SIGNATURE_BYTES, check_key};

use crate::domain::PluginTrust;
use crate::plugin_host::engine::bundled;
use crate::plugin_host::engine::digest::ComponentBytes;
use crate::plugin_host::engine::digest::sha256_hex;
use crate::plugin_host::policy::install_error::{InstallError, InstallStep};

/// File with what to trust, for errors.
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

    /// Checks the signature by the digest alone, before anything of the component is looked at.
    /// Returns the key that signed it.
    pub(in crate::plugin_host) async fn check_signature(
        &self,
        component: &ComponentBytes,
    ) -> Result<Option<String>, InstallError> {
        let policy = self.policy();
        if policy.keys.is_empty() && !policy.require_signatures {
            return Ok(None);
        }
        let digest = component.digest.as_str();
        let signature = self.signature(digest).await;
        let verified = match &signature {
            Some(signature) => Some(
                signature::verify(&policy.keys, component.bytes.clone(), signature.clone()).await,
            ),
            None => None,
        };
        let is_free = !policy.require_signatures || is_bundled(digest);
        match verified {
            Some(Ok(key)) => Ok(Some(key)),
            // By a key that is not configured: as good as none. What one of the keys signed otherwise
            // was changed since.
            Some(Err(fault)) if !(is_free && fault.is_foreign) => {
                Err(InstallStep::Signature.error(fault.reason))
            }
            _ if is_free => Ok(None),
            Some(Err(fault)) => Err(InstallStep::Signature.error(fault.reason)),
            None => Err(InstallStep::Signature.error(format!(
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
        component: &ComponentBytes,
        signature: Option<String>,
    ) -> Result<(), InstallError> {
        let digest = component.digest.as_str();
        if let Some(name) = name {
            self.check_pin(name, digest)?;
        }
        let Some(signature) = signature else {
            return Ok(());
        };
        if signature.len() > SIGNATURE_BYTES {
            return Err(InstallStep::Signature.error(format!(
                "the signature is larger than {SIGNATURE_BYTES} bytes"
            )));
        }
        let keys = self.policy().keys.clone();
        // Without keys it can't be verified: it is kept for when there are some.
        if !keys.is_empty() {
            let verified =
                signature::verify(&keys, component.bytes.clone(), signature.clone()).await;
            verified.map_err(|fault| InstallStep::Signature.error(fault.reason))?;
        } else if self
            .path(digest)
            .is_some_and(|path| path.exists() && path.with_extension("wasm").exists())
        {
            // That of a version which is there may be good, and stays.
            return Ok(());
        }
        self.keep(digest, signature).await
    }

    /// Once the name is known.
    pub(in crate::plugin_host) fn check_pin(
        &self,
        name: &str,
        digest: &str,
    ) -> Result<(), InstallError> {
        match self.policy.load().pins.get(name) {
            Some(pins) if !pins.iter().any(|pin| pin == digest) => {
                Err(InstallStep::Pin.error(format!(
                    "its sha256 is `{digest}`; `plugins.{name}.sha256` in {FILE} allows only `{}`",
                    pins.join("`, `")
                )))
            }
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

    /// Writes a signature beside its component, whether that is there already or comes next.
    async fn keep(&self, digest: &str, signature: String) -> Result<(), InstallError> {
        let Some(path) = self.path(digest) else {
            return Ok(());
        };
        let failed = |error: String| {
            InstallStep::Store.error(format!("can't write `{}`: {error}", path.display()))
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
        .any(|(_, bytes)| sha256_hex(bytes) == wanted)
}

impl Trust {
    /// Replaces what the operator trusts.
    pub(in crate::plugin_host) fn set(&self, policy: PluginTrust) {
        self.policy.store(Arc::new(policy));
    }

    /// Checks a version that was loaded under an earlier policy.
    pub(in crate::plugin_host) fn check_loaded(
        &self,
        name: &str,
        digest: &str,
        is_signed: bool,
    ) -> Result<(), InstallError> {
        self.check_pin(name, digest)?;
        if self.policy.load().require_signatures && !is_signed && !is_bundled(digest) {
            return Err(InstallStep::Signature
                .error("is not signed by a key that was known when it was loaded"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
