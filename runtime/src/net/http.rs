//! One HTTP request over a connection of its own, with its phases measured. Redirects are answers, and bodies come as
//! they are: compression is only asked for, and taken off, for those who want it.

mod encoding;
mod exchange;
mod request;

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use url::Url;

pub use self::request::is_connection_header;

use self::exchange::{Exchange, FirstRead, hyper_error};
use super::Net;
use super::certificate::Certificate;
use super::connect::connect;
use super::failure::{NetError, NetFailure, Phase, Trace};
use super::identity::ClientIdentity;
use super::policy::Permission;
use super::tls::Handshake;
use crate::domain::Phases;

/// Headers of an answer, and of a request.
pub const MAX_HEADERS: usize = 128;
/// All headers of an answer together.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;
pub const MAX_URL_BYTES: usize = 16 * 1024;

#[derive(Debug, Clone)]
pub struct HttpRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Bytes>,
    pub deadline: Instant,
    /// Accept any certificate.
    pub insecure: bool,
    /// At most, and never more than the setting; none: the setting.
    pub max_body_bytes: Option<usize>,
    /// In place of the setting, for what the program itself fetches.
    pub own_max_body_bytes: Option<usize>,
    /// Ask for a compressed body, and answer with it decompressed. Either size over the cap is [`NetError::TooLarge`].
    pub decompress: bool,
    /// Shown to a server that asks who we are.
    pub identity: Option<ClientIdentity>,
    /// The name asked for and checked by TLS, in place of the URL's host.
    pub server_name: Option<String>,
}

impl HttpRequest {
    pub fn new(method: &str, url: &str, deadline: Instant) -> Self {
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            deadline,
            insecure: false,
            max_body_bytes: None,
            own_max_body_bytes: None,
            decompress: false,
            identity: None,
            server_name: None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct HttpResponse {
    pub status: u16,
    /// `HTTP/1.1` or `HTTP/2`.
    pub version: &'static str,
    /// Names in lower case; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// The body was longer than the cap; what is beyond it was not read.
    pub truncated: bool,
    /// Bytes of the body as it came: fewer than those of `body` when that was decompressed.
    pub received_bytes: u64,
    pub phases: Phases,
    pub total_us: u64,
    /// Address and port that answered.
    pub peer: SocketAddr,
    /// The server's own, for `https`.
    pub certificate: Option<Certificate>,
}

pub(super) async fn send(net: &Net, permission: &Permission, request: HttpRequest) -> Result<HttpResponse, NetFailure> {
    let mut trace = Trace::new(request.deadline);
    let answer = send_traced(net, permission, request, &mut trace).await;
    answer.map_err(|error| trace.fail(error))
}

async fn send_traced(
    net: &Net,
    permission: &Permission,
    request: HttpRequest,
    trace: &mut Trace,
) -> Result<HttpResponse, NetError> {
    let url = parse_url(&request.url)?;
    let (host, port) = permission.check_url(&url)?;
    let head = request::Head::new(&request, &url, permission)?;
    let most = request.own_max_body_bytes.unwrap_or(net.inner.max_body_bytes);
    let cap = request.max_body_bytes.unwrap_or(usize::MAX).min(most);

    let connected = connect(net, trace, permission, &host, port).await?;
    let peer = connected.peer;
    let first_read = FirstRead::default();
    let (mut exchange, certificate) = if url.scheme() == "https" {
        let how = Handshake {
            server_name: request.server_name.as_deref(),
            alpn: &[b"h2", b"http/1.1"],
            accept_any: request.insecure,
            identity: request.identity.as_ref(),
        };
        let secured = net.inner.tls.handshake(trace, connected, &host, how).await?;
        let certificate = secured.leaf();
        let exchange = if secured.speaks_http2() {
            trace
                .until(|| format!("opening HTTP/2 with `{peer}`"), Exchange::http2(TokioIo::new(secured.stream)))
                .await?
        } else {
            Exchange::http1(first_read.watch(secured.stream)).await?
        };
        (exchange, certificate)
    } else {
        (Exchange::http1(first_read.watch(connected.stream)).await?, None)
    };

    let sent = Instant::now();
    let message = head.into_request(exchange.is_http2(), request.body.unwrap_or_default())?;
    let answer = trace.until(
        || match first_read.get() {
            Some(_) => format!("reading the headers from `{peer}`"),
            None => format!("waiting for the first byte from `{peer}`"),
        },
        exchange.send(message),
    );
    let answer = answer.await;
    // Over HTTP/2 the first bytes are not the answer's; there the headers count as its first byte.
    let first_byte = first_read.get().or_else(|| answer.is_ok().then(Instant::now));
    if let Some(moment) = first_byte {
        trace.note(Phase::FirstByte, moment.saturating_duration_since(sent));
    }
    let (parts, body) = answer?.into_parts();
    if parts.headers.len() > MAX_HEADERS {
        return Err(too_many_headers());
    }
    let (body, truncated) =
        trace.until(|| format!("reading the body from `{peer}`"), read(&mut exchange, body, cap)).await?;
    trace.note(Phase::Body, first_byte.unwrap_or(sent).elapsed());

    let mut headers = parts.headers;
    let received_bytes = body.len() as u64;
    let coding = if request.decompress && !body.is_empty() { encoding::coding(&headers)? } else { None };
    let body = match coding {
        Some(_) if truncated => return Err(encoding::too_large(cap)),
        Some(coding) => {
            encoding::strip(&mut headers);
            coding.decode(&body, cap)?
        }
        None => body,
    };
    Ok(HttpResponse {
        status: parts.status.as_u16(),
        version: version_text(parts.version),
        headers: headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body,
        truncated,
        received_bytes,
        phases: trace.phases,
        total_us: trace.total_us(),
        peer,
        certificate,
    })
}

fn parse_url(text: &str) -> Result<Url, NetError> {
    if text.len() > MAX_URL_BYTES {
        return Err(NetError::TooLarge(format!("the URL is longer than {MAX_URL_BYTES} bytes")));
    }
    // Not shown: there may be a secret in it.
    Url::parse(text).map_err(|error| NetError::Protocol(format!("the URL is wrong: {error}")))
}

/// The body up to the cap, and whether there was more.
async fn read(exchange: &mut Exchange, mut body: Incoming, cap: usize) -> Result<(Bytes, bool), NetError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = exchange.during(body.frame()).await {
        let frame = frame.map_err(|error| hyper_error("the body", &error))?;
        let Ok(data) = frame.into_data() else { continue };
        let room = cap - bytes.len();
        if data.len() > room {
            bytes.extend_from_slice(&data[..room]);
            return Ok((bytes.freeze(), true));
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.freeze(), false))
}

fn too_many_headers() -> NetError {
    NetError::TooLarge(format!("the answer has more than {MAX_HEADERS} headers, or {MAX_HEADER_BYTES} bytes of them"))
}

fn version_text(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests;
