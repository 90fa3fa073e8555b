//! `/api/v1/archive`: the files of the archive, listed, downloaded, verified and taken over.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio_util::io::ReaderStream;

use super::audit;
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::file::ParquetFile;
use crate::api::http::moment::rfc3339;
use crate::api::http::page::{self, Page};
use crate::api::http::state::ApiState;
use crate::api_types::archive::{ArchiveFaultBody, ArchiveFileBody, ArchiveReportBody};
use crate::api_types::scope::Scope::{Admin, Sql};
use crate::archive::{ArchiveError, ArchiveReport};
use crate::domain::{ArchiveDay, ArchiveFile, ArchiveTable};
use crate::store::control::ArchiveFilter;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Sql, "/api/v1/archive", list)
            .id("archiveList")
            .summary("Files of the archive, by table and day"),
        Endpoint::get(Sql, "/api/v1/archive/{table}/{day}", download)
            .slow()
            .id("archiveFileGet")
            .summary("Download the Parquet file of one day")
            .description(
                "The file as it is, with its SHA-256 as `ETag`. Parts of it are answered to a \
                 header `Range: bytes=…`, so that readers of Parquet fetch only what they need.",
            )
            .documented(|operation| {
                operation.response_with::<200, ParquetFile, _>(|response| {
                    response.description("The file")
                })
            }),
        Endpoint::post(Admin, "/api/v1/archive/verify", verify)
            .slow()
            .id("archiveVerify")
            .summary("Read every file now, and compare it with its SHA-256")
            .returns::<200, Json<ArchiveReportBody>>(),
        Endpoint::post(Admin, "/api/v1/archive/restore", restore)
            .slow()
            .id("archiveRestore")
            .summary("Take over files that lie in the folder of the archive and are not listed")
            .description(
                "After the data folder was lost. Each file is compared with the SHA-256 that lies \
                 beside it; a day of which the database has rows is left out, as a fault.",
            )
            .returns::<200, Json<ArchiveReportBody>>(),
    ]
}

impl From<&ArchiveFile> for ArchiveFileBody {
    fn from(file: &ArchiveFile) -> Self {
        Self {
            table: file.day.table.to_string(),
            day: file.day.day.to_string(),
            path: file.path.clone(),
            rows: file.rows,
            bytes: file.bytes,
            sha256: file.sha256.clone(),
            archived_at: rfc3339(file.archived_ms),
            verified_at: rfc3339(file.verified_ms),
            fault: file.fault.clone(),
            copied_at: file.copied_ms.map(rfc3339),
        }
    }
}

impl From<ArchiveReport> for ArchiveReportBody {
    fn from(report: ArchiveReport) -> Self {
        let faults = report.faults.into_iter();
        Self {
            files: report.files,
            bytes: report.bytes,
            faults: faults
                .map(|(path, fault)| ArchiveFaultBody { path, fault })
                .collect(),
        }
    }
}

impl ApiError {
    fn archive_file_not_found(day: impl std::fmt::Display) -> Self {
        let detail = format!(
            "{day} has no file in the archive; `GET /api/v1/archive` lists those that there are"
        );
        Self::not_found("archive-file-not-found", "No such file", detail)
    }

