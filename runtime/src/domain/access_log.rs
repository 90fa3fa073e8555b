//! Lines of access logs: the common and the combined format, and JSON as nginx, Caddy, Traefik, Envoy
//! and others write it.

mod common;
mod json;

use super::UnixMillis;

/// Longer lines are no lines of a log.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// Form of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// The common log format, and what continues it, such as the combined one.
    Common,
    /// An object a line.
    Json,
}

/// One request, as a line of the log has it.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    pub ts_ms: UnixMillis,
    pub method: String,
    /// Target as it was sent, with its query.
    pub path: String,
    pub status: Option<u16>,
    pub latency_ms: Option<f64>,
    /// Body of the answer.
    pub bytes_out: Option<u64>,
    /// Body of the request.
    pub bytes_in: Option<u64>,
    /// Name of the user, where somebody had signed in.
    pub user: Option<String>,
}

/// Reads a line; without a format it is found from the line. An error says what is wrong, for people.
pub fn read_line(line: &str, format: Option<LogFormat>) -> Result<LogEntry, String> {
    let line = line.trim();
    if line.len() > MAX_LINE_BYTES {
        return Err(format!("longer than {} KiB", MAX_LINE_BYTES / 1024));
    }
    let found = if line.starts_with('{') {
        LogFormat::Json
    } else {
        LogFormat::Common
    };
    let entry = match format.unwrap_or(found) {
        LogFormat::Common => common::read(line),
        LogFormat::Json => json::read(line),
    }?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if entry.method.is_empty() || entry.method.len() > 16 || !entry.method.bytes().all(is_token) {
        return Err("the request has no method of HTTP".to_owned());
    }
    Ok(entry)
}

/// Returns the path of what a client asked for: of a whole URL as well. None for what is no path, such
/// as that of `CONNECT`.
fn path_of(target: &str) -> Option<String> {
    if target.starts_with('/') {
        return Some(target.to_owned());
    }
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let begin = rest.find(['/', '?']);
    match begin.map(|begin| &rest[begin..]) {
        Some(path) if path.starts_with('/') => Some(path.to_owned()),
        _ => Some("/".to_owned()),
    }
}

#[cfg(test)]
mod tests;
