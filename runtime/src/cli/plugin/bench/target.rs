//! A server on loopback that answers every request at once, for a probe that was given nothing to
//! check.

use anyhow::{Context, Result};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::Given;
use crate::domain::PluginKind;
use crate::plugin_host::LocalPlugin;

/// Body that many health endpoints answer.
const ANSWER: &str = r#"{"status":"ok"}"#;

/// Names the server as the URL to check; it runs until it is dropped. None when there is a URL, or
/// none is needed.
pub(super) async fn stand_in(
    plugin: &LocalPlugin,
    given: &mut Given,
) -> Result<Option<AbortOnDropHandle<()>>> {
    if plugin.entry().kind != PluginKind::Probe || given.url.is_some() {
        return Ok(None);
    }
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("opening a port for a server to check")?;
    given.url = Some(format!("http://{}", listener.local_addr()?));
    if given.auth.is_empty() {
        // Many probes ask for it; the server takes any.
        given.auth.push("default=bearer:benchmark".to_owned());
    }
    let router = Router::new().fallback(async || ([(CONTENT_TYPE, "application/json")], ANSWER));
    let serving = tokio::spawn(async move {
        // It ends when it is dropped.
        let _ = axum::serve(listener, router).await;
    });
    Ok(Some(AbortOnDropHandle::new(serving)))
}
