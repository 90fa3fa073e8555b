//! Checks of a component without running it: its form, its kind, its imports, its name.

use semver::Version;
use wasmtime::component::Component;

use crate::domain::{PluginInfo, PluginKind, Want};
use crate::plugin_host::capabilities;
use crate::plugin_host::contract::bindings::CONTRACT;
use crate::plugin_host::contract::bindings::PACKAGE;
use crate::plugin_host::policy::install_error::{InstallError, InstallStep};
use crate::plugin_host::versions::loader::COMPONENT_BYTES;

pub(super) fn check_format(bytes: &[u8]) -> Result<(), InstallError> {
    if bytes.len() > COMPONENT_BYTES {
        return Err(
            InstallStep::Format.error(format!("is larger than {} MiB", COMPONENT_BYTES >> 20))
        );
    }
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => Ok(()),
        Some(b"\0asm\x01\0\0\0") => Err(InstallStep::Format.error("is a core WebAssembly module, not a component; turn it into one with `wasm-tools component new`",
        )),
        _ => Err(InstallStep::Format.error("is not WebAssembly: the first eight bytes are not those of a component",
        )),
    }
}

/// The kind is what it exports; the imports have to be those of that kind.
pub(super) fn kind_and_imports(
    component: &Component,
) -> Result<(PluginKind, Vec<String>), InstallError> {
    let types = component.component_type();
    let engine = component.engine();
    let names = |(name, _): (&str, _)| name.to_owned();
    let exports: Vec<String> = types.exports(engine).map(names).collect();
    let imports: Vec<String> = types.imports(engine).map(names).collect();
    check_contract(imports.iter().chain(&exports))?;
    let kind = kind_of(&exports)?;
    check_imports(kind, &imports)?;
    Ok((kind, imports))
}

/// Returns the interface of our contract that a name names; none: it names none of ours.
fn interface(name: &str) -> Option<&str> {
    let name = name.strip_prefix(PACKAGE)?;
    Some(name.split('@').next().unwrap_or(name))
}

/// All of our interfaces have to be of a version that this program offers.
fn check_contract<'a>(names: impl IntoIterator<Item = &'a String>) -> Result<(), InstallError> {
    let foreign = names.into_iter().find(|name| !speaks_our_contract(name));
    let Some(name) = foreign else {
        return Ok(());
    };
    let version = name.split('@').nth(1).unwrap_or("no version");
    Err(InstallStep::World.error(format!(
        "is built for {version} of the contract `{}` (`{name}`); this program has {CONTRACT}: build it again with \
         the `wit/` of this program",
        PACKAGE.trim_end_matches('/')
    )))
}

fn kind_of(exports: &[String]) -> Result<PluginKind, InstallError> {
    let exported: Vec<&str> = exports.iter().filter_map(|name| interface(name)).collect();
    let kinds = [
        ("probes", PluginKind::Probe),
        ("rules", PluginKind::Rule),
        ("notifiers", PluginKind::Notifier),
        ("webhooks", PluginKind::Webhook),
        ("meters", PluginKind::Meter),
    ];
    let found: Vec<PluginKind> = kinds
        .into_iter()
        .filter(|(name, _)| exported.contains(name))
        .map(|(_, kind)| kind)
        .collect();
    let [kind] = found[..] else {
        return Err(InstallStep::World.error(format!(
            "has to export exactly one of `{PACKAGE}probes`, `rules`, `notifiers`, `webhooks` or `meters`; it exports {}",
            if exported.is_empty() {
                "none of our interfaces".to_owned()
            } else {
                exported.join(", ")
            }
        )));
    };
    if !exported.contains(&"description") {
        return Err(InstallStep::World.error(format!("does not export `{PACKAGE}description`")));
    }
    Ok(kind)
}

/// A kind is offered some of our interfaces, and the packages of WASI.
fn check_imports(kind: PluginKind, imports: &[String]) -> Result<(), InstallError> {
    let allowed = capabilities::allowed(kind);
    let unknown: Vec<&str> = imports
        .iter()
        .filter(|name| match interface(name) {
            Some(interface) => !allowed.contains(&interface),
            None => !is_wasi(name),
        })
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        return Err(InstallStep::Imports.error(format!(
            "imports `{}`, which a {} is not offered; offered are {} and WASI 0.2 ({})",
            unknown.join("`, `"),
            kind.as_str(),
            allowed.join(", "),
            capabilities::wasi::PACKAGES.join(", ")
        )));
    }
    if !allowed.contains(&"http")
        && let Some(http) = imports.iter().find(|name| name.starts_with("wasi:http/"))
    {
        return Err(InstallStep::Imports.error(format!(
            "imports `{http}`, and a {} has no network; leave it out when building, e.g. `disableFeatures: [\"http\", \
             \"fetch-event\"]` for componentize-js",
            kind.as_str()
        )));
    }
    Ok(())
}

