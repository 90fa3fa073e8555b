//! `POST /api/v1/backups`: a backup, made and downloaded.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::file::TarFile;
use crate::api::http::state::ApiState;
use crate::api::resources::audit;
use crate::api_types::scope::Scope::Admin;
use crate::backup::{BackupError, Prepared, write_error};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(Admin, "/api/v1/backups", make)
            .slow()
            .id("backupMake")
            .summary("Make a backup and download it")
            .description(
                "A tar archive of both stores and the installed components as they were at one \
                 moment. It begins with `manifest.json`, which has the size and the SHA-256 of \
                 every file; an archive that begins with `error.txt` is none. The key of the \
                 secrets is no part of it. `extrack backup` compares what it gets.",
            )
            .documented(|operation| {
                operation
                    .response_with::<200, TarFile, _>(|response| response.description("The backup"))
            }),
    ]
}

/// Time after which the answer begins although the copies are not made yet: an error is then the
/// content of the archive.
const HEAD_WITHIN: Duration = Duration::from_secs(60);

/// Chunks on their way to a slow reader, of [`CHUNK_BYTES`] at most.
const CHUNKS: usize = 8;
const CHUNK_BYTES: usize = 256 << 10;

async fn make(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
) -> ApiResult<Response> {
    audit::note(&state, &principal, "backup.make", "backup").await;
    let backups = state.deps.backups.clone();
    // A client that goes away ends it with its answer's body.
    let mut preparing = async move { backups.prepare().await }.boxed();
    let prepared = match tokio::time::timeout(HEAD_WITHIN, &mut preparing).await {
        Ok(prepared) => Some(prepared?),
        Err(_) => None,
    };
    let (sender, chunks) = mpsc::channel(CHUNKS);
    tokio::spawn(async move {
        let prepared = match prepared {
            Some(prepared) => Ok(prepared),
            None => tokio::select! {
                () = sender.closed() => return,
                prepared = preparing => prepared,
            },
        };
        // Ends early when the client has gone; that the archive is cut shows by itself.
        let written = tokio::task::spawn_blocking(move || write(prepared, sender)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "a backup was not sent to its end");
        }
    });
    let headers = [
        (CONTENT_TYPE, "application/x-tar"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"extrack-backup.tar\"",
        ),
    ];
    Ok((headers, Body::from_stream(ReceiverStream::new(chunks))).into_response())
}

type Chunk = std::io::Result<Bytes>;

fn write(prepared: Result<Prepared, BackupError>, to: mpsc::Sender<Chunk>) -> std::io::Result<()> {
    let mut to = std::io::BufWriter::with_capacity(CHUNK_BYTES, ChunkWriter(to));
    match prepared {
        Ok(prepared) => prepared.write_tar(&mut to),
        Err(error) => {
            let error = anyhow::Error::from(error);
            tracing::error!(error = format!("{error:#}"), "a backup could not be made");
            write_error(&format!("{error:#}"), &mut to)
        }
    }
}

/// Hands over what is written to the body of an answer, from a thread that may wait.
struct ChunkWriter(mpsc::Sender<Chunk>);

impl std::io::Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let chunk = Ok(Bytes::copy_from_slice(bytes));
        self.0
            .blocking_send(chunk)
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Busy => Self::busy(error.to_string()),
            error => Self::internal(error.into()),
        }
    }
}
