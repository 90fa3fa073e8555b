//! The wall around a child, which takes it on itself before it looks at anything foreign, and can't
//! take it off again: Landlock for files, a list of system calls for everything else. It holds for
//! the thread that calls it and for those that this one starts later.

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod elsewhere;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linux;

use std::path::Path;

use serde::{Deserialize, Serialize};

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
use elsewhere as kernel;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
use linux as kernel;

/// What the kernel has to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    /// Landlock (Linux 5.13 and later) and seccomp.
    #[default]
    Full,
    /// Seccomp alone: the child opens no socket and starts no program, and files are guarded by
    /// what runs in it alone.
    Seccomp,
    /// Limits alone.
    Off,
}

impl Sandbox {
    /// Returns the sandbox of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "full" => Some(Self::Full),
            "seccomp" => Some(Self::Seccomp),
            "off" => Some(Self::Off),
            _ => None,
        }
    }

    /// Returns what this kernel lacks for it.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::Seccomp | Self::Full if !kernel::has_seccomp() => Some("seccomp"),
            Self::Full if !kernel::has_landlock() => Some("Landlock"),
            Self::Seccomp | Self::Full => None,
        }
    }

    /// Confines the calling thread: it reads these files, writes into this folder, and opens
    /// nothing else. An error says what could not be held.
    pub fn enter<'a>(
        self,
        readable: impl Iterator<Item = &'a Path>,
        writable: &Path,
    ) -> Result<(), String> {
        if self == Self::Full {
            kernel::confine_files(readable, writable)?;
        }
        if self != Self::Off {
            kernel::confine_calls()?;
        }
        Ok(())
    }
}
