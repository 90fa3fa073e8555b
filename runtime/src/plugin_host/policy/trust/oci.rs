//! Components from OCI registries, by the distribution specification 1.1: a manifest, and the layer
//! of type `application/wasm` it names. Everything is checked against its digest, so that it does
//! not matter who sends it.

mod session;

use bytes::Bytes;
use serde::Deserialize;

use self::session::Session;
use super::reference::{Reference, Version, sha256_of};
use crate::plugin_host::engine::digest::sha256_hex;
use crate::plugin_host::versions::loader::COMPONENT_BYTES;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const COMPONENT: &str = "application/wasm";
/// The text of a `.minisig` file, as a layer beside the component's.
const SIGNATURE: &str = "application/vnd.minisign.signature.v1";

/// The limit that registries set themselves.
const MANIFEST_BYTES: usize = 4 << 20;

pub(in crate::plugin_host) use self::session::Registry;

/// Digests that a reference resolves to at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin_host) struct Resolved {
    /// sha256 of the component, hex.
    pub(in crate::plugin_host) component: String,
    size: usize,
    signature: Option<Descriptor>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: Option<String>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

/// One conversation with one registry about one repository.
pub(in crate::plugin_host) struct Client<'a> {
    session: Session<'a>,
    reference: &'a Reference,
}

impl<'a> Client<'a> {
    pub(in crate::plugin_host) fn new(registry: Registry<'a>, reference: &'a Reference) -> Self {
        Self {
            session: Session::new(registry, reference),
            reference,
        }
    }

    /// Asks for the manifest.
    pub(in crate::plugin_host) async fn resolve(&mut self) -> Result<Resolved, String> {
        let path = format!("manifests/{}", self.reference.version);
        let bytes = self
            .session
            .get(&path, &format!("{MANIFEST}, {INDEX}"), MANIFEST_BYTES)
            .await?;
        if let Version::Digest(wanted) = &self.reference.version
            && sha256_hex(&bytes) != *wanted
        {
            return Err(format!(
                "the manifest has the digest `sha256:{}`, not the one asked for",
                sha256_hex(&bytes)
            ));
        }
        read_manifest(&bytes)
    }

    pub(in crate::plugin_host) async fn component(
        &mut self,
        resolved: &Resolved,
    ) -> Result<Bytes, String> {
        self.blob(&resolved.component, resolved.size).await
    }

    /// Returns the signature; `None` if none was pushed with the component.
    pub(in crate::plugin_host) async fn signature(
        &mut self,
        resolved: &Resolved,
    ) -> Result<Option<String>, String> {
        let Some(Descriptor { digest, size, .. }) = &resolved.signature else {
            return Ok(None);
        };
        let Some(hex) = sha256_of(digest) else {
            return Err(format!("the digest `{digest}` is not a sha256"));
        };
        let bytes = self
            .blob(&hex, usize::try_from(*size).unwrap_or(usize::MAX))
            .await?;
        String::from_utf8(bytes.to_vec())
            .map(Some)
            .map_err(|_| "the signature is not text".to_owned())
    }

    async fn blob(&mut self, hex: &str, size: usize) -> Result<Bytes, String> {
        let bytes = self
            .session
            .get(&format!("blobs/sha256:{hex}"), "*/*", size)
            .await?;
        match sha256_hex(&bytes) {
            found if found == hex => Ok(bytes),
            found => Err(format!(
                "what came has the digest `sha256:{found}`, not `sha256:{hex}`, which the manifest names"
            )),
        }
    }
}

fn read_manifest(bytes: &[u8]) -> Result<Resolved, String> {
    let manifest: Manifest = serde_json::from_slice(bytes)
        .map_err(|error| format!("the manifest can't be read: {error}"))?;
    let kind = manifest.media_type.as_deref().unwrap_or(MANIFEST);
    if manifest.schema_version != 2 || kind != MANIFEST {
        return Err(format!(
            "the manifest is a `{kind}`; a component has an image manifest of its own"
        ));
    }
    let of_type = |wanted: &str| {
        manifest
            .layers
            .iter()
            .filter(|layer| layer.media_type == wanted)
            .collect::<Vec<_>>()
    };
    let [component] = of_type(COMPONENT)[..] else {
        let found: Vec<&str> = manifest
            .layers
            .iter()
            .take(10)
            .map(|layer| layer.media_type.as_str())
            .collect();
        return Err(format!(
            "has to have exactly one layer of type `{COMPONENT}`; it has `{}`",
            found.join("`, `")
        ));
    };
    let size = usize::try_from(component.size).unwrap_or(usize::MAX);
    if size > COMPONENT_BYTES {
        return Err(format!(
            "the component is larger than {} MiB",
            COMPONENT_BYTES >> 20
        ));
    }
    let Some(hex) = sha256_of(&component.digest) else {
        return Err(format!("the digest `{}` is not a sha256", component.digest));
    };
    let signature = match of_type(SIGNATURE)[..] {
        [] => None,
        [one] if one.size <= super::SIGNATURE_BYTES as u64 => Some(one.clone()),
        [_] => {
            return Err(format!(
                "the signature is larger than {} bytes",
                super::SIGNATURE_BYTES
            ));
        }
        _ => return Err("has more than one signature".to_owned()),
    };
    Ok(Resolved {
        component: hex,
        size,
        signature,
    })
}

#[cfg(test)]
mod tests;
