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

/// Writes the component whole or not at all, and only when it differs from what is there, so that
/// its time of change shows whether anything changed. Returns its size.
pub(crate) fn encode_file(module: &Path, component: &Path) -> Result<u64> {
    let bytes =
        std::fs::read(module).with_context(|| format!("cannot read `{}`", module.display()))?;
    let encoded = encode(&bytes)?;
    if std::fs::read(component).is_ok_and(|present| present == encoded) {
        return Ok(encoded.len() as u64);
    }
    let aside = component.with_extension(format!("{}.part", std::process::id()));
    std::fs::write(&aside, &encoded)
        .with_context(|| format!("cannot write `{}`", aside.display()))?;
    std::fs::rename(&aside, component)
        .with_context(|| format!("cannot write `{}`", component.display()))?;
    Ok(encoded.len() as u64)
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
