//! Maintenance windows, silences and saved queries that the API owns, as files describe them.

use anyhow::Result;

use super::client::Client;
use crate::api_types::maintenance::MaintenanceBody;
use crate::api_types::queries::{NewSavedQuery, SavedQueryBody};
use crate::api_types::silences::{SilenceBody, SilenceSpec};
use crate::api_types::{DurationSpec, MaintenanceSpec, Texts};
use crate::domain::Origin;

/// A maintenance window that the server has.
#[derive(Debug)]
pub(super) struct OwnedWindow {
    pub(super) spec: MaintenanceSpec,
    /// The window opens no more.
    pub(super) is_over: bool,
}

/// A silence that the server has, and that is not over.
#[derive(Debug)]
pub(super) struct OwnedSilence {
    pub(super) id: i64,
    pub(super) spec: SilenceSpec,
}

/// Returns the windows by name.
pub(super) async fn owned_windows(client: &Client) -> Result<Vec<OwnedWindow>> {
    let windows: Vec<MaintenanceBody> = client.list("/maintenance").await?.read()?;
    let owned = windows
        .into_iter()
        .filter(|window| window.origin == Origin::Api);
    Ok(owned.map(window).collect())
}

/// Returns the silences, newest first.
pub(super) async fn owned_silences(client: &Client) -> Result<Vec<OwnedSilence>> {
    let silences: Vec<SilenceBody> = client.list("/silences?ended=false").await?.read()?;
    Ok(silences.into_iter().map(silence).collect())
}

/// Returns the saved queries by name. The token needs the scope `sql`.
pub(super) async fn owned_queries(client: &Client) -> Result<Vec<NewSavedQuery>> {
    let saved: Vec<SavedQueryBody> = client.list("/queries").await?.read()?;
    Ok(saved.into_iter().map(query).collect())
}

fn window(body: MaintenanceBody) -> OwnedWindow {
    OwnedWindow {
        is_over: !body.is_open && body.opens_at.is_none(),
        spec: MaintenanceSpec {
            name: body.name,
            matchers: (!body.matchers.is_empty()).then_some(Texts::Many(body.matchers)),
            start: body.start,
            end: body.end,
            cron: body.cron,
            duration: body.duration.map(DurationSpec::Text),
            timezone: body.timezone,
            comment: Some(body.comment).filter(|comment| !comment.is_empty()),
        },
    }
}

fn silence(body: SilenceBody) -> OwnedSilence {
    OwnedSilence {
        id: body.id,
        spec: SilenceSpec {
            matchers: Texts::Many(body.matchers),
            starts_at: Some(body.starts_at),
            ends_at: Some(body.ends_at),
            duration: None,
            comment: body.comment,
        },
    }
}

fn query(body: SavedQueryBody) -> NewSavedQuery {
    NewSavedQuery {
        name: body.name,
        query: body.query,
        description: body.description,
        defaults: body.defaults,
    }
}
