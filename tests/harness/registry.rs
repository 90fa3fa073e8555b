//! A real OCI registry on loopback that wants a login, and a client that pushes components to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::ports::{free_address, is_open};
use crate::wait::{PATIENCE, wait_for};

pub const USER: &str = "robot";
pub const PASSWORD: &str = "s3cret-r0bot";

/// `htpasswd -B` of the two.
const HTPASSWD: &str = "robot:$2b$04$dvzRRGXmlo1WyNudwvRiEOfFHyeRueOs9D6nWio/02zgP8SjorASi\n";

pub struct OciRegistry {
    _folder: TempDir,
    address: SocketAddr,
    http: reqwest::Client,
    _process: Child,
}

impl OciRegistry {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let address = free_address();
        let (path, storage) = (
            folder.path().join("registry.yml"),
            folder.path().join("storage"),
        );
        let passwords = folder.path().join("htpasswd");
        let settings = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"{address}\"}}\nauth: {{htpasswd: {{realm: registry, path: {}}}}}\n",
            storage.display(),
            passwords.display()
        );
        std::fs::write(&path, settings).expect("a fresh folder can be filled");
        std::fs::write(&passwords, HTPASSWD).expect("a fresh folder can be filled");
        let program = PathBuf::from("/usr/bin/docker-registry");
        let process = Command::new(if program.exists() {
            program
        } else {
            "docker-registry".into()
        })
        .arg("serve")
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("docker-registry can be started; `make test` installs it");
        wait_for(
            "the registry to listen",
            PATIENCE,
            async || match is_open(address).await {
                true => Ok(()),
                false => Err(format!("nothing listens on {address}")),
            },
        )
        .await;
        // Nothing here speaks TLS, but the client wants to know how it would.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a plain client can be built");
        Self {
            _folder: folder,
            address,
            http,
            _process: process,
        }
    }

    /// Returns its name as in `trust.registries`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn reference(&self, repository: &str, version: &str) -> String {
        let joint = if version.starts_with("sha256:") {
            '@'
        } else {
            ':'
        };
        format!("oci://{}/{repository}{joint}{version}", self.address)
    }

    /// Pushes a component under that tag, with its signature; returns the digest of the manifest.
    pub async fn push(
        &self,
        repository: &str,
        tag: &str,
        component: &[u8],
        signature: Option<&str>,
    ) -> String {
        let config = self
            .blob(repository, "application/vnd.wasm.config.v0+json", b"{}")
            .await;
        let mut layers = vec![self.blob(repository, "application/wasm", component).await];
        if let Some(signature) = signature {
            layers.push(
                self.blob(
                    repository,
                    "application/vnd.minisign.signature.v1",
                    signature.as_bytes(),
                )
                .await,
            );
        }
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
        let request = self.request(Method::PUT, &format!("/v2/{repository}/manifests/{tag}"));
        let answer = request
            .header("content-type", kind)
            .body(manifest.to_string())
            .send()
            .await
            .expect("it answers");
        assert_eq!(
            answer.status(),
            StatusCode::CREATED,
            "{}",
            answer.text().await.unwrap_or_default()
        );
        let digest = answer.headers()["docker-content-digest"]
            .to_str()
            .expect("a digest is text");
        digest.to_owned()
    }

    /// Returns its descriptor.
    async fn blob(&self, repository: &str, kind: &str, bytes: &[u8]) -> Value {
        let begun = self
            .request(Method::POST, &format!("/v2/{repository}/blobs/uploads/"))
            .send()
            .await;
        let begun = begun.expect("it answers");
        assert_eq!(begun.status(), StatusCode::ACCEPTED);
        let location = begun.headers()["location"]
            .to_str()
            .expect("a URL is text")
            .to_owned();
        let digest = format!("sha256:{}", crate::components::sha256(bytes));
        let joint = if location.contains('?') { '&' } else { '?' };
        let put = self
            .http
            .put(format!("{location}{joint}digest={digest}"))
            .basic_auth(USER, Some(PASSWORD));
        let done = put
            .header("content-type", "application/octet-stream")
            .body(bytes.to_vec())
            .send()
            .await;
        assert_eq!(done.expect("it answers").status(), StatusCode::CREATED);
        json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("http://{}{path}", self.address))
            .basic_auth(USER, Some(PASSWORD))
    }
}
