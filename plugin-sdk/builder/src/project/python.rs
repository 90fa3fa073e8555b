//! Python: an environment of the project's own, and its `build.py`.

use std::path::Path;

use anyhow::{Context, Result};

use super::tools::Tool;

const PYTHON: Tool = Tool {
    program: "python3",
    remedy: "a Python plugin needs Python 3.11 or newer with venv: https://python.org, or on Debian `apt-get install python3-venv`",
};

/// Relative to the project.
const ENVIRONMENT: &str = ".venv";
const INNER: Tool = Tool {
    program: ".venv/bin/python",
    remedy: "remove the folder `.venv` and try again; on Debian `apt-get install python3-venv` first",
};

pub(super) fn build(folder: &Path, progress: fn(&str)) -> Result<()> {
    install(folder, progress)?;
    progress("python build.py");
    INNER.run(folder, &["build.py"], "building the plugin")
}

pub(super) fn test(folder: &Path, progress: fn(&str)) -> Result<()> {
    install(folder, progress)?;
    progress("python -m unittest");
    INNER.run(folder, &["-m", "unittest"], "the project's own tests")
}

/// The environment and its packages, unless they were installed from these very requirements.
fn install(folder: &Path, progress: fn(&str)) -> Result<()> {
    let requirements = folder.join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read `{}`", requirements.display()))?;
    let installed = folder.join(ENVIRONMENT).join("extrack-requirements.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    progress("python3 -m venv .venv");
    PYTHON.run(
        folder,
        &["-m", "venv", ENVIRONMENT],
        "making the Python environment (on Debian it needs the package python3-venv)",
    )?;
    progress("pip install: getting packages, which may take a minute");
    let arguments = [
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "-r",
        "requirements.txt",
    ];
    INNER.run(folder, &arguments, "getting the packages")?;
    std::fs::write(&installed, wanted)
        .with_context(|| format!("cannot write `{}`", installed.display()))
}
