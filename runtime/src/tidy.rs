//! Holds the boundaries between modules: reads every `crate::…` in the sources and compares it with
//! the table of allowed arrows (the layers in `runtime/README.md`). Also holds what belongs to one
//! module only, such as SQL to `store`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Imports that are allowed. `domain` and the module itself always; `telemetry` is for `app` and
/// `cli`.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "app",
            "backup",
            "config",
            "import",
            "local",
            "plugin_host",
            "telemetry",
            "api_types",
            "spec",
            "vendors",
        ],
    ),
    (
        "app",
        &[
            "config",
            "reload",
            "reports",
            "plugin_sources",
            "api",
            "archive",
            "wire",
            "backtest",
            "backup",
            "registry",
            "monitoring",
            "gateway",
            "alerts",
            "usage",
            "analytics",
            "store",
            "plugin_host",
            "net",
            "telemetry",
            "api_types",
        ],
    ),
    (
        "local",
        &["config", "plugin_sources", "alerts", "plugin_host", "net"],
    ),
    (
        "api",
        &[
            "analytics",
            "archive",
            "backtest",
            "backup",
            "config",
            "reload",
            "reports",
            "vendors",
            "registry",
            "monitoring",
            "gateway",
            "alerts",
            "usage",
            "store",
            "plugin_host",
            "charts",
            "spec",
            "api_types",
        ],
    ),
    ("wire", &["api", "store"]),
    // Use cases that need more than one engine.
    (
        "reload",
        &[
            "config",
            "plugin_sources",
            "registry",
            "store",
            "plugin_host",
        ],
    ),
    (
        "reports",
        &[
            "registry",
            "alerts",
            "store",
            "plugin_host",
            "charts",
            "spec",
        ],
    ),
    ("vendors", &["config", "net", "spec"]),
    ("import", &["config"]),
    ("plugin_sources", &["registry", "plugin_host"]),
    ("backtest", &["registry", "alerts", "store", "plugin_host"]),
    ("backup", &["store"]),
    ("archive", &["store"]),
    // Settings of the parts are read from the environment and checked by `config`.
    (
        "config",
        &[
            "archive",
            "registry",
            "monitoring",
            "alerts",
            "plugin_host",
            "child",
            "net",
            "spec",
            "api_types",
        ],
    ),
    // Engines: they never import each other.
    ("registry", &["store", "plugin_host", "net", "spec"]),
    ("monitoring", &["store", "plugin_host", "net"]),
    ("gateway", &["store", "plugin_host", "net"]),
    ("alerts", &["store", "plugin_host"]),
    ("usage", &["store"]),
    ("analytics", &["store"]),
    ("charts", &["store"]),
    // Edges.
    ("plugin_host", &["child", "net", "store"]),
    ("store", &["child"]),
    ("net", &[]),
    // Ground.
    ("child", &[]),
    ("api_types", &["spec"]),
    ("domain", &[]),
    ("spec", &[]),
    ("telemetry", &[]),
    ("lib", &[]),
    ("tidy", &[]),
];

/// Crates that one module alone may name.
const OWNERS: &[(&str, &[&str])] = &[
    ("wasmtime", &["plugin_host"]),
    ("wasmtime_wasi", &["plugin_host"]),
    ("object_store", &["archive"]),
    ("landlock", &["child"]),
    ("seccompiler", &["child"]),
    ("prost", &["usage"]),
    ("sqlx", &["store"]),
    ("duckdb", &["store"]),
    ("hyper", &["net", "api", "gateway"]),
    ("hyper_util", &["net", "api", "gateway"]),
    ("lettre", &["net"]),
    ("hickory_proto", &["net"]),
    ("resolv_conf", &["net"]),
    ("maud", &["api", "charts"]),
    ("aide", &["api"]),
    ("clap", &["cli"]),
    ("saphyr", &["config"]),
];

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap();
                let module = relative
                    .iter()
                    .next()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .trim_end_matches(".rs")
                    .to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let code = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .collect::<Vec<_>>()
                    .join("\n");
                found.push((module, relative.to_owned(), code));
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// Words that follow `prefix`, e.g. `net` after `crate::`; of `crate::{a::B, c}` each first word.
fn words_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let word = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut words = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => words.extend(Some(word(rest))),
            Some(group) => {
                let (mut depth, mut start) = (0, true);
                for (index, character) in group.char_indices() {
                    match character {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && depth == 0 && c.is_alphabetic() => {
                            words.insert(word(&group[index..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    words
}

#[test]
fn modules_import_only_downwards() {
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        let allowed = ARROWS
            .iter()
            .find(|(name, _)| *name == module)
            .map(|(_, allowed)| *allowed);
        let allowed =
            allowed.unwrap_or_else(|| panic!("module `{module}` is not in the table of arrows"));
        for target in words_after(&code, "crate::") {
            let known = ARROWS.iter().any(|(name, _)| *name == target);
            if known
                && module != "tidy"
                && target != module
                && target != "domain"
                && !allowed.contains(&target.as_str())
            {
                wrong.push(format!(
                    "{}: `{module}` may not import `{target}`",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_arrow_of_the_table_is_used() {
    let sources = sources();
    for (module, targets) in ARROWS {
        let used: BTreeSet<String> = sources
            .iter()
            .filter(|(of, ..)| of == module)
            .flat_map(|(.., code)| words_after(code, "crate::"))
            .collect();
        for target in *targets {
            assert!(
                used.contains(*target),
                "`{module}` no longer imports `{target}`: take the arrow out of the table"
            );
        }
    }
}

#[test]
fn what_belongs_to_one_module_stays_there() {
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        for (name, owners) in OWNERS {
            let named = code.contains(&format!("use {name}::"))
                || !words_after(&code, &format!("{name}::")).is_empty();
            if named && module != "tidy" && !owners.contains(&module.as_str()) {
                wrong.push(format!(
                    "{}: `{name}` belongs to {}",
                    path.display(),
                    owners.join(", ")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_finds_what_it_should() {
    assert_eq!(
        words_after(
            "use crate::net::Net; crate::{api::X, store, domain::{A, B}}",
            "crate::"
        )
        .len(),
        4
    );
    assert!(words_after("$crate::net", "crate::").is_empty());
}
