//! The request to install a plugin.

use bytes::Bytes;

/// A component to verify and make active, or to run beside the active version.
#[derive(Debug, Clone)]
pub struct InstallRequest {
    /// Name that the component has to give itself; `None`: any.
    pub name: Option<String>,
    pub source: InstallSource,
    pub role: InstallRole,
    /// Actor that the log of versions names.
    pub by: String,
    /// Fails for a version that the program rolled back by itself, instead of activating it again.
    pub rejects_withdrawn: bool,
}

#[derive(Debug, Clone)]
pub enum InstallSource {
    Component {
        bytes: Bytes,
        /// Text of a `.minisig` file.
        signature: Option<String>,
    },
    /// Reference to an OCI registry. A component that is active already, or was installed before,
    /// is not downloaded again.
    Registry(String),
}

/// Role of a version once it is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallRole {
    Active,
    /// Runs beside the active version, over restarts, until it is promoted or discarded. It takes
    /// the place of the candidate before.
    Shadow,
}

impl InstallRequest {
    /// Installs these bytes as the active version.
    pub fn component(bytes: Bytes, signature: Option<String>, by: &str) -> Self {
        Self::new(InstallSource::Component { bytes, signature }, by)
    }

    /// Installs the component that a reference names as the active version.
    pub fn registry(reference: &str, by: &str) -> Self {
        Self::new(InstallSource::Registry(reference.to_owned()), by)
    }

    fn new(source: InstallSource, by: &str) -> Self {
        Self {
            name: None,
            source,
            role: InstallRole::Active,
            by: by.to_owned(),
            rejects_withdrawn: false,
        }
    }

    pub fn named(self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self
        }
    }

    pub fn beside_active(self) -> Self {
        Self {
            role: InstallRole::Shadow,
            ..self
        }
    }

    pub fn rejecting_withdrawn(self) -> Self {
        Self {
            rejects_withdrawn: true,
            ..self
        }
    }
}
