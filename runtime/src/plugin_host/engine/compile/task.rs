//! The child's side: what to do comes on its standard input, what it made goes into the file that
//! it is given.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::child::{Limits, REFUSED};
use crate::plugin_host::engine::{cache, pool as engine};

/// The first line; the component follows it.
#[derive(Serialize, Deserialize)]
struct Task {
    limits: Limits,
    output: PathBuf,
}

/// A file that is nowhere, at its beginning.
pub(super) fn write(limits: &Limits, output: PathBuf, component: &[u8]) -> io::Result<File> {
    let task = Task {
        limits: limits.clone(),
        output,
    };
    let mut file = tempfile::tempfile()?;
    serde_json::to_writer(&mut file, &task)?;
    file.write_all(b"\n")?;
    file.write_all(component)?;
    file.rewind()?;
    Ok(file)
}

/// The whole program of the child.
pub fn compile_child() -> ExitCode {
    match work(io::stdin().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // The caller is gone: a failure has no one to report to.
            let _ = writeln!(io::stderr(), "{reason}");
            ExitCode::from(REFUSED)
        }
    }
}

pub(super) fn work(input: impl Read) -> Result<(), String> {
    let mut input = BufReader::new(input);
    let mut line = String::new();
    input
        .read_line(&mut line)
        .map_err(|error| error.to_string())?;
    let task: Task = serde_json::from_str(&line)
        .map_err(|_| "there is no work here; the program calls this by itself".to_owned())?;
    task.limits
        .hold()
        .map_err(|error| format!("the limits can't be set: {error}"))?;
    let mut component = Vec::new();
    input
        .read_to_end(&mut component)
        .map_err(|error| error.to_string())?;
    let engine = engine::compiler().map_err(|error| format!("{error:#}"))?;
    let code = engine
        .precompile_component(&component)
        .map_err(|error| format!("{error:#}"))?;
    write_code(&task.output, &code)
        .map_err(|error| format!("can't write the machine code: {error}"))
}

fn write_code(path: &Path, code: &[u8]) -> io::Result<()> {
    // The parent made it.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)?;
    cache::write_code(&mut file, code)
}
