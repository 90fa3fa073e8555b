//! Variables of the process and of `.env`, the process first. `NAME_FILE=PATH` stands for `NAME`
//! with what the file holds, as container platforms hand out secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::env_file::{Entry, EnvFile};
use crate::domain::Fault;

/// Where a variable of the process comes from, in faults.
pub(super) const PROCESS: &str = "environment";
const MAX_ENV_FILE_BYTES: u64 = 1024 * 1024;
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, Variable>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
    /// A text that names a variable is refused.
    is_closed: bool,
}

#[derive(Clone)]
struct Variable {
    value: String,
    source: String,
}

/// Names only: values may be secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Environment {
    /// The process, then `.env` beside the configuration folder, then `.env` in the working folder.
    pub fn read(config_dir: &Path) -> Self {
        let process = std::env::vars_os().filter_map(|(name, value)| {
            let value = value.into_string().ok()?;
            Some((
                name.into_string().ok()?,
                Variable {
                    value,
                    source: PROCESS.to_owned(),
                },
            ))
        });
        let mut environment = Self {
            variables: process.collect(),
            ..Self::default()
        };
        for path in env_files(config_dir) {
            environment.add_file(&path);
        }
        environment
    }

    /// Exactly these.
    pub fn of<N: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variables = variables.into_iter().map(|(name, value)| {
            (
                name.into(),
                Variable {
                    value: value.into(),
                    source: PROCESS.to_owned(),
                },
            )
        });
        Self {
            variables: variables.collect(),
            ..Self::default()
        }
    }

    /// No variables, for texts of people who may not read those of this machine.
    pub(super) fn closed() -> Self {
        Self {
            is_closed: true,
            ..Self::default()
        }
    }

    /// Fails when it is in a file that can't be read.
    pub fn get(&self, name: &str) -> Result<Option<String>, String> {
        if self.is_closed {
            return Err(format!(
                "the variable `{name}` is not read here: write the value itself, or `$${{` if it is meant as text"
            ));
        }
        if let Some(variable) = self.variables.get(name) {
            return Ok(Some(variable.value.clone()));
        }
        match self
            .variables
            .get(&format!("{name}_FILE"))
            .filter(|variable| !variable.value.is_empty())
        {
            None => Ok(None),
            Some(variable) => match read_secret(Path::new(&variable.value)) {
                Ok(value) => Ok(Some(value)),
                Err(reason) => Err(format!(
                    "`{name}_FILE` names `{}`, which {reason}",
                    variable.value
                )),
            },
        }
    }

    /// `environment`, or the path of the `.env` it is written in.
    pub(super) fn source(&self, name: &str) -> &str {
        let variable = self
            .variables
            .get(name)
            .or_else(|| self.variables.get(&format!("{name}_FILE")));
        variable.map_or(PROCESS, |variable| &variable.source)
    }

    fn add_file(&mut self, path: &Path) {
        let source = path.display().to_string();
        let fault = |line: Option<u32>, message: String| {
            Fault::new("", message).placed(&source, line, None)
        };
        let text = match read_limited(path, MAX_ENV_FILE_BYTES) {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(reason) => return self.faults.push(fault(None, reason)),
        };
        let file = EnvFile::parse(&text);
        for Entry { name, value, .. } in file.entries {
            self.variables.entry(name).or_insert_with(|| Variable {
                value,
                source: source.clone(),
            });
        }
        self.faults.extend(
            file.faults
                .into_iter()
                .map(|(line, message)| fault(Some(line), message)),
        );
        self.warnings.extend(
            file.warnings
                .into_iter()
                .map(|(line, message)| fault(Some(line), message)),
        );
    }
}

/// Where a `.env` is looked for. The first one that has a variable counts.
pub(super) fn env_files(config_dir: &Path) -> Vec<PathBuf> {
    let working = PathBuf::from(".env");
    let beside = config_dir
        .canonicalize()
        .ok()
        .and_then(|dir| Some(dir.parent()?.join(".env")));
    let is_working = |path: &PathBuf| {
        path.canonicalize()
            .ok()
            .is_some_and(|path| working.canonicalize().ok() == Some(path))
    };
    beside
        .filter(|path| !is_working(path))
        .into_iter()
        .chain([working.clone()])
        .collect()
}

