//! Finds a compiler for WebAssembly. Two kinds will do: one that has the target's standard library
//! ready, or one with the sources of exactly its own standard library, from which cargo compiles it
//! first.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::TARGET;
use crate::compile::clean_environment;

/// Names the compiler to use, in place of a search.
const OVERRIDE: &str = "EXTRACK_GUEST_RUSTC";

const REMEDY: &str = "no Rust compiler here can build for wasm32-unknown-unknown; do one of these:
  with rustup:        rustup target add wasm32-unknown-unknown
  on Debian (root):   apt-get install rustc-web cargo-web rust-web-src lld-22
  or set EXTRACK_GUEST_RUSTC to a rustc that has the target";

/// A compiler, the cargo that belongs to it, and what it still needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    pub rustc: PathBuf,
    pub cargo: PathBuf,
    /// The standard library is compiled from its sources, once for each target folder.
    pub build_std: bool,
    /// When the compiler brings none of its own.
    pub linker: Option<PathBuf>,
}

impl Toolchain {
    /// The override if it is set, else the first on `PATH` with the target, else the first with
    /// sources.
    pub fn find() -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if let Some(rustc) = std::env::var_os(OVERRIDE).filter(|value| !value.is_empty()) {
            let rustc = PathBuf::from(rustc);
            let sysroot =
                sysroot(&rustc).with_context(|| format!("{OVERRIDE} is `{}`", rustc.display()))?;
            return match Self::usable(&rustc, &sysroot, &path) {
                Some(toolchain) => Ok(toolchain),
                None => {
                    bail!(
                        "{OVERRIDE} is `{}`, which has neither the target nor its sources; {REMEDY}",
                        rustc.display()
                    )
                }
            };
        }
        let candidates: Vec<(PathBuf, PathBuf)> = compilers(&path)
            .into_iter()
            .filter_map(|rustc| sysroot(&rustc).ok().map(|sysroot| (rustc, sysroot)))
            .collect();
        let usable: Vec<Self> = candidates
            .iter()
            .filter_map(|(rustc, sysroot)| Self::usable(rustc, sysroot, &path))
            .collect();
        match usable
            .iter()
            .find(|toolchain| !toolchain.build_std)
            .or(usable.first())
        {
            Some(toolchain) => Ok(toolchain.clone()),
            None => bail!("{REMEDY}"),
        }
    }

    fn usable(rustc: &Path, sysroot: &Path, path: &OsStr) -> Option<Self> {
        let build_std = !has_target(sysroot);
        if build_std && !has_sources(sysroot) {
            return None;
        }
        let linker = if has_linker(sysroot) {
            None
        } else {
            Some(find_linker(path)?)
        };
        Some(Self {
            rustc: rustc.to_owned(),
            cargo: cargo_of(rustc),
            build_std,
            linker,
        })
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rustc.display())?;
        if self.build_std {
            write!(
                f,
                " (compiles the standard library too the first time, which takes a minute or two)"
            )?;
        }
        Ok(())
    }
}

/// Every `rustc` on the path, the one of a running build script first.
fn compilers(path: &OsStr) -> Vec<PathBuf> {
    let running = std::env::var_os("RUSTC")
        .map(PathBuf::from)
        .filter(|rustc| rustc.is_absolute());
    let on_path = std::env::split_paths(path).map(|folder| folder.join(executable("rustc")));
    let mut seen = BTreeSet::new();
    running
        .into_iter()
        .chain(on_path)
        .filter(|rustc| rustc.is_file() && seen.insert(rustc.clone()))
        .collect()
}

/// Finds cargo beside the compiler, where both rustup and Debian install it.
fn cargo_of(rustc: &Path) -> PathBuf {
    let beside = rustc.with_file_name(executable("cargo"));
    if beside.is_file() {
        beside
    } else {
        PathBuf::from("cargo")
    }
}

fn sysroot(rustc: &Path) -> Result<PathBuf> {
    let mut command = Command::new(rustc);
    clean_environment(&mut command);
    let output = command
        .args(["--print", "sysroot"])
        .output()
        .context("the compiler does not start")?;
    if !output.status.success() {
        bail!(
            "the compiler does not tell its sysroot: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim(),
    ))
}

fn has_target(sysroot: &Path) -> bool {
    let folder = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

fn has_sources(sysroot: &Path) -> bool {
    sysroot
        .join("lib/rustlib/src/rust/library/std/Cargo.toml")
        .is_file()
}

/// The compiler's own `rust-lld` lies below the host's name, which need not be known to find it.
fn has_linker(sysroot: &Path) -> bool {
    own_linker(sysroot).is_some()
}

fn own_linker(sysroot: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(sysroot.join("lib/rustlib")).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path().join("bin").join(executable("rust-lld")))
        .find(|lld| lld.is_file())
}

/// `wasm-ld`, the newest `wasm-ld-NN`, or the `rust-lld` of another compiler.
fn find_linker(path: &OsStr) -> Option<PathBuf> {
    let mut versioned = Vec::new();
    for folder in std::env::split_paths(path) {
        let plain = folder.join(executable("wasm-ld"));
        if plain.is_file() {
            return Some(plain);
        }
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let version = name
                .to_str()
                .and_then(|name| name.strip_prefix("wasm-ld-")?.parse::<u32>().ok());
            versioned.extend(version.map(|version| (version, entry.path())));
        }
    }
    let newest = versioned
        .into_iter()
        .max_by_key(|(version, _)| *version)
        .map(|(_, path)| path);
    newest.or_else(|| {
        compilers(path)
            .iter()
            .filter_map(|rustc| sysroot(rustc).ok())
            .find_map(|root| own_linker(&root))
    })
}

fn executable(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn takes_a_compiler_with_the_target_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        touch(
            &root
                .path()
                .join("lib/rustlib/wasm32-unknown-unknown/lib/libstd-0123.rlib"),
        );
        touch(
            &root
                .path()
                .join("lib/rustlib/some-host/bin")
                .join(executable("rust-lld")),
        );
        let found =
            Toolchain::usable(Path::new("/somewhere/rustc"), root.path(), OsStr::new("")).unwrap();
        assert!(!found.build_std);
        assert_eq!(found.linker, None);
    }

    #[test]
    fn builds_the_standard_library_where_only_its_sources_are() {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        touch(
            &root
                .path()
                .join("lib/rustlib/src/rust/library/std/Cargo.toml"),
        );
        for name in ["wasm-ld-9", "wasm-ld-22", "wasm-ld-old"] {
            touch(&bin.join(name));
        }
        let found =
            Toolchain::usable(Path::new("/somewhere/rustc"), root.path(), bin.as_os_str()).unwrap();
        assert!(found.build_std);
        assert_eq!(found.linker, Some(bin.join("wasm-ld-22")));
    }

    #[test]
    fn refuses_a_compiler_with_neither() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(
            Toolchain::usable(Path::new("/somewhere/rustc"), root.path(), OsStr::new("")),
            None
        );
    }

    #[test]
    fn the_remedy_names_both_ways() {
        assert!(REMEDY.contains("rustup target add wasm32-unknown-unknown"));
        assert!(REMEDY.contains("rustc-web cargo-web rust-web-src lld-22"));
    }
}
