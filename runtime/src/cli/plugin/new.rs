//! `extrack plugin new [NAME]`

mod ask;
pub(super) mod embedded;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cli::outcome::Outcome;
use crate::cli::print::line;
use crate::plugin_host::RESERVED_NAMES;

const LANGUAGES: [&str; 3] = ["rust", "javascript", "python"];
const KINDS: [&str; 5] = ["probe", "rule", "notifier", "webhook", "meter"];

/// Starts a plugin project that builds and passes its tests. Asks for what is missing when it runs
/// at a terminal; else a probe in Rust is made. Files that are there are never overwritten.
///
/// Examples:
///   extrack plugin new
///   extrack plugin new quota --kind probe --lang rust
///   extrack plugin new pager --kind notifier --lang python --dir plugins/pager
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct New {
    /// The plugin's name: lower case letters, digits, `-` and `_`.
    name: Option<String>,
    #[arg(long, value_parser = KINDS)]
    kind: Option<String>,
    #[arg(long, value_parser = LANGUAGES)]
    lang: Option<String>,
    /// Folder of the project. Default: a new one with the plugin's name.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Rust only: depend on the SDK in this folder, a checkout's `plugin-sdk`, in place of a copy
    /// in the project.
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

impl New {
    pub(super) async fn run(self) -> Outcome {
        // Prompts block.
        tokio::task::spawn_blocking(move || self.make()).await??;
        Ok(ExitCode::SUCCESS)
    }

    fn make(self) -> Result<()> {
        let (name, kind, language) = self.choices()?;
        check_name(&name)?;
        if self.sdk.is_some() && language != "rust" {
            bail!(
                "`--sdk` is for Rust; a project in {language} needs the contract alone and gets it"
            );
        }
        let mut files = embedded::project(&language, &kind, &name)?;
        if let Some(sdk) = &self.sdk {
            use_sdk(&mut files, sdk)?;
        }
        let folder = self.dir.unwrap_or_else(|| PathBuf::from(&name));
        write(&folder, &files)?;
        line(&format!(
            "made the {kind} `{name}` in {}: {} files",
            folder.display(),
            files.len()
        ));
        line("next:");
        line(&format!("  cd {}", folder.display()));
        line(
            "  extrack plugin test        # its tests, a build, and the component in the real engine",
        );
        line(&format!("  {}", next_run(&kind, &name)));
        line("README.md says more.");
        Ok(())
    }

    /// Name, kind and language: as given, asked for, or the usual.
    fn choices(&self) -> Result<(String, String, String)> {
        let (name, kind, language) = (self.name.clone(), self.kind.clone(), self.lang.clone());
        if ask::can_ask() {
            let name = name.map_or_else(|| ask::name(check_name), Ok)?;
            let kind = kind.map_or_else(|| ask::one_of("Kind", &KINDS), Ok)?;
            let offered: Vec<&str> = LANGUAGES
                .into_iter()
                .filter(|language| embedded::has(language, &kind))
                .collect();
            let language = language.map_or_else(|| ask::one_of("Language", &offered), Ok)?;
            return Ok((name, kind, language));
        }
        let name = name.context("give the plugin a name: `extrack plugin new NAME`")?;
        Ok((
            name,
            kind.unwrap_or_else(|| "probe".to_owned()),
            language.unwrap_or_else(|| "rust".to_owned()),
        ))
    }
}

fn next_run(kind: &str, name: &str) -> String {
    let file = format!("dist/{name}.wasm");
    match kind {
        "probe" => format!("extrack plugin run {file} --url https://api.example.com"),
        "rule" => {
            format!("extrack plugin run {file} --settings @tests/example.json --history runs.json")
        }
        "meter" => format!(
            "extrack plugin run {file} --settings @tests/example.json --url https://api.example.com --auth TYPE:SECRET"
        ),
        "notifier" => format!("extrack plugin run {file} --settings @tests/example.json --send"),
        _ => format!(
            "extrack plugin run {file} --settings @tests/example.json --body @delivery.json --sign SCHEME:SECRET"
        ),
    }
}

/// Stricter than what the host takes: it names a package too, in every language.
fn check_name(name: &str) -> Result<()> {
    /// Cargo refuses packages of these names, or they hide what every crate uses.
    const TAKEN: [&str; 10] = [
        "test",
        "core",
        "std",
        "alloc",
        "proc-macro",
        "proc_macro",
        "extrack-plugin",
        "self",
        "crate",
        "build",
    ];
    let is_word = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if !is_word {
        bail!(
            "`{name}` can't be a plugin's name; begin with a lower case letter, go on with those, digits, `-` and `_`, at most 64"
        );
    }
    if TAKEN.contains(&name) {
        bail!("`{name}` can't be a plugin's name: packages of that name mean something else");
    }
    if RESERVED_NAMES.contains(&name) {
        bail!("`{name}` can't be a plugin's name: it is a word of the admin API");
    }
    Ok(())
}

/// The dependency names a folder elsewhere, and the project holds no copy.
fn use_sdk(files: &mut BTreeMap<String, String>, sdk: &Path) -> Result<()> {
    let inner = sdk.join("plugin-sdk");
    let sdk = if inner.is_dir() {
        inner
    } else {
        sdk.to_owned()
    };
    let manifest = std::fs::read_to_string(sdk.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains("name = \"extrack-plugin\"") {
        bail!(
            "`{}` is not the SDK: its `Cargo.toml` does not name `extrack-plugin`",
            sdk.display()
        );
    }
    let sdk = sdk
        .canonicalize()
        .with_context(|| format!("finding `{}`", sdk.display()))?;
    files.retain(|path, _| !path.starts_with(embedded::SDK_FOLDER));
    if let Some(manifest) = files.get_mut("Cargo.toml") {
        *manifest = manifest.replace(
            &format!("{}/plugin-sdk", embedded::SDK_FOLDER),
            &sdk.to_string_lossy(),
        );
    }
    Ok(())
}

/// All files or none.
fn write(folder: &Path, files: &BTreeMap<String, String>) -> Result<()> {
    let there: Vec<&str> = files
        .keys()
        .map(String::as_str)
        .filter(|path| folder.join(path).symlink_metadata().is_ok())
        .collect();
    if let Some(first) = there.first() {
        let more = if there.len() > 1 {
            format!(" and {} more", there.len() - 1)
        } else {
            String::new()
        };
        bail!(
            "`{}` has a `{first}`{more} already, and nothing is overwritten; `--dir` names another folder",
            folder.display()
        );
    }
    for (path, text) in files {
        let path = folder.join(path);
        let doing = || format!("writing `{}`", path.display());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(doing)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .with_context(doing)?;
        file.write_all(text.as_bytes()).with_context(doing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_good_for_a_package_in_every_language() {
        for good in ["quota", "shop-api_2", "a"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "Quota",
            "2fast",
            "-x",
            "a b",
            "a/b",
            "../x",
            "std",
            "ä",
            &"x".repeat(65),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_half_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("b.txt"), "mine").unwrap();
        let files = BTreeMap::from([
            ("a.txt".to_owned(), "a".to_owned()),
            ("b.txt".to_owned(), "b".to_owned()),
        ]);
        let error = write(folder.path(), &files).unwrap_err().to_string();
        assert!(error.contains("`b.txt` already"), "{error}");
        assert!(!folder.path().join("a.txt").exists());
        assert_eq!(
            std::fs::read_to_string(folder.path().join("b.txt")).unwrap(),
            "mine"
        );
    }

    #[test]
    fn a_project_may_use_the_sdk_where_it_lies() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-sdk");
        let mut files = embedded::project("rust", "probe", "quota").unwrap();
        use_sdk(&mut files, &sdk).unwrap();
        assert!(
            !files.keys().any(|path| path.starts_with(".extrack")),
            "{:?}",
            files.keys()
        );
        let wanted = format!("path = \"{}\"", sdk.canonicalize().unwrap().display());
        assert!(
            files["Cargo.toml"].contains(&wanted),
            "{}",
            files["Cargo.toml"]
        );
        let error = use_sdk(&mut files, Path::new("/")).unwrap_err().to_string();
        assert!(error.contains("is not the SDK"), "{error}");
    }
}
