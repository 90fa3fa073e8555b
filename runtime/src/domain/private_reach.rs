//! Whether loopback and private addresses may be reached.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// How far the operator opened loopback and private addresses to a service or a channel.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrivateReach {
    #[default]
    Closed,
    /// Open by the operator's explicit setting.
    Open,
    /// Open for what the operator wrote into a configuration file: an address as it is, and a name
    /// if the first answer of its name servers was private. A public name that leads inside later
    /// does not.
    AsFirstSeen(#[serde(with = "shared")] Arc<FirstSeen>),
}

impl PrivateReach {
    /// Returns the reach of something that was just loaded from a file.
    pub fn as_loaded() -> Self {
        Self::AsFirstSeen(Arc::default())
    }
}

/// Answers for the names of one service or channel when they were first resolved since it was
/// loaded.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FirstSeen {
    is_private: Mutex<BTreeMap<String, bool>>,
}

impl FirstSeen {
    /// The first answer for a name that the operator wrote out, which bounds how many there are.
    pub fn note(&self, name: &str, is_private: bool) {
        let mut names = self
            .is_private
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !names.contains_key(name) {
            names.insert(name.to_owned(), is_private);
        }
    }

    pub fn is_private(&self, name: &str) -> bool {
        self.is_private
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            == Some(&true)
    }
}

impl From<bool> for PrivateReach {
    fn from(is_open: bool) -> Self {
        if is_open { Self::Open } else { Self::Closed }
    }
}

impl PartialEq for PrivateReach {
    /// Compares without the answers seen since.
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        T::serialize(value, serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}
