//! JavaScript and TypeScript: npm, and the project's own `build` and `test`.

use std::path::Path;

use anyhow::Result;

use super::tools::{Tool, is_older};

const NPM: Tool = Tool {
    program: "npm",
    remedy: "a JavaScript plugin needs Node.js 20 or newer with npm: https://nodejs.org, or on Debian `apt-get install nodejs npm`",
};

pub(super) fn build(folder: &Path, progress: fn(&str)) -> Result<()> {
    install(folder, progress)?;
    progress("npm run build");
    NPM.run(folder, &["run", "build"], "building the plugin")
}

pub(super) fn test(folder: &Path, progress: fn(&str)) -> Result<()> {
    install(folder, progress)?;
    progress("npm test");
    NPM.run(folder, &["test"], "the project's own tests")
}

/// The packages, unless those installed are as new as the list of them. npm leaves a list of what
/// it installed.
fn install(folder: &Path, progress: fn(&str)) -> Result<()> {
    let lock = folder.join("package-lock.json");
    let (command, list) = if lock.is_file() {
        ("ci", lock)
    } else {
        ("install", folder.join("package.json"))
    };
    if is_older(&folder.join("node_modules/.package-lock.json"), &list)? {
        progress(&format!(
            "npm {command}: getting packages, which may take a minute"
        ));
        NPM.run(
            folder,
            &[command, "--no-audit", "--no-fund"],
            "getting the packages",
        )?;
    }
    Ok(())
}
