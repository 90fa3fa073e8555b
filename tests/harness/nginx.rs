//! nginx on loopback, as the service that is watched.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::api::Api;
use crate::certificates::Identity;
use crate::ports::{free_address, is_open};
use crate::process;
use crate::wait::{PATIENCE, wait_for};

const STOP: Duration = Duration::from_secs(10);

/// Answers `/health` with 200 and `all good`, `/missing` with 404, `/broken` with 500, `/locked`
/// with 200 to those who send the header `x-api-key: s3cret-k3y` and with 401 to others. `/status`
/// and `/locked/status` are the same in JSON.
const LOCATIONS: &str = r#"
    location = /health { return 200 "all good\n"; }
    location = /broken { return 500 "out of order\n"; }
    location = /locked {
        if ($http_x_api_key != "s3cret-k3y") { return 401 "who are you?\n"; }
        return 200 "welcome\n";
    }
    location = /status { return 200 '{"status": "ok"}'; }
    location = /locked/status {
        if ($http_x_api_key != "s3cret-k3y") { return 401 '{"status": "who are you?"}'; }
        return 200 '{"status": "ok"}';
    }
    location / { return 404 "nothing here\n"; }
"#;

pub struct TargetServer {
    folder: TempDir,
    address: SocketAddr,
    process: Option<Child>,
    is_tls: bool,
}

impl TargetServer {
    pub async fn start() -> Self {
        Self::start_with("", "", false, |_| ()).await
    }

    /// Starts one that counts its [requests](Self::requests).
    pub async fn start_counted() -> Self {
        Self::start_with("", "location = /requests { stub_status; }", false, |_| ()).await
    }

    /// Returns how many requests there were since the start; this question is one of them.
    pub async fn requests(&self) -> u64 {
        let api = Api::new(self.url(), None);
        let page = api.get("/requests").await.expect_text(200);
        // The third line has accepted and handled connections, and requests.
        page.lines()
            .nth(2)
            .and_then(|line| line.split_whitespace().nth(2))
            .and_then(|count| count.parse().ok())
            .unwrap_or_else(|| panic!("nginx counts no requests: {page}"))
    }

    /// Starts a plain reverse proxy before a server, with as many kept connections as it may want.
    pub async fn start_proxy(upstream: SocketAddr) -> Self {
        Self::start_proxy_of(upstream, "").await
    }

    /// Starts such a proxy that is asked by HTTP/2 with prior knowledge.
    pub async fn start_http2_proxy(upstream: SocketAddr) -> Self {
        Self::start_proxy_of(upstream, " http2").await
    }

    async fn start_proxy_of(upstream: SocketAddr, listen: &str) -> Self {
        let outer = format!("upstream vendor {{ server {upstream}; keepalive 256; }}");
        let settings = "location /proxy/ { proxy_pass http://vendor/; \
                        proxy_http_version 1.1; proxy_set_header Connection \"\"; }";
        Self::start_as(&outer, settings, listen, |_| ()).await
    }

    /// Starts it over TLS, with that certificate.
    pub async fn start_tls(identity: &Identity) -> Self {
        Self::start_tls_with(identity, "").await
    }

    /// Starts it over TLS, with that certificate and further settings of nginx.
    pub async fn start_tls_with(identity: &Identity, settings: &str) -> Self {
        let settings =
            format!("ssl_certificate certificate.pem; ssl_certificate_key key.pem; {settings}");
        Self::start_with("", &settings, true, |folder| {
            fill_identity(folder, identity)
        })
        .await
    }

    /// Starts it over TLS, for clients that show a certificate of that authority.
    pub async fn start_mutual(identity: &Identity, authority: &str) -> Self {
        let settings = "ssl_certificate certificate.pem; ssl_certificate_key key.pem; \
                        ssl_client_certificate authority.pem; ssl_verify_client on;";
        Self::start_with("", settings, true, |folder| {
            for (name, pem) in [
                ("certificate.pem", identity.certificate.as_str()),
                ("key.pem", &identity.key),
                ("authority.pem", authority),
            ] {
                std::fs::write(folder.join(name), pem).expect("a fresh folder can be filled");
            }
        })
        .await
    }

    /// `outer` stands before the server, `settings` inside it.
    async fn start_with(
        outer: &str,
        settings: &str,
        is_tls: bool,
        fill: impl FnOnce(&Path),
    ) -> Self {
        let listen = if is_tls { " ssl" } else { "" };
        Self::start_as(outer, settings, listen, fill).await
    }

    /// `listen` stands behind its address.
    async fn start_as(outer: &str, settings: &str, listen: &str, fill: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fill(folder.path());
        let address = free_address();
        let configuration = format!(
            "daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr warn;
             events {{ worker_connections 4096; }}
             http {{
               access_log off; default_type text/plain;
               client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
               scgi_temp_path scgi; keepalive_requests 100000000; {outer}
               server {{ listen {address}{listen} backlog=4096; {settings} {LOCATIONS} }}
             }}"
        );
        std::fs::write(folder.path().join("nginx.conf"), configuration)
            .expect("a fresh folder can be filled");
        let mut server = Self {
            folder,
            address,
            process: None,
            is_tls: listen == " ssl",
        };
        server.restart().await;
        server
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Base URL by address.
    pub fn url(&self) -> String {
        format!(
            "{}://{}",
            if self.is_tls { "https" } else { "http" },
            self.address
        )
    }

    /// Stops it: from now on its port refuses connections.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process::terminate(&mut process, STOP).await;
        }
    }

    /// Starts it again on the same port as before.
    pub async fn restart(&mut self) {
        self.stop().await;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log can be written");
        let process = Command::new(nginx())
            .arg("-p")
            .arg(self.folder.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("nginx can be started; `make test` installs it");
        self.process = Some(process);
        let address = self.address;
        wait_for("nginx to listen", PATIENCE, async || {
            match is_open(address).await {
                true => Ok(()),
                false => {
                    Err(std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default())
                }
            }
        })
        .await;
    }
}

fn fill_identity(folder: &Path, identity: &Identity) {
    for (name, pem) in [
        ("certificate.pem", &identity.certificate),
        ("key.pem", &identity.key),
    ] {
        std::fs::write(folder.join(name), pem).expect("a fresh folder can be filled");
    }
}

/// Debian keeps it where only root looks.
fn nginx() -> PathBuf {
    let sbin = PathBuf::from("/usr/sbin/nginx");
    if sbin.exists() { sbin } else { "nginx".into() }
}
