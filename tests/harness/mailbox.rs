//! A real SMTP server on loopback, and the messages it accepted.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::certificates::Identity;
use crate::wait::PATIENCE;

pub struct Mailbox {
    folder: TempDir,
    port: u16,
    _process: Child,
}

#[derive(Debug, Clone)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// Headers and body, as they came.
    pub data: String,
}

impl Mailbox {
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Offers STARTTLS with that certificate.
    pub async fn start_tls(identity: &Identity) -> Self {
        Self::start_with(Some(identity)).await
    }

    async fn start_with(identity: Option<&Identity>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let files = identity.map(|identity| identity.write_to(folder.path()));
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/smtp_server.py");
        let mut process = Command::new(python().await)
            .arg(script)
            .arg(folder.path())
            .args(files.iter().flatten())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python can be started");
        let mut lines =
            BufReader::new(process.stdout.take().expect("standard output is piped")).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .expect("the SMTP server starts");
        let line = line.expect("it prints text").unwrap_or_default();
        let port = line
            .strip_prefix("listening ")
            .and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| {
            panic!("the SMTP server did not start; is Python's aiosmtpd there? {line}")
        });
        Self {
            folder,
            port,
            _process: process,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// While busy it answers `451 come back later`.
    pub fn set_busy(&self, busy: bool) {
        let flag = self.folder.path().join("busy");
        match busy {
            true => std::fs::write(flag, "").expect("the folder is ours"),
            false => std::fs::remove_file(flag).expect("it was busy"),
        }
    }

    /// Oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder is ours");
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.expect("the folder is ours").path())
            .collect();
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        });
        paths.sort();
        paths
            .iter()
            .map(|path| mail(&std::fs::read(path).expect("a kept message stays")))
            .collect()
    }
}

/// One that has aiosmtpd: Debian's package goes with Debian's Python, which need not be the first
/// in the path.
async fn python() -> &'static str {
    for python in ["python3", "/usr/bin/python3"] {
        let mut trial = Command::new(python);
        trial
            .args(["-c", "import aiosmtpd"])
            .stderr(Stdio::null())
            .stdin(Stdio::null());
        if trial.status().await.is_ok_and(|status| status.success()) {
            return python;
        }
    }
    panic!("no Python here has aiosmtpd; `make test` installs it, as `python3-aiosmtpd` on Debian");
}

fn mail(bytes: &[u8]) -> Mail {
    let value: Value = serde_json::from_slice(bytes).expect("the script writes JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Mail {
        from: text(&value["from"]),
        to: value["to"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect(),
        data: text(&value["data"]),
    }
}

impl Mail {
    /// Returns the value of a header; folded lines are joined.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self
            .data
            .split("\r\n\r\n")
            .next()?
            .replace("\r\n ", " ")
            .replace("\r\n\t", " ");
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }
}
