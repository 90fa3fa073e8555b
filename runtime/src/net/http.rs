//! One HTTP request over a connection of its own, with its phases measured. Redirects are answers,
//! and bodies come as they are: compression is only asked for, and taken off, for those who want
//! it, and so are charsets.

mod charset;
mod encoding;
mod exchange;
mod request;
mod room;

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, TRANSFER_ENCODING,
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;
use url::Url;

pub use self::request::is_connection_header;
pub use self::room::BodyRoom;

use self::exchange::{Exchange, Watch, hyper_error};
use super::certificate::Certificate;
use super::connect::connect;
use super::context::NetContext;
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

/// Protocols offered by TLS.
const ANY_HTTP: &[&[u8]] = &[b"h2", b"http/1.1"];
const HTTP2_ALONE: &[&[u8]] = &[b"h2"];

#[derive(Debug, Clone)]
pub struct HttpRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Bytes>,
    pub deadline: Instant,
    /// Accept any certificate.
    pub insecure: bool,
    /// Limit of the body, never more than the setting; none: the setting.
    pub max_body_bytes: Option<usize>,
    /// Limit in place of the setting, for what the program itself fetches.
    pub own_max_body_bytes: Option<usize>,
    /// Asked before the body grows.
    pub room: BodyRoom,
    /// Ask for a compressed body, and answer with it decompressed. Either size over the cap is
    /// [`NetError::TooLarge`].
    pub decompress: bool,
    /// Answer with a body that is UTF-8 and not compressed, whether or not the server was asked to
    /// compress it. The headers stay as they came, and what stands in the way is in
    /// [`HttpResponse::unread`].
    pub text: bool,
    /// Speak HTTP/2 from the first byte, over plain TCP too; a server that does not is an error.
    pub http2: bool,
    /// Send `te: trailers`, without which some servers send none.
    pub trailers: bool,
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
            room: BodyRoom::default(),
            decompress: false,
            text: false,
            http2: false,
            trailers: false,
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
    /// Names in lower case. Values that are not UTF-8 are read as Latin-1, and percent-encoded in
    /// `location`.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// Headers that came behind a whole body, in the same form.
    pub trailers: Vec<(String, String)>,
    /// The body was longer than the cap; what is beyond it was not read.
    pub truncated: bool,
    /// Why the body is not the text that was asked for: a coding or a charset that is not known.
    pub unread: Option<String>,
    /// The body had no length and ended with the TCP connection, without the `close_notify` of
    /// TLS: nothing proves that it is whole.
    pub is_end_unproven: bool,
    /// Bytes of the body as it came: fewer than those of `body` when that was decompressed.
    pub received_bytes: u64,
    pub phases: Phases,
    pub total_us: u64,
    /// Address and port that answered.
    pub peer: SocketAddr,
    /// The server's own, for `https`.
    pub certificate: Option<Certificate>,
}

pub(super) async fn send(
    context: &NetContext,
    permission: &Permission,
    request: HttpRequest,
) -> Result<HttpResponse, NetFailure> {
    let mut trace = Trace::new(request.deadline);
    let answer = send_traced(context, permission, request, &mut trace).await;
    answer.map_err(|error| trace.fail(error))
}

async fn send_traced(
    context: &NetContext,
    permission: &Permission,
    request: HttpRequest,
    trace: &mut Trace,
) -> Result<HttpResponse, NetError> {
    let url = parse_url(&request.url)?;
    let (host, port) = permission.check_url(&url)?;
    let head = request::Head::new(&request, &url, permission)?;
    let most = request.own_max_body_bytes.unwrap_or(context.max_body_bytes);
    let cap = request.max_body_bytes.unwrap_or(usize::MAX).min(most);

    let connected = connect(context, trace, permission, &host, port).await?;
    let peer = connected.peer;
    let watch = Watch::default();
    let (mut exchange, certificate) = if url.scheme() == "https" {
        let how = Handshake {
            server_name: request.server_name.as_deref(),
            alpn: if request.http2 { HTTP2_ALONE } else { ANY_HTTP },
            accept_any: request.insecure,
            keeps_path: false,
            identity: request.identity.as_ref(),
        };
        let secured = context.tls.handshake(trace, connected, &host, how).await?;
        let certificate = secured.leaf();
        let exchange = if secured.speaks_http2() {
            open_http2(trace, watch.over(secured.stream), peer).await?
        } else if request.http2 {
            return Err(NetError::Protocol(format!(
                "`{peer}` does not speak HTTP/2"
            )));
        } else {
            Exchange::http1(watch.over(secured.stream)).await?
        };
        (exchange, certificate)
    } else if request.http2 {
        (
            open_http2(trace, watch.over(connected.stream), peer).await?,
            None,
        )
    } else {
        (Exchange::http1(watch.over(connected.stream)).await?, None)
    };

    let sent = Instant::now();
    let is_http2 = exchange.is_http2();
    let message = head.into_request(is_http2, request.body.clone().unwrap_or_default())?;
    // Over HTTP/2 the first bytes are not the answer's; there the headers count as its first byte.
    let first_read = || watch.first_read().filter(|_| !is_http2);
    let answer = trace.until(
        || match first_read() {
            Some(_) => format!("reading the headers from `{peer}`"),
            None => format!("waiting for the first byte from `{peer}`"),
        },
        exchange.send(message),
    );
    let answer = answer.await;
    let first_byte = first_read().or_else(|| answer.is_ok().then(Instant::now));
    if let Some(moment) = first_byte {
        trace.note(Phase::FirstByte, moment.saturating_duration_since(sent));
    }
    let (parts, body) = answer?.into_parts();
    if parts.headers.len() > MAX_HEADERS {
        return Err(too_many_headers());
    }
    let (body, trailers, truncated) = trace
        .until(
            || format!("reading the body from `{peer}`"),
            read(&mut exchange, body, cap, &request.room),
        )
        .await?;
    trace.note(Phase::Body, first_byte.unwrap_or(sent).elapsed());

    let mut headers = parts.headers;
    let received_bytes = body.len() as u64;
    let is_end_unproven = watch.was_cut_off() && !has_an_end_of_its_own(&headers);
    let mut read = Body {
        bytes: body,
        truncated,
        unread: None,
        room: &request.room,
    };
    if request.decompress && !read.bytes.is_empty() {
        let codings = encoding::codings(&headers)?;
        if !codings.is_empty() {
            read.decode(trace, &codings, cap).await?;
            encoding::strip(&mut headers);
        }
    }
    // The body of a redirect is not for reading.
    if request.text && !(parts.status.is_redirection() && headers.contains_key(LOCATION)) {
        read.become_text(trace, &headers, cap).await?;
    }
    let Body {
        bytes: body,
        truncated,
        unread,
        ..
    } = read;
    Ok(HttpResponse {
        status: parts.status.as_u16(),
        version: version_text(parts.version),
        headers: header_texts(&headers),
        body,
        trailers: header_texts(&trailers),
        truncated,
        unread,
        is_end_unproven,
        received_bytes,
        phases: trace.phases,
        total_us: trace.total_us(),
        peer,
        certificate,
    })
}

