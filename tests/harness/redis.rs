//! A Redis server on loopback: a plain port, and one with TLS.

use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::certificates::Identity;
use crate::ports::{free_address, is_open};
use crate::wait::{PATIENCE, wait_for};

pub struct RedisServer {
    plain: SocketAddr,
    secure: SocketAddr,
    _process: Child,
    _folder: TempDir,
}

impl RedisServer {
    /// Wants a password if there is one.
    pub async fn start(identity: &Identity, password: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let [certificate, key] = identity.write_to(folder.path());
        let (plain, secure) = (free_address(), free_address());
        let mut command = Command::new("redis-server");
        command
            .current_dir(folder.path())
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &plain.port().to_string()])
            .args(["--tls-port", &secure.port().to_string()])
            .args(["--tls-auth-clients", "no", "--tls-cert-file"])
            .arg(certificate)
            .arg("--tls-key-file")
            .arg(key);
        if let Some(password) = password {
            command.args(["--requirepass", password]);
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server can be started; `make test` installs it");
        let server = Self {
            plain,
            secure,
            _process: process,
            _folder: folder,
        };
        wait_for("redis-server to listen", PATIENCE, async || {
            if is_open(plain).await && is_open(secure).await {
                Ok(())
            } else {
                Err("nothing listens".to_owned())
            }
        })
        .await;
        server
    }

    pub fn port(&self) -> u16 {
        self.plain.port()
    }

    pub fn tls_port(&self) -> u16 {
        self.secure.port()
    }
}
