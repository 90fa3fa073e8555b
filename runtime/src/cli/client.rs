//! Talks to a running server for the subcommands that need one.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api_types::page::Page;
use crate::api_types::problem::Problem;
use crate::api_types::sql::RunningQueryBody;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than the server works on anything before it gives up by itself.
const TIMEOUT: Duration = Duration::from_secs(200);
/// The largest components over a poor line, and their compilation.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// Time between two bytes of an answer; a backtest is silent for a while when it reads a long
/// history.
const READ_TIMEOUT: Duration = Duration::from_secs(600);

const DEFAULT_SERVER: &str = "http://127.0.0.1:3000";

/// Where the server is and who asks.
#[derive(Debug, Clone, Args)]
pub(super) struct Server {
    /// Address of the server.
    #[arg(long, env = "EXTRACK_SERVER", default_value = DEFAULT_SERVER, global = true)]
    server: String,
    /// Token; `EXTRACK_ADMIN_TOKEN` is used when this is not set.
    #[arg(long, env = "EXTRACK_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
}

pub(super) struct Client {
    base: String,
    token: Option<SecretString>,
    http: reqwest::Client,
}

/// JSON that the server answered, for programs as it is, and for tables as a type of `api_types`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Answer(Value);

impl From<Vec<Value>> for Answer {
    fn from(items: Vec<Value>) -> Self {
        Self(items.into())
    }
}

impl Answer {
    /// Returns the answer that a server would give.
    pub(super) fn new(body: &impl Serialize) -> Result<Self> {
        Ok(Self(serde_json::to_value(body)?))
    }

    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.0).context("this version of `extrack` can't read the server's answer")
    }
}

/// Body of a request that has nothing to add to its path.
#[derive(Debug, Serialize)]
pub(super) struct NoBody {}

/// Returns `?name=value&…` with the values that are given.
pub(super) fn query(parameters: &[(&str, Option<&str>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    match query.finish() {
        query if query.is_empty() => query,
        query => format!("?{query}"),
    }
}

/// Returns a name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Error of a server that does not answer.
#[derive(Debug, thiserror::Error)]
#[error(
    "no answer from `{server}`; is the server running? `--server` or `EXTRACK_SERVER` names another"
)]
pub(super) struct NoAnswer {
    server: String,
}