async fn open_http2<S>(trace: &Trace, stream: S, peer: SocketAddr) -> Result<Exchange, NetError>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    trace
        .until(
            || format!("opening HTTP/2 with `{peer}`"),
            Exchange::http2(stream),
        )
        .await
}

/// A body on its way from the wire to the caller.
struct Body<'a> {
    bytes: Bytes,
    truncated: bool,
    unread: Option<String>,
    room: &'a BodyRoom,
}

impl Body<'_> {
    async fn decode(
        &mut self,
        trace: &Trace,
        codings: &[encoding::Coding],
        cap: usize,
    ) -> Result<(), NetError> {
        if self.truncated {
            return Err(encoding::too_large(cap));
        }
        let decoded = encoding::decode(codings, self.bytes.clone(), cap, self.room);
        self.bytes = trace
            .until(|| "decompressing the body".to_owned(), decoded)
            .await?;
        Ok(())
    }

    async fn become_text(
        &mut self,
        trace: &Trace,
        headers: &HeaderMap,
        cap: usize,
    ) -> Result<(), NetError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        match encoding::codings(headers) {
            Ok(codings) if codings.is_empty() => {}
            Ok(codings) => self.decode(trace, &codings, cap).await?,
            Err(unknown) => {
                self.unread = Some(unknown.to_string());
                return Ok(());
            }
        }
        let content_type = headers
            .get(CONTENT_TYPE)
            .map(|value| header_text(&CONTENT_TYPE, value));
        match charset::to_utf8(content_type.as_deref(), self.bytes.clone()) {
            Ok(text) => {
                self.room.reserve(text.len())?;
                self.bytes = text;
            }
            Err(unknown) => self.unread = Some(unknown.to_string()),
        }
        // A character may take more bytes than it took before.
        if self.bytes.len() > cap {
            let end = (0..=cap)
                .rev()
                .find(|end| self.bytes[*end] & 0xc0 != 0x80)
                .unwrap_or(0);
            self.bytes.truncate(end);
            self.truncated = true;
        }
        Ok(())
    }
}

/// True if the message marks its end, and not the end of the connection.
fn has_an_end_of_its_own(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING)
}

/// The value as text. What is not UTF-8 is Latin-1, as HTTP had it at first; in an address its
/// bytes stay what they are.
fn header_text(name: &HeaderName, value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) if *name == LOCATION => {
            percent_encoding::percent_encode(value.as_bytes(), &NOT_ASCII).to_string()
        }
        Err(_) => value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
    }
}

fn header_texts(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), header_text(name, value)))
        .collect()
}

/// Bytes beyond ASCII are encoded in any set.
const NOT_ASCII: percent_encoding::AsciiSet = percent_encoding::AsciiSet::EMPTY;

fn parse_url(text: &str) -> Result<Url, NetError> {
    if text.len() > MAX_URL_BYTES {
        return Err(NetError::TooLarge(format!(
            "the URL is longer than {MAX_URL_BYTES} bytes"
        )));
    }
    // Not shown: there may be a secret in it.
    Url::parse(text).map_err(|error| NetError::Protocol(format!("the URL is wrong: {error}")))
}

/// Reads the body up to the cap, and its trailers; true if there was more.
async fn read(
    exchange: &mut Exchange,
    mut body: Incoming,
    cap: usize,
    room_for: &BodyRoom,
) -> Result<(Bytes, HeaderMap, bool), NetError> {
    let mut bytes = BytesMut::new();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = exchange.during(body.frame()).await {
        let frame = frame.map_err(|error| hyper_error("the body", &error))?;
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(other) => {
                trailers = other.into_trailers().unwrap_or_default();
                if trailers.len() > MAX_HEADERS {
                    return Err(too_many_headers());
                }
                continue;
            }
        };
        let room = cap - bytes.len();
        room_for.reserve(bytes.len() + data.len().min(room))?;
        if data.len() > room {
            bytes.extend_from_slice(&data[..room]);
            return Ok((bytes.freeze(), trailers, true));
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.freeze(), trailers, false))
}

fn too_many_headers() -> NetError {
    NetError::TooLarge(format!(
        "the answer has more than {MAX_HEADERS} headers, or {MAX_HEADER_BYTES} bytes of them"
    ))
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
