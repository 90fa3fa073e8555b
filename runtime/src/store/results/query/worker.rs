//! The whole program of the process that runs one statement: it takes its limits and its sandbox on
//! itself before it looks at the statement, answers, and ends.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::process::{Signal, getpid, kill_process};

use super::execute::{Ended, answer};
use super::protocol::{FrameWriter, Kind, Task};
use crate::child::REFUSED;

/// The hidden subcommand that is the process.
pub const SQL_SUBCOMMAND: &str = "run-statement";

/// Runs the statement that comes on the standard input.
pub fn sql_child() -> ExitCode {
    // Not through the buffer of the standard output, which writes lines.
    let output = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let done = output
        .map_err(|error| error.to_string())
        .and_then(|output| work(io::stdin(), output));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // The caller is gone: a failure has no one to report to.
            let _ = writeln!(io::stderr(), "{reason}");
            ExitCode::from(REFUSED)
        }
    }
}

pub(in crate::store::results) fn work(
    mut input: impl Read + Send + 'static,
    output: impl Write,
) -> Result<(), String> {
    let task = Task::read(&mut input).map_err(|error| {
        format!("there is no statement here, the program calls this by itself: {error}")
    })?;
    task.limits
        .take()
        .map_err(|error| format!("the limits can't be set: {error}"))?;
    // The kernel, when it has no memory left, ends this first. Elsewhere there is no such file.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let files = task
        .snapshot
        .tables
        .values()
        .flatten()
        .map(PathBuf::as_path);
    task.sandbox
        .enter(files.chain(of_database()), &task.spill)?;
    end_with(input).map_err(|error| format!("no thread can be started: {error}"))?;
    let answered =
        FrameWriter::begin(output).and_then(|mut frames| match answer(&task, &mut frames) {
            Ok(end) => frames.json(Kind::End, &end),
            Err(Ended::Failed(failure)) => frames.json(Kind::Failed, &failure),
            Err(Ended::Unread(error)) => Err(error),
        });
    answered.map_err(|error| format!("the answer can't be sent: {error}"))
}

/// What the database itself reads when it opens, and falls over when it can't: limits of its control
/// group, which are no secret.
pub(in crate::store::results) fn of_database<'a>() -> impl Iterator<Item = &'a Path> {
    ["/proc/self/cgroup", "/sys/fs/cgroup"]
        .into_iter()
        .map(|path| -> &'a Path { Path::new(path) })
        .filter(|path| path.exists())
}

/// Ends the process when its input does: the parent, which keeps that open, is gone.
fn end_with(mut input: impl Read + Send + 'static) -> io::Result<()> {
    let wait = move || {
        let mut byte = [0];
        while matches!(input.read(&mut byte), Ok(1)) {}
        // Not an orderly end: threads of the database are at work.
        let _ = kill_process(getpid(), Signal::KILL);
    };
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(wait)
        .map(drop)
}
