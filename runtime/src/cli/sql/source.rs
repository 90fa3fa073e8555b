//! Source of answers: a server, or this very process over results that no program has open.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use reqwest::{Body, Response};
use tokio::sync::mpsc;

use crate::api_types::sql::{SqlRequest, SqlSchemaBody};
use crate::app::StoppedResults;
use crate::cli::client::{Client, Server, checked};
use crate::cli::print::note;

/// Where statements go instead of to a server.
#[derive(Debug, Clone, Args)]
pub(super) struct Offline {
    /// Data folder of a server that does not run, or folder of an archive: it is read, without a
    /// server.
    #[arg(long, value_name = "DIR")]
    offline: Option<PathBuf>,
    /// Folder of the archive, if it is not in the data folder.
    #[arg(long, value_name = "DIR", requires = "offline")]
    archive: Option<PathBuf>,
    /// Sandbox of the process that runs a statement, as for `serve`.
    #[arg(long, env = "EXTRACK_SQL_SANDBOX", default_value = "full", hide = true)]
    sandbox: String,
}

pub(super) enum Source {
    Server(Client),
    Offline(Box<StoppedResults>),
}

impl Source {
    pub(super) async fn open(server: &Server, offline: Offline) -> Result<Self> {
        let Some(folder) = offline.offline else {
            return Ok(Self::Server(server.connect()?));
        };
        let opened = StoppedResults::open(&folder, offline.archive, &offline.sandbox).await?;
        note("results of a server that does not run; what waits in its spool is not in them");
        Ok(Self::Offline(Box::new(opened)))
    }

    /// Asks under an id, where that is of use.
    pub(super) async fn ask(&self, id: &str, request: &SqlRequest) -> Result<Response> {
        match self {
            Self::Server(client) => client.ask("/sql", id, request).await,
            Self::Offline(results) => {
                checked(received(results.answer(request.clone()).await)).await
            }
        }
    }

    /// Returns how far the query with an id is, where that can be found out.
    pub(super) async fn percent(&self, id: &str) -> Option<u8> {
        match self {
            Self::Server(client) => client.query_percent(id).await,
            Self::Offline(_) => None,
        }
    }

    /// Cancels the query with an id. Without a server it ends when its answer is no longer read.
    pub(super) async fn cancel(&self, id: &str) {
        if let Self::Server(client) = self {
            // It may have ended just now.
            let _ = client.delete_quietly(&format!("/sql/{id}")).await;
        }
    }

    pub(super) async fn schema(&self) -> Result<SqlSchemaBody> {
        match self {
            Self::Server(client) => client.get("/sql/schema").await?.read(),
            Self::Offline(results) => results.schema(),
        }
    }
}

/// Returns an answer as if it had come from a server, bit by bit.
fn received(answer: axum::response::Response) -> Response {
    let (head, mut body) = answer.into_parts();
    let (sender, frames) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let is_last = frame.is_err();
            if sender.send(frame).await.is_err() || is_last {
                return;
            }
        }
    });
    let frames = stream::unfold(frames, async |mut frames| {
        let frame = frames.recv().await?;
        Some((frame, frames))
    });
    let body = Body::wrap(StreamBody::new(frames));
    axum::http::Response::from_parts(head, body).into()
}
