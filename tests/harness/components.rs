//! Components to install: guests that were compiled beside the tests, and broken ones made on the
//! spot.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

/// A plugin from `tests/guests` or from `plugins`, by the name of its package.
pub fn path(name: &str) -> PathBuf {
    let path = Path::new(env!("EXTRACK_TEST_COMPONENTS")).join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "there is no guest `{name}` in `tests/guests`, nor a bundled plugin of that name"
    );
    path
}

pub fn guest(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect("it was there a moment ago")
}

/// Kind and name of each bundled plugin, by the folders in `plugins`.
pub fn bundled() -> Vec<(String, String)> {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let mut found = Vec::new();
    for kind in ["probe", "rule", "notifier", "webhook", "meter"] {
        let folder = plugins.join(format!("{kind}s"));
        let packages = std::fs::read_dir(folder).expect("the folder of that kind is there");
        let packages = packages.map(|package| package.expect("it can be read"));
        for package in packages.filter(|package| package.path().join("Cargo.toml").exists()) {
            let name = package.file_name().to_string_lossy().into_owned();
            found.push((kind.to_owned(), name));
        }
    }
    found.sort();
    found
}

/// Hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Fits the world `probe`, and traps whatever is called, `describe` first.
pub fn trapping() -> Vec<u8> {
    of_world("trapping", "include external-tracking:plugin/probe@0.2.0;")
}

/// A valid component of a kind we know nothing of.
pub fn of_another_world() -> Vec<u8> {
    of_world("other", "export run: func();")
}

/// A probe that wants something no host has.
pub fn with_unknown_import() -> Vec<u8> {
    of_world(
        "telepath",
        "include external-tracking:plugin/probe@0.2.0; import telepathy: interface { read: func() -> string; }",
    )
}

/// A probe that wants what only rules have.
pub fn with_import_of_another_kind() -> Vec<u8> {
    of_world(
        "curious",
        "include external-tracking:plugin/probe@0.2.0; import external-tracking:plugin/history@0.2.0;",
    )
}

/// A plugin of that kind that imports an interface of another package too: `with_import("rule",
/// "wasi:http", "types", "0.2.0")`.
pub fn with_import(kind: &str, package: &str, interface: &str, version: &str) -> Vec<u8> {
    let text =
        format!("package {package}@{version};\ninterface {interface} {{ ask: func() -> u32; }}\n");
    let items = format!(
        "include external-tracking:plugin/{kind}@0.2.0; import {package}/{interface}@{version};"
    );
    of_world_with("curious", &items, Some(&text))
}

/// A component of that world, in which every function traps.
fn of_world(name: &str, items: &str) -> Vec<u8> {
    of_world_with(name, items, None)
}

fn of_world_with(name: &str, items: &str, package: Option<&str>) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
    resolve.push_path(wit).expect("our own contract is good");
    if let Some(text) = package {
        resolve
            .push_str("package.wit", text)
            .expect("the test's package is good");
    }
    let text = format!("package test:{name};\nworld {name} {{ {items} }}\n");
    let package = resolve
        .push_str(format!("{name}.wit"), &text)
        .expect("the test's world is good");
    let world = resolve
        .select_world(&[package], Some(name))
        .expect("it was just defined");
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .expect("a dummy fits its world");
    let mut encoder = ComponentEncoder::default();
    encoder.module(&module).expect("a dummy is a good module");
    encoder.encode().expect("a dummy makes a component")
}

/// A core module, as a compiler leaves it.
pub fn core_module() -> Vec<u8> {
    b"\0asm\x01\0\0\0".to_vec()
}