/// Reads a secret without the line break that editors put at the end.
pub(super) fn read_secret(path: &Path) -> Result<String, String> {
    match read_limited(path, MAX_SECRET_FILE_BYTES)? {
        None => Err("does not exist".to_owned()),
        Some(text) => match text.trim_end_matches(['\r', '\n']) {
            "" => Err("is empty".to_owned()),
            secret => Ok(secret.to_owned()),
        },
    }
}

/// `None`: there is no such file.
pub(super) fn read_limited(path: &Path, max_bytes: u64) -> Result<Option<String>, String> {
    use std::io::{ErrorKind, Read};
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("can't be opened: {error}")),
    };
    let mut bytes = Vec::new();
    file.take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("can't be read: {error}"))?;
    if bytes.len() as u64 > max_bytes {
        return Err(format!("is larger than {max_bytes} bytes"));
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| "is not text in UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_folder(env: &str) -> (tempfile::TempDir, Environment) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("config")).unwrap();
        std::fs::write(folder.path().join(".env"), env).unwrap();
        let environment = Environment::read(&folder.path().join("config"));
        (folder, environment)
    }

    #[test]
    fn the_process_wins_over_the_file() {
        let (folder, environment) =
            in_folder("PATH=/nowhere\nEXTRACK_TEST_ONLY_HERE='a b' # why\n");
        assert_eq!(environment.get("PATH").unwrap(), std::env::var("PATH").ok());
        assert_eq!(environment.source("PATH"), PROCESS);
        assert_eq!(
            environment
                .get("EXTRACK_TEST_ONLY_HERE")
                .unwrap()
                .as_deref(),
            Some("a b")
        );
        assert!(
            environment
                .source("EXTRACK_TEST_ONLY_HERE")
                .ends_with(".env")
        );
        assert!(!format!("{environment:?}").contains("a b"));
        drop(folder);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_placed_but_not_repeated() {
        let (_folder, environment) = in_folder("A=1\nmy s3cret\nB=2\n");
        let texts: Vec<String> = environment.faults.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 1);
        assert!(
            texts[0].contains(".env:2: is not `NAME=value`") && !texts[0].contains("s3cret"),
            "{texts:?}"
        );
    }

    #[test]
    fn a_secret_in_the_file_reaches_its_reader_whole() {
        let env = "EXTRACK_TEST_K1=Tr0ub4dor$3x\nEXTRACK_TEST_K2=p$$word12\nEXTRACK_TEST_K4=\"pa$word12\"\n";
        let (_folder, environment) = in_folder(env);
        for (name, wanted) in [
            ("K1", "Tr0ub4dor$3x"),
            ("K2", "p$$word12"),
            ("K4", "pa$word12"),
        ] {
            assert_eq!(
                environment.get(&format!("EXTRACK_TEST_{name}")),
                Ok(Some(wanted.to_owned()))
            );
        }
        assert_eq!(environment.faults.len(), 0);
    }

    #[test]
    fn a_variable_given_twice_is_a_fault_that_names_both_lines() {
        let (_folder, environment) =
            in_folder("EXTRACK_TEST_A=1\nEXTRACK_TEST_B=2\nEXTRACK_TEST_A=3\n");
        let text = environment.faults[0].to_string();
        assert!(
            text.contains(".env:3: `EXTRACK_TEST_A` is given twice; the first time in line 1"),
            "{text}"
        );
    }

    #[test]
    fn reads_a_variable_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "s3cret\n").unwrap();
        let missing = folder.path().join("missing");
        let environment = Environment::of([
            ("KEY_FILE", path.display().to_string()),
            ("GONE_FILE", missing.display().to_string()),
            ("BOTH", "direct".to_owned()),
            ("BOTH_FILE", missing.display().to_string()),
        ]);
        assert_eq!(environment.get("KEY"), Ok(Some("s3cret".to_owned())));
        assert_eq!(environment.get("BOTH"), Ok(Some("direct".to_owned())));
        assert_eq!(environment.get("NONE"), Ok(None));
        assert!(
            environment
                .get("GONE")
                .unwrap_err()
                .ends_with("which does not exist")
        );
    }
}
