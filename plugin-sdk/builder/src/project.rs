//! A plugin project in any language: which tools build and test it, and where the component ends
//! up. A project is recognised by its files; every language leaves its components in `dist/`.

mod javascript;
mod python;
mod rust;
mod tools;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};

/// Components in `dist/` that are this much older than the build are still its result: clocks of
/// file systems are coarse.
const CLOCK_GRAIN: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Rust,
    JavaScript,
    Python,
}

/// Files that mark a project, in the order they are looked for.
const RECOGNISED: [(&str, Language); 3] = [
    ("Cargo.toml", Language::Rust),
    ("package.json", Language::JavaScript),
    ("requirements.txt", Language::Python),
];

impl Language {
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::JavaScript => "JavaScript",
            Language::Python => "Python",
        }
    }
}

/// A folder with a plugin's sources.
#[derive(Debug, Clone)]
pub struct Project {
    folder: PathBuf,
    language: Language,
    /// Where Rust projects that name no target folder share what they compile.
    shared_target: Option<PathBuf>,
}

impl Project {
    /// Fails in a folder without a known project, and names the files that mark one.
    pub fn find(folder: &Path) -> Result<Self> {
        let folder = folder
            .canonicalize()
            .with_context(|| format!("there is no folder `{}`", folder.display()))?;
        let found = RECOGNISED
            .iter()
            .find(|(file, _)| folder.join(file).is_file());
        let Some((_, language)) = found else {
            let files: Vec<String> = RECOGNISED
                .iter()
                .map(|(file, language)| format!("`{file}` ({})", language.as_str()))
                .collect();
            bail!(
                "`{}` is no plugin project: it has none of {}; `extrack plugin new` makes one",
                folder.display(),
                files.join(", ")
            );
        };
        Ok(Self {
            folder,
            language: *language,
            shared_target: None,
        })
    }

    /// Compiles a Rust project in this folder, unless cargo was given another (`CARGO_TARGET_DIR`,
    /// `build.target-dir`): the dependencies of all projects are the same, and the first one's
    /// minutes are the next one's seconds.
    pub fn sharing(self, target: PathBuf) -> Self {
        Self {
            shared_target: Some(target),
            ..self
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn language(&self) -> Language {
        self.language
    }

    /// Gets the tools that are missing, builds, and returns the components, in the order of their
    /// names. The output of the tools goes to standard error at once; `progress` is called with each
    /// step, a line a step.
    pub fn build(&self, progress: fn(&str)) -> Result<Vec<PathBuf>> {
        let started = SystemTime::now();
        match self.language {
            Language::Rust => {
                return rust::build(&self.folder, self.shared_target.as_deref(), progress);
            }
            Language::JavaScript => javascript::build(&self.folder, progress)?,
            Language::Python => python::build(&self.folder, progress)?,
        }
        let components = components(&self.folder.join("dist"), started)?;
        if components.is_empty() {
            bail!(
                "the build of `{}` ended well but left no `dist/*.wasm`; its output is above",
                self.folder.display()
            );
        }
        Ok(components)
    }

    /// Runs the project's own tests; fails when they do. Their output goes to standard error.
    pub fn test(&self, progress: fn(&str)) -> Result<()> {
        match self.language {
            Language::Rust => rust::test(&self.folder, self.shared_target.as_deref(), progress),
            Language::JavaScript => javascript::test(&self.folder, progress),
            Language::Python => python::test(&self.folder, progress),
        }
    }
}

/// Returns the components written since the build began; all of them, when it changed none.
fn components(dist: &Path, started: SystemTime) -> Result<Vec<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(dist) else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read the folder `{}`", dist.display()))?
            .path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            let written = path
                .metadata()
                .and_then(|metadata| metadata.modified())
                .unwrap_or(SystemTime::UNIX_EPOCH);
            all.push((path, written + CLOCK_GRAIN >= started));
        }
    }
    all.sort();
    let has_new = all.iter().any(|(_, is_new)| *is_new);
    Ok(all
        .into_iter()
        .filter(|(_, is_new)| *is_new || !has_new)
        .map(|(path, _)| path)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_recognised_by_its_files() {
        for (file, language) in RECOGNISED {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(file), "").unwrap();
            assert_eq!(
                Project::find(folder.path()).unwrap().language(),
                language,
                "{file}"
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let error = Project::find(folder.path()).unwrap_err().to_string();
        for named in [
            "Cargo.toml",
            "package.json",
            "requirements.txt",
            "extrack plugin new",
        ] {
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn only_what_a_build_wrote_is_its_result() {
        let dist = tempfile::tempdir().unwrap();
        for name in ["a.wasm", "b.wasm", "notes.txt"] {
            std::fs::write(dist.path().join(name), "").unwrap();
        }
        let names = |started| -> Vec<String> {
            let found = components(dist.path(), started).unwrap();
            found
                .iter()
                .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        let now = SystemTime::now();
        std::fs::File::open(dist.path().join("a.wasm"))
            .unwrap()
            .set_modified(now - Duration::from_secs(60))
            .unwrap();
        assert_eq!(names(now), ["b.wasm"]);
        // Nothing was written: what is there is up to date.
        assert_eq!(names(now + Duration::from_secs(60)), ["a.wasm", "b.wasm"]);
        assert!(
            components(&dist.path().join("missing"), now)
                .unwrap()
                .is_empty()
        );
    }
}
