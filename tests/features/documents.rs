//! Claims of the documents about the sources: files that they name, lists that name everything.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use extrack_tests::components::bundled;

/// Documents of people who work on the code. Their examples are no files of ours.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "runtime/README.md",
    "plugins/README.md",
    "plugin-sdk/README.md",
    "wit/README.md",
    "tests/README.md",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files and folders below a folder, by their paths in the repository.
fn everything_below(folder: &Path, found: &mut BTreeSet<String>) {
    const LEFT_OUT: [&str; 5] = ["target", "node_modules", ".git", "corpus", "dist"];
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if LEFT_OUT.contains(&&*name) {
            continue;
        }
        let below = path.strip_prefix(repository()).expect("a part of it");
        found.insert(format!("/{}", below.display()));
        if path.is_dir() {
            everything_below(&path, found);
        }
    }
}

/// Texts between backticks, without blocks of code.
fn quoted(document: &str) -> Vec<&str> {
    let prose = document.split("```").step_by(2);
    prose
        .flat_map(|text| text.split('`').skip(1).step_by(2))
        .collect()
}

/// A file of the sources, such as `src/net/policy.rs`; `src/cli/NAME.rs` stands for many.
fn is_source(text: &str) -> bool {
    let is_path = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "./_-".contains(c));
    let is_placeholder = |part: &str| {
        let stem = part.split('.').next().unwrap_or_default();
        stem.len() > 2 && stem.chars().all(|c| c.is_ascii_uppercase())
    };
    is_path
        && [".rs", ".wit", ".sql", ".sh", ".py"]
            .iter()
            .any(|ending| text.ends_with(ending))
        && !text.split('/').any(is_placeholder)
}

#[test]
fn every_source_that_a_document_names_exists() {
    let mut files = BTreeSet::new();
    everything_below(&repository(), &mut files);
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        for name in quoted(&read(document))
            .into_iter()
            .filter(|name| is_source(name))
        {
            // Short forms follow a longer one: `src/alerts/history.rs`, `history/older.rs`.
            let end = format!("/{}", name.trim_start_matches("../"));
            if !files.iter().any(|file| file.ends_with(&end)) {
                missing.push(format!("{document}: `{name}`"));
            }
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

/// An anchor as GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_link_of_a_document_has_its_target() {
    let pages = fs::read_dir(repository().join("runtime/docs")).expect("the folder of the pages");
    let pages = pages
        .map(|page| page.expect("a page").file_name())
        .map(|name| format!("runtime/docs/{}", name.display()))
        .filter(|name| name.ends_with(".md"));
    let mut missing = Vec::new();
    for document in DOCUMENTS.iter().map(|name| (*name).to_owned()).chain(pages) {
        let text = read(&document);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") || file.contains(' ') {
                continue;
            }
            let folder = Path::new(&document).parent().unwrap_or(Path::new(""));
            let target = if file.is_empty() {
                PathBuf::from(&document)
            } else {
                folder.join(file)
            };
            let target = repository().join(target);
            let has_heading = heading.is_empty()
                || fs::read_to_string(&target).is_ok_and(|text| {
                    text.lines()
                        .filter(|line| line.starts_with('#'))
                        .any(|line| anchor(line) == heading)
                });
            if !target.exists() || !has_heading {
                missing.push(format!("{document}: ({link})"));
            }
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[test]
fn every_bundled_plugin_is_described() {
    let page = read("plugins/README.md");
    let channels = read("runtime/docs/channels.md");
    let bundled = bundled();
    assert!(bundled.len() > 10, "{bundled:?}");
    for (kind, name) in bundled {
        let has = |line: &str| page.contains(line);
        assert!(
            has(&format!("\n### `{name}`")) || has(&format!("\n| `{name}`")),
            "`plugins/README.md` has neither a section nor a row for the {kind} `{name}`"
        );
        assert!(
            kind != "notifier" || channels.contains(&format!("\n| `{name}` |")),
            "`runtime/docs/channels.md` does not have the limits of the notifier `{name}`"
        );
    }
}

/// Imports of each world, by name.
fn worlds() -> Vec<(String, Vec<String>)> {
    let text = read("wit/worlds.wit");
    text.split("\nworld ")
        .skip(1)
        .map(|world| {
            let name = world.split_whitespace().next().unwrap_or_default();
            let imports = world
                .lines()
                .filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';'))
                .map(|import| import.trim_start_matches('%').to_owned());
            (name.to_owned(), imports.collect())
        })
        .collect()
}

#[test]
fn every_import_of_a_world_is_in_the_lists_of_capabilities() {
    let contract = read("wit/README.md");
    let guide = read("plugin-sdk/README.md");
    let bindings = read("runtime/src/plugin_host/contract/bindings.rs");
    let sdk = read("plugin-sdk/src/wit.rs");
    let worlds = worlds();
    assert!(worlds.len() > 3, "{worlds:?}");
    for (world, imports) in &worlds {
        let listed: Vec<String> = imports.iter().map(|name| format!("`{name}`")).collect();
        let row = contract
            .lines()
            .find(|line| line.starts_with(&format!("| `{world}` |")));
        let cell = row.and_then(|row| row.trim_end_matches([' ', '|']).rsplit(" | ").next());
        assert_eq!(
            cell,
            Some(listed.join(", ").as_str()),
            "imports of `{world}` in `wit/README.md`"
        );
    }
    let all: BTreeSet<&String> = worlds.iter().flat_map(|(_, imports)| imports).collect();
    for name in all {
        let import = |text: &str| {
            ["", "%"].iter().any(|escape| {
                text.contains(&format!("import external-tracking:plugin/{escape}{name}@"))
            })
        };
        assert!(import(&bindings), "`contract/bindings.rs` lacks `{name}`");
        assert!(import(&sdk), "`plugin-sdk/src/wit.rs` lacks `{name}`");
        assert!(
            guide.contains(&format!("`{name}")),
            "`plugin-sdk/README.md` lacks `{name}`"
        );
    }
}

#[test]
fn every_variable_of_the_program_is_documented() {
    let settings = read("runtime/src/config/settings.rs");
    let documented = [read("runtime/docs/operating.md"), read(".env.example")].concat();
    let names: BTreeSet<&str> = settings
        .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
        .filter(|name| name.starts_with("EXTRACK_") || name.starts_with("SMTP_"))
        .filter(|name| !name.ends_with('_'))
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let missing: Vec<&str> = names
        .into_iter()
        .filter(|name| !documented.contains(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
