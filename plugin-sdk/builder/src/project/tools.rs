//! Starts the tools of a project: their output is shown as it comes, on standard error, and their
//! failures name what was being done.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, anyhow, bail};

/// Program to run, and advice for people who do not have it.
pub(super) struct Tool {
    /// A name on the path, or a path below the project.
    pub(super) program: &'static str,
    pub(super) remedy: &'static str,
}

impl Tool {
    /// Runs it in a folder. `doing` completes "… failed".
    pub(super) fn run(&self, folder: &Path, arguments: &[&str], doing: &str) -> Result<()> {
        let is_path = self.program.contains('/');
        let mut command = if is_path {
            Command::new(folder.join(self.program))
        } else {
            Command::new(self.program)
        };
        command.args(arguments).current_dir(folder);
        run(&mut command, doing).map_err(|error| match error {
            NotRun::Missing => anyhow!("`{}` is not installed; {}", self.program, self.remedy),
            NotRun::Failed(error) => error,
        })
    }
}

pub(super) enum NotRun {
    Missing,
    Failed(anyhow::Error),
}

/// Standard output is for results: the output of a tool goes to standard error.
pub(super) fn run(command: &mut Command, doing: &str) -> Result<(), NotRun> {
    let program = command.get_program().to_string_lossy().into_owned();
    let started = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status();
    match started {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(NotRun::Failed(anyhow!(
            "{doing} failed: `{program}` ended with {status}; its output is above"
        ))),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(NotRun::Missing),
        Err(error) => Err(NotRun::Failed(anyhow!("cannot start `{program}`: {error}"))),
    }
}

/// Whether a file is older than another, or not there.
pub(super) fn is_older(file: &Path, than: &Path) -> Result<bool> {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    let Ok(limit) = modified(than) else {
        bail!("`{}` can't be looked at", than.display())
    };
    Ok(modified(file).map_or(true, |time| time < limit))
}
