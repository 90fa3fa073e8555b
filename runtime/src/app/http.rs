//! Starts the HTTP server and what belongs to it.

use anyhow::Result;
use tokio::net::TcpListener;

use super::tasks::{Stage, Tasks};
use crate::api::{ApiSettings, ApiState, Live, Parts};
use crate::config::Settings;

/// Serves the API and the dashboard until the faces stop.
pub(super) fn start(
    tasks: &mut Tasks,
    parts: Parts,
    live: Live,
    listener: TcpListener,
    settings: &Settings,
    max_connections: usize,
) -> Result<()> {
    let settings = ApiSettings {
        public_url: settings.public_url.as_deref().map(str::parse).transpose()?,
        trusted_proxies: settings.trusted_proxies.clone(),
        ..ApiSettings::for_connections(max_connections)
    };
    let stop = tasks.stop(Stage::Faces);
    let state = ApiState::new(settings, parts, live, stop.clone());
    let router = crate::api::router(state.clone());
    tasks.spawn(Stage::Faces, "http", async move {
        crate::api::serve(listener, router, max_connections, stop).await;
        Ok(())
    });
    tasks.spawn(Stage::Faces, "http work", async move {
        state.run().await;
        Ok(())
    });
    Ok(())
}
