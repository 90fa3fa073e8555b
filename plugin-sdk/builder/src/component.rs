//! Encoding of a core module, with the description of its interfaces in it, as a component.

use std::path::Path;

use anyhow::{Context, Result};
use wit_component::ComponentEncoder;

/// Turns a module into a component, and checks that the component is valid.
pub fn encode(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder
        .validate(true)
        .module(module)
        .context("the module does not describe its interfaces")?;
    encoder
        .encode()
        .context("the module and the interfaces it describes do not match")
}

/// Encodes a module in a file as a component in another. Returns the component's size.
pub(crate) fn encode_file(module: &Path, component: &Path) -> Result<u64> {
    let encoded = encode(&read(module)?)?;
    write(component, &encoded)?;
    Ok(encoded.len() as u64)
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Writes a file whole or not at all, and only when it differs from what is there, so that its time
/// of change shows whether anything changed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let aside = path.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&aside, bytes).with_context(|| format!("cannot write `{}`", aside.display()))?;
    std::fs::rename(&aside, path).with_context(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_module() {
        let error = encode(b"not wasm at all").unwrap_err();
        assert!(
            format!("{error:#}").contains("describe its interfaces"),
            "{error:#}"
        );
    }

    #[test]
    fn leaves_an_unchanged_component_alone() {
        let folder = tempfile::tempdir().unwrap();
        let module = folder.path().join("empty.wasm");
        let component = folder.path().join("component.wasm");
        std::fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
        encode_file(&module, &component).unwrap();
        let before = std::fs::metadata(&component).unwrap().modified().unwrap();
        encode_file(&module, &component).unwrap();
        assert_eq!(
            std::fs::metadata(&component).unwrap().modified().unwrap(),
            before
        );
    }
}
