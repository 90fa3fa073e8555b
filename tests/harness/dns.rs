//! dnsmasq on loopback: answers for `.test`, and for nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::ports::{free_address, is_open};
use crate::wait::{PATIENCE, wait_for};

/// `up.test` is 192.0.2.10; every other name under `test` does not exist.
pub struct DnsServer {
    address: SocketAddr,
    _process: Child,
}

impl DnsServer {
    pub async fn start() -> Self {
        let address = free_address();
        let sbin = PathBuf::from("/usr/sbin/dnsmasq");
        let mut command = Command::new(if sbin.exists() {
            sbin
        } else {
            "dnsmasq".into()
        });
        command
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--pid-file=",
                "--no-resolv",
                "--no-hosts",
            ])
            .args([
                "--bind-interfaces",
                "--listen-address=127.0.0.1",
                "--local=/test/",
                "--user=",
            ])
            .arg("--host-record=up.test,192.0.2.10")
            .arg(format!("--port={}", address.port()))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let process = command
            .spawn()
            .expect("dnsmasq can be started; `make test` installs it");
        wait_for("dnsmasq to listen", PATIENCE, async || {
            match is_open(address).await {
                true => Ok(()),
                false => Err(format!("nothing listens on {address}")),
            }
        })
        .await;
        Self {
            address,
            _process: process,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
