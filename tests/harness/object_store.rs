//! An object store on loopback that speaks S3 and checks signatures: `rclone serve s3`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::ports::{free_address, is_open};
use crate::runtime::Builder;
use crate::wait::{PATIENCE, wait_for};

const KEY: &str = "tests-key-id";
const SECRET: &str = "tests-secret-0123456789abcdef";

pub struct ObjectStore {
    address: SocketAddr,
    process: Option<Child>,
    folder: TempDir,
}

impl ObjectStore {
    /// Starts a store that has this bucket.
    pub async fn start(bucket: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join(bucket)).expect("a folder can be made");
        let mut store = Self {
            address: free_address(),
            process: None,
            folder,
        };
        store.resume().await;
        store
    }

    /// The program copies its archive to this bucket.
    pub fn of(&self, builder: Builder, bucket: &str) -> Builder {
        builder
            .env("ARCHIVE_URL", format!("s3://{bucket}/extrack"))
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.address))
            .env("AWS_ALLOW_HTTP", "true")
    }

    /// Ends the server; what it holds stays.
    pub async fn pause(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.expect("rclone can be ended");
        }
    }

    pub async fn resume(&mut self) {
        let process = Command::new(rclone())
            .args(["serve", "s3", "--addr", &self.address.to_string()])
            .args(["--auth-key", &format!("{KEY},{SECRET}")])
            .arg(self.folder.path())
            .env("RCLONE_CONFIG", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("rclone can be started; `make setup-test` installs it");
        self.process = Some(process);
        wait_for("rclone to listen", PATIENCE, async || {
            if is_open(self.address).await {
                Ok(())
            } else {
                Err("nothing listens".to_owned())
            }
        })
        .await;
    }

    /// Returns the objects, as paths below the bucket.
    pub fn objects(&self, bucket: &str) -> Vec<PathBuf> {
        let root = self.folder.path().join(bucket);
        let mut folders = vec![root.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let inner = path.strip_prefix(&root).expect("it lies below");
                    found.push(inner.to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

/// The one of `make setup-test`, or one on the path that can serve S3.
fn rclone() -> PathBuf {
    let home = std::env::var_os("HOME").unwrap_or_default();
    let installed = Path::new(&home).join(".cache/extrack/rclone/bin/rclone");
    if installed.exists() {
        installed
    } else {
        PathBuf::from("rclone")
    }
}
