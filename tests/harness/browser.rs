//! Chromium, driven by the scripts in `fixtures/browser`.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::runtime::TOKEN;
use crate::wire::said_within;
use crate::{Said, TestRuntime};

/// Some dozens of pages, each looked at six times, on a machine that others share.
const PATIENCE: Duration = Duration::from_secs(480);

impl TestRuntime {
    /// Runs a script of `fixtures/browser` with Node.js; it gets address, token and these
    /// variables.
    pub async fn browse(&self, script: &str, variables: &[(&str, &str)]) -> Said {
        let home = std::env::var("HOME").unwrap_or_default();
        let packages = Path::new(&home).join(".cache/extrack/browser/node_modules");
        assert!(
            packages.is_dir(),
            "`{}` is not there; `make setup-test` fetches it",
            packages.display()
        );
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/browser");
        let mut command = Command::new("node");
        command
            .arg(folder.join(script))
            .envs(variables.iter().copied())
            .env("EXTRACK_URL", self.url())
            .env("EXTRACK_TOKEN", TOKEN);
        said_within(command, "node", PATIENCE).await
    }
}