    fn archive_file_damaged(path: &str, fault: &str) -> Self {
        let detail = format!(
            "`{path}` is damaged: {fault}; put a good copy in its place, then `extrack archive verify`"
        );
        Self::conflict("archive-file-damaged", "Damaged file", detail)
    }
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::NotFound(day) => Self::archive_file_not_found(day),
            error => Self::internal(error.into()),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArchiveQuery {
    /// Only files of this table, e.g. `observations`.
    #[schemars(regex(pattern = "^(observations|plugin_runs|rate_limits|shadow_runs)$"))]
    table: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ArchiveQuery>,
) -> ApiResult<Json<Page<ArchiveFileBody>>> {
    let words = ArchiveTable::ALL.map(ArchiveTable::as_str);
    let table = page::word("table", query.table.as_deref(), ArchiveTable::parse, &words)?;
    let limit = page::limit(query.limit)?;
    let after = page::key_cursor(query.cursor.as_deref(), |key| key.ends_with(".parquet"))?;
    let filter = ArchiveFilter {
        table,
        after: after.map(str::to_owned),
        ..ArchiveFilter::default()
    };
    let files = state.deps.archive.list(&filter, limit + 1).await?;
    let page = Page::from_rows(
        files,
        limit,
        |file| file.path.clone(),
        |file| ArchiveFileBody::from(&file),
    );
    Ok(Json(page))
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ArchivePath {
    /// Table, e.g. `observations`.
    table: String,
    /// Day of UTC, e.g. `2026-11-23`.
    day: String,
}

async fn download(
    State(state): State<ApiState>,
    Path(path): Path<ArchivePath>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let table = ArchiveTable::parse(&path.table);
    let (Some(table), Ok(day)) = (table, path.day.parse()) else {
        return Err(ApiError::archive_file_not_found(format!(
            "{} of {}",
            path.table, path.day
        )));
    };
    let (file, place) = state.deps.archive.file(ArchiveDay { table, day }).await?;
    if let Some(fault) = &file.fault {
        return Err(ApiError::archive_file_damaged(&file.path, fault));
    }
    let tag = format!("\"{}\"", file.sha256);
    let mut answer = HeaderMap::new();
    answer.insert(ETAG, header(&tag)?);
    answer.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let is_known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|known| known.to_str().is_ok_and(|known| known.contains(&tag)));
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    let wanted = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let (status, from, until) = match wanted.map(|range| part_of(range, file.bytes)) {
        None | Some(Part::Whole) => (StatusCode::OK, 0, file.bytes),
        Some(Part::Bytes(from, until)) => (StatusCode::PARTIAL_CONTENT, from, until),
        Some(Part::Beyond) => {
            answer.insert(CONTENT_RANGE, header(&format!("bytes */{}", file.bytes))?);
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, answer).into_response());
        }
    };
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {from}-{}/{}", until - 1, file.bytes);
        answer.insert(CONTENT_RANGE, header(&range)?);
    }
    let opening = async {
        let mut open = tokio::fs::File::open(&place).await?;
        open.seek(SeekFrom::Start(from)).await?;
        std::io::Result::Ok(open.take(until - from))
    };
    let open = opening
        .await
        .map_err(|error| ApiError::archive_file_damaged(&file.path, &error.to_string()))?;
    answer.insert(CONTENT_LENGTH, header(&(until - from).to_string())?);
    let kind = HeaderValue::from_static("application/vnd.apache.parquet");
    answer.insert(CONTENT_TYPE, kind);
    let body = Body::from_stream(ReaderStream::new(open));
    Ok((status, answer, body).into_response())
}

fn header(text: &str) -> ApiResult<HeaderValue> {
    HeaderValue::from_str(text).map_err(|error| ApiError::internal(error.into()))
}

/// Part of a file.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// All of it; also where the header is of a form that need not be known.
    Whole,
    /// From a byte up to another.
    Bytes(u64, u64),
    /// Nothing of the file.
    Beyond,
}

/// Reads a header `Range` with one part, by RFC 9110, section 14.
fn part_of(range: &str, bytes: u64) -> Part {
    let Some((from, to)) = range
        .strip_prefix("bytes=")
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Part::Whole;
    };
    let part = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => (from, to.saturating_add(1).min(bytes)),
        (Ok(from), Err(_)) if to.is_empty() => (from, bytes),
        (Err(_), Ok(last)) if from.is_empty() => (bytes.saturating_sub(last), bytes),
        _ => return Part::Whole,
    };
    match part {
        (from, until) if from < until => Part::Bytes(from, until),
        _ => Part::Beyond,
    }
}

async fn verify(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
) -> ApiResult<Json<ArchiveReportBody>> {
    audit::note(&state, &principal, "archive.verify", "archive").await;
    let report = state.deps.archive.verify().await?;
    Ok(Json(report.into()))
}

async fn restore(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
) -> ApiResult<Json<ArchiveReportBody>> {
    audit::note(&state, &principal, "archive.restore", "archive").await;
    let report = state.deps.archive.restore().await?;
    Ok(Json(report.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_file_are_read_by_the_rules_of_http() {
        for (range, part) in [
            ("bytes=0-3", Part::Bytes(0, 4)),
            ("bytes=4-", Part::Bytes(4, 10)),
            ("bytes=-4", Part::Bytes(6, 10)),
            ("bytes=-40", Part::Bytes(0, 10)),
            ("bytes=8-99999999999999999999", Part::Whole),
            ("bytes=8-99", Part::Bytes(8, 10)),
            ("bytes=10-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("lines=0-1", Part::Whole),
        ] {
            assert_eq!(part_of(range, 10), part, "{range}");
        }
    }
}