impl Server {
    pub(super) fn connect(&self) -> Result<Client> {
        // A variable that is set to nothing counts as one that is not set.
        let server = if self.server.is_empty() {
            DEFAULT_SERVER
        } else {
            with_scheme(&self.server)?
        };
        let token = self
            .token
            .clone()
            .or_else(|| std::env::var("EXTRACK_ADMIN_TOKEN").ok());
        let http = reqwest::Client::builder()
            .user_agent(concat!("extrack/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()?;
        Ok(Client {
            base: server.trim_end_matches('/').to_owned(),
            token: token.map(SecretString::from),
            http,
        })
    }
}

fn with_scheme(server: &str) -> Result<&str> {
    let schemes = ["http://", "https://"];
    if !schemes.iter().any(|scheme| server.starts_with(scheme)) {
        bail!("`--server {server}` has no scheme; write `http://{server}`");
    }
    Ok(server)
}

impl Client {
    /// Returns the address of the server, without a slash at its end.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer> {
        self.json(self.request(Method::GET, path)).await
    }

    /// Fetches a file.
    pub(super) async fn get_bytes(&self, path: &str) -> Result<Vec<u8>> {
        Ok(self
            .send(self.request(Method::GET, path))
            .await?
            .bytes()
            .await?
            .to_vec())
    }

    /// Posts something whose refusal the caller explains.
    pub(super) async fn try_post(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<std::result::Result<Answer, Problem>> {
        self.tried(self.request(Method::POST, path).json(body))
            .await
    }

    /// Puts something whose refusal the caller explains.
    pub(super) async fn try_put(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<std::result::Result<Answer, Problem>> {
        self.tried(self.request(Method::PUT, path).json(body)).await
    }

    async fn tried(&self, request: RequestBuilder) -> Result<std::result::Result<Answer, Problem>> {
        let response = self.sent(request).await?;
        if response.status().is_success() {
            return Ok(Ok(response.json().await?));
        }
        Ok(Err(problem(response).await?))
    }

    pub(super) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer> {
        self.json(self.request(Method::POST, path).json(body)).await
    }

    /// Hands over each line of JSON as it comes.
    pub(super) async fn post_lines<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        mut take: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        /// A report of a thousand services with all their alerts.
        const MAX_BYTES: usize = 256 * 1024 * 1024;
        let request = self
            .endless(Method::POST, path)
            .header("accept", "application/x-ndjson")
            .json(body);
        let mut response = self.send(request).await?;
        let mut lines = Lines::default();
        while let Some(chunk) = response.chunk().await.context("the server broke off")? {
            lines.push(&chunk, |line| {
                take(serde_json::from_slice(line).context(
                    "this version of `extrack` can't read a line of the server's answer",
                )?)
            })?;
            if lines.waiting.len() > MAX_BYTES {
                bail!("the server sent a line that has no end");
            }
        }
        Ok(())
    }

    /// Asks for something that may take long to come.
    pub(super) async fn post_stream(&self, path: &str) -> Result<Response> {
        self.send(self.endless(Method::POST, path)).await
    }

    /// Asks in SQL, under an id that the caller chose. The answer comes bit by bit.
    pub(super) async fn ask(
        &self,
        path: &str,
        query_id: &str,
        body: &impl Serialize,
    ) -> Result<Response> {
        let request = self
            .endless(Method::POST, path)
            .header("extrack-query-id", query_id)
            .header("te", "trailers")
            .json(body);
        self.send(request).await
    }

    /// Returns how far a query is; none where it is not known, or the query has ended.
    pub(super) async fn query_percent(&self, query_id: &str) -> Option<u8> {
        let answer = self.get(&format!("/sql/{query_id}")).await.ok()?;
        answer.read::<RunningQueryBody>().ok()?.percent
    }

    /// Sends a component, with the text of its `.minisig` file.
    pub(super) async fn put_component(
        &self,
        path: &str,
        bytes: Vec<u8>,
        signature: Option<String>,
    ) -> Result<Answer> {
        self.send_component(Method::PUT, path, bytes, signature)
            .await
    }

    async fn send_component(
        &self,
        method: Method,
        path: &str,
        bytes: Vec<u8>,
        signature: Option<String>,
    ) -> Result<Answer> {
        let request = self.request(method, path).timeout(UPLOAD_TIMEOUT);
        let mut request = request
            .header("content-type", "application/wasm")
            .body(bytes);
        if let Some(signature) = signature {
            request = request.header("x-extrack-signature", STANDARD.encode(signature));
        }
        self.json(request).await
    }

    pub(super) async fn post_component(
        &self,
        path: &str,
        bytes: Vec<u8>,
        signature: Option<String>,
    ) -> Result<Answer> {
        self.send_component(Method::POST, path, bytes, signature)
            .await
    }

    pub(super) async fn put(&self, path: &str, body: &impl Serialize) -> Result<Answer> {
        self.json(self.request(Method::PUT, path).json(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer> {
        self.json(self.request(Method::DELETE, path)).await
    }

    /// Deletes something, where there is nothing to answer.
    pub(super) async fn delete_quietly(&self, path: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, path))
            .await
            .map(drop)
    }

    /// Returns the items of all pages of a list.
    pub(super) async fn list(&self, path: &str) -> Result<Answer> {
        const MAX_PAGES: usize = 10_000;
        let mut items = Vec::new();
        let mut cursor = String::new();
        for _ in 0..MAX_PAGES {
            let joint = if path.contains('?') { '&' } else { '?' };
            let answer = self.get(&format!("{path}{joint}limit=200{cursor}")).await?;
            let page: Page<Value> = answer.read()?;
            items.extend(page.items);
            match page.next {
                Some(next) => cursor = query(&[("cursor", Some(next.as_str()))]).replace('?', "&"),
                None => break,
            }
        }
        Ok(Answer(items.into()))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.endless(method, path).timeout(TIMEOUT)
    }

    /// Prepares a request whose answer comes bit by bit.
    fn endless(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    async fn json(&self, request: RequestBuilder) -> Result<Answer> {
        Ok(self.send(request).await?.json().await?)
    }

    /// Posts a file of this media type.
    pub(super) async fn post_file(
        &self,
        path: &str,
        media_type: &'static str,
        content: Vec<u8>,
    ) -> Result<Answer> {
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", media_type);
        self.json(request.body(content)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        checked(self.sent(request).await?).await
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Response> {
        request.send().await.with_context(|| NoAnswer {
            server: self.base.clone(),
        })
    }

    /// Posts lines that the server takes once, however often they are sent: again while it is busy or
    /// does not answer.
    pub(super) async fn post_ndjson(&self, path: &str, lines: Vec<u8>) -> Result<Answer> {
        const TRIES: u32 = 8;
        const LONGEST_WAIT: Duration = Duration::from_secs(30);
        let lines = bytes::Bytes::from(lines);
        for tried in 1..=TRIES {
            let request = self.request(Method::POST, path);
            let request = request
                .header("content-type", "application/x-ndjson")
                .body(lines.clone());
            let sent = request.send().await;
            let wait = match &sent {
                Ok(response) if is_busy(response.status()) => retry_after(response),
                Ok(_) => None,
                Err(_) => Some(Duration::from_secs(1)),
            };
            if let Some(wait) = wait.filter(|_| tried < TRIES) {
                tokio::time::sleep(wait.max(Duration::from_secs(1)).min(LONGEST_WAIT)).await;
                continue;
            }
            let response = sent.with_context(|| NoAnswer {
                server: self.base.clone(),
            })?;
            return Ok(checked(response).await?.json().await?);
        }
        bail!("the server did not take the lines")
    }
}

fn is_busy(status: reqwest::StatusCode) -> bool {
    status == reqwest::StatusCode::SERVICE_UNAVAILABLE
        || status == reqwest::StatusCode::TOO_MANY_REQUESTS
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get("retry-after");
    let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
    Some(Duration::from_secs(seconds.unwrap_or(1)))
}

/// Returns an answer that is none of an error.
pub(super) async fn checked(response: Response) -> Result<Response> {
    if response.status().is_success() {
        return Ok(response);
    }
    let problem = problem(response).await?;
    let mut message = problem.detail;
    for fault in problem.faults {
        // The detail of a single fault is that fault.
        if !message.contains(&fault.message) {
            message.push_str(&format!("\n  {}: {}", fault.pointer, fault.message));
        }
    }
    if let (Some(line), Some(column), Some(caret)) = (problem.line, problem.column, &problem.caret)
    {
        let caret = caret.replace('\n', "\n  ");
        message.push_str(&format!("\nline {line}, column {column}:\n  {caret}"));
    }
    if !problem.candidates.is_empty() && !message.contains("Did you mean") {
        let candidates = problem.candidates.join("`, `");
        message.push_str(&format!("\ndid you mean `{candidates}`?"));
    }
    bail!(message)
}

/// Returns the problem that a server answered; an error where it wants a token.
async fn problem(response: Response) -> Result<Problem> {
    let status = response.status();
    if status == reqwest::StatusCode::UNAUTHORIZED {
        bail!("the server wants a token that it knows: set `EXTRACK_TOKEN`, or pass `--token`");
    }
    let mut problem: Problem = response.json().await.unwrap_or_default();
    if problem.detail.is_empty() {
        problem.detail = format!("the server answered {status} {}", problem.title);
    }
    Ok(problem)
}

/// Lines out of chunks; each byte is looked at once.
#[derive(Default)]
struct Lines {
    waiting: Vec<u8>,
}

impl Lines {
    fn push(&mut self, chunk: &[u8], mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.waiting.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.waiting);
            take(&line)?;
        }
        self.waiting.extend_from_slice(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_whatever_the_chunks_are() {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for chunk in ["a", "b\nc", "", "\n\nd\ne"] {
            let mut take = |line: &[u8]| -> Result<()> {
                found.push(String::from_utf8(line.to_vec())?);
                Ok(())
            };
            lines.push(chunk.as_bytes(), &mut take).unwrap();
        }
        assert_eq!(found, ["ab", "c", "", "d"]);
        assert_eq!(lines.waiting, b"e");
    }

    #[test]
    fn an_address_without_a_scheme_is_refused_with_the_form_that_is_understood() {
        let error = with_scheme("localhost:3000").unwrap_err().to_string();
        assert!(error.contains("write `http://localhost:3000`"), "{error}");
        assert!(
            with_scheme("http://127.0.0.1:3000").is_ok()
                && with_scheme("https://extrack.example").is_ok()
        );
    }
}