/// Not ours, or of a version that promises the same: with another first number that is not 0
/// nothing is promised.
fn speaks_our_contract(name: &str) -> bool {
    if !name.starts_with(PACKAGE) {
        return true;
    }
    let kept = |version: &str| -> Option<(u64, Option<u64>)> {
        let version = Version::parse(version)
            .ok()
            .filter(|version| version.pre.is_empty())?;
        Some((version.major, (version.major == 0).then_some(version.minor)))
    };
    name.split_once('@').and_then(|(_, version)| kept(version)) == kept(CONTRACT)
}

/// `wasi:io/streams@0.2.6`: a package that is linked, in any version 0.2.
fn is_wasi(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else {
        return false;
    };
    let package = interface.split('/').next().unwrap_or(interface);
    let patch = version.strip_prefix("0.2.").unwrap_or_default();
    capabilities::wasi::PACKAGES.contains(&package) && patch.parse::<u32>().is_ok()
}

/// Words of the API's routes, beside the names of plugins.
pub const RESERVED_NAMES: [&str; 2] = ["check", "pull"];

/// Names become file names, routes and words in SQL.
pub(super) fn check_name(info: &PluginInfo) -> Result<(), InstallError> {
    let name = info.name.as_str();
    let is_word = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c));
    if !is_word {
        return Err(InstallStep::Name.error(format!(
            "`{}` is not a plugin name; use lower case letters, digits, `-` and `_`, at most 64",
            cut(name)
        )));
    }
    if RESERVED_NAMES.contains(&name) {
        return Err(InstallStep::Name.error(format!(
            "`{}` can't be the name of a plugin, it is part of the API",
            name
        )));
    }
    if info.version.len() > 64 || Version::parse(&info.version).is_err() {
        return Err(InstallStep::Describe.error(format!(
            "`{}` is not a semantic version; write three numbers, e.g. `1.0.0`",
            cut(&info.version)
        )));
    }
    Ok(())
}

/// A plugin that can't work without a feature fails here instead of in its runs.
pub(super) fn check_features(info: &PluginInfo) -> Result<(), InstallError> {
    let missing = info.wants.iter().find_map(|want| match want {
        Want::Feature(name) if !capabilities::host::supports(name) => Some(name),
        _ => None,
    });
    let Some(name) = missing else {
        return Ok(());
    };
    let known: Vec<String> = capabilities::host::features().collect();
    Err(InstallStep::Describe.error(format!(
        "needs the feature `{}`, which this program does not have; it has `{}`",
        cut(name),
        known.join("`, `")
    )))
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_of_another_contract_is_known_by_its_version() {
        for (name, wanted) in [
            ("external-tracking:plugin/probes@0.2.0", true),
            ("external-tracking:plugin/http@0.2.7", true),
            ("external-tracking:plugin/http@0.1.0", false),
            ("external-tracking:plugin/http@1.0.0", false),
            ("external-tracking:plugin/http@0.2.0-rc.1", false),
            ("external-tracking:plugin/http", false),
            ("wasi:http/types@0.2.0", true),
        ] {
            assert_eq!(speaks_our_contract(name), wanted, "{name}");
        }
    }

    #[test]
    fn a_version_is_semantic_or_refused() {
        let info = |version: &str| PluginInfo {
            name: "shop".to_owned(),
            version: version.to_owned(),
            summary: String::new(),
            settings_schema: serde_json::Value::Null,
            wants: Vec::new(),
            evaluated_over_time: false,
        };
        for version in ["1.0.0", "0.3.1-rc.1+build.7"] {
            assert_eq!(check_name(&info(version)), Ok(()), "{version}");
        }
        for version in [
            "one",
            "",
            "1",
            "1.0",
            "v1.0.0",
            "1.0.0 ",
            "1.0.0/../..",
            &format!("1.0.0-{}", "a".repeat(80)),
        ] {
            let refusal = check_name(&info(version)).unwrap_err();
            assert_eq!(refusal.step, InstallStep::Describe, "{version}");
        }
    }

    #[test]
    fn a_plugin_that_needs_an_unknown_feature_is_refused() {
        let info = |feature: &str| PluginInfo {
            name: "shop".to_owned(),
            version: "1.0.0".to_owned(),
            summary: String::new(),
            settings_schema: serde_json::Value::Null,
            wants: vec![Want::Feature(feature.to_owned())],
            evaluated_over_time: false,
        };
        for known in capabilities::host::features() {
            assert_eq!(check_features(&info(&known)), Ok(()), "{known}");
        }
        let refusal = check_features(&info("http.request:telepathy")).unwrap_err();
        assert_eq!(refusal.step, InstallStep::Describe);
        assert!(
            refusal.reason.contains("`http.request:telepathy`")
                && refusal.reason.contains("`http.request:insecure`"),
            "{refusal}"
        );
    }

    #[test]
    fn wasi_is_known_by_package_and_version() {
        for (import, wanted) in [
            ("wasi:io/streams@0.2.0", true),
            ("wasi:http/outgoing-handler@0.2.10", true),
            ("wasi:cli/environment@0.3.0", false),
            ("wasi:http/types@0.2.0-rc-2023-11-10", false),
            ("wasi:keyvalue/store@0.2.0", false),
            ("wasi:iota/streams@0.2.0", false),
            ("wasi:io/streams", false),
        ] {
            assert_eq!(is_wasi(import), wanted, "{import}");
        }
    }
}
