//! `wasi:http`, which is `fetch` in JavaScript: the same road as our own `http`. A request runs
//! beside the guest, which may go on meanwhile; what it came to is settled into the run's account
//! afterwards.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use super::http::{Body, Request, Response, Sender};
use super::text::Text;
use crate::domain::BudgetKey;
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::capabilities::account::Account;
use crate::plugin_host::capabilities::label::RunLabel;
use crate::plugin_host::capabilities::outgoing::is_forbidden;
use crate::plugin_host::contract::bindings::imports::log::Level;
use crate::plugin_host::contract::bindings::imports::net::NetError as GuestError;
use crate::plugin_host::engine::limits;
use crate::plugin_host::engine::memory::HostMemory;
use crate::plugin_host::recording::format::CallCost;
use crate::plugin_host::run::CpuMeter;
use crate::plugin_host::run::log::RunLog;

/// Names a credential of the service; the host takes it out and puts the credential in.
const AUTH: &str = "x-extrack-auth";

type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

/// The requests of one run.
pub(super) struct Requests {
    sender: Sender,
    access: Arc<Access>,
    log: Arc<RunLog>,
    deadline: Instant,
    cpu: Arc<CpuMeter>,
    /// Host calls of the run, without those counted here.
    pub(super) host_calls_before: u32,
    started: u32,
    /// Costs of requests that ended.
    ended: Arc<Mutex<Vec<CallCost>>>,
}

impl Requests {
    pub(super) fn new(
        access: &Arc<Access>,
        label: &RunLabel,
        log: &Arc<RunLog>,
        cpu: &Arc<CpuMeter>,
        deadline: Instant,
    ) -> Self {
        Self {
            sender: Sender::new(access, label),
            access: access.clone(),
            log: log.clone(),
            deadline,
            cpu: cpu.clone(),
            host_calls_before: 0,
            started: 0,
            ended: Arc::default(),
        }
    }

    pub(super) fn settle(&mut self, account: &mut Account) {
        account.host_calls += std::mem::take(&mut self.started);
        for cost in self
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            // Several may have waited at once: what the run waited is known from its idleness.
            account.charge(&CallCost {
                waited_us: 0,
                ..cost
            });
        }
    }

    /// The moment a request ends: its three time-outs together, if it has them all, and the run's
    /// in any case.
    fn deadline(&self, options: Option<RequestOptions>) -> Instant {
        let own = options.and_then(|options| {
            Some(
                options.connect_timeout?
                    + options.first_byte_timeout?
                    + options.between_bytes_timeout?,
            )
        });
        match own.and_then(|own| Instant::now().checked_add(own)) {
            Some(own) => own.min(self.deadline),
            None => self.deadline,
        }
    }
}

impl WasiHttpHooks for Requests {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        // The length follows from the body; languages set it all the same.
        Arc::new(|name| *name != http::header::CONTENT_LENGTH && is_forbidden(name.as_str()))
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        self.started += 1;
        if self.host_calls_before + self.started > self.access.grants.budget().host_calls {
            let failure = self.access.exceed(BudgetKey::HostCalls);
            self.log.write(Level::Warn, &failure.to_string());
            return Box::new(async { Err(Error::HttpRequestDenied) });
        }
        let (sender, log, ended) = (self.sender.clone(), self.log.clone(), self.ended.clone());
        let (access, cpu) = (self.access.clone(), self.cpu.clone());
        let deadline = self.deadline(options);
        Box::new(async move {
            let exchange = async {
                let request = to_request(request, &access);
                let request = timeout_at(deadline, request)
                    .await
                    .map_err(|_| Error::ConnectionWriteTimeout)??;
                // A replay that can't go on is reported when the run is over.
                sender
                    .send(request, deadline)
                    .await
                    .map_err(|_| Error::HttpRequestDenied)
            };
            let sent = cpu.measure_beside(exchange).await?;
            if let Err(error) = &sent.answer {
                // Most languages make one and the same error of all of these: here the reason can
                // be read.
                log.write(Level::Warn, text(error));
            }
            ended
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(sent.cost);
            let answer = sent
                .answer
                .map_err(|error| to_error(&error))
                .and_then(|answer| to_response(answer, sent.held));
            let nothing_left: Box<dyn Future<Output = _> + Send> = Box::new(async { Ok(()) });
            answer.map(|response| (response, nothing_left))
        })
    }
}

/// Turns a request of `wasi:http` into one of ours.
async fn to_request(request: http::Request<WasiBody>, access: &Access) -> Result<Request, Error> {
    let (parts, body) = request.into_parts();
    let mut headers = Vec::with_capacity(parts.headers.len());
    let mut auth = None;
    for (name, value) in &parts.headers {
        let value = value.to_str().map_err(|_| Error::HttpRequestHeaderSize {
            field_name: Some(name.to_string()),
            field_size: None,
        })?;
        match name.as_str() {
            AUTH => auth = Some(value.to_owned()),
            "content-length" | "host" => {}
            name => headers.push((name.to_owned(), Text::from(value.to_owned()))),
        }
    }
    let body = whole(body, access).await?;
    Ok(Request {
        method: parts.method.as_str().to_owned(),
        url: parts.uri.to_string().into(),
        headers,
        body: (!body.is_empty()).then(|| Body::Bytes(body.into())),
        timeout_ms: None,
        auth,
        basic_auth: None,
        signature: None,
        options: Vec::new(),
    })
}

/// Reads the whole body that the guest writes.
async fn whole(body: WasiBody, access: &Access) -> Result<Bytes, Error> {
    let mut body = Pin::from(Box::new(body));
    let mut bytes = BytesMut::new();
    let mut held = HostMemory::default();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > limits::TRANSFER_BYTES {
            return Err(Error::HttpRequestBodySize(Some(
                limits::TRANSFER_BYTES as u64,
            )));
        }
        access
            .holds_more(&mut held, bytes.len() + data.len())
            .map_err(|_| Error::HttpRequestDenied)?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// A body that was cut ends with an error, so that it is not taken for the whole.
fn to_response(response: Response, held: HostMemory) -> Result<http::Response<WasiBody>, Error> {
    let headers = to_headers(&response.headers);
    let trailers = to_headers(&response.trailers);
    let cut = response
        .truncated
        .then(|| Error::HttpResponseBodySize(Some(response.body.len() as u64)));
    let body = Full::new(Bytes::from(response.body));
    let body = body.map_err(|never| match never {}).with_trailers(async {
        // As long as the guest has not read it, its memory is in use.
        drop(held);
        let whole = (!trailers.is_empty()).then_some(Ok(trailers));
        cut.map(Err).or(whole)
    });
    let mut answer = http::Response::new(body.boxed_unsync());
    *answer.status_mut() =
        http::StatusCode::from_u16(response.status).map_err(|_| Error::HttpProtocolError)?;
    *answer.headers_mut() = headers;
    Ok(answer)
}

fn to_headers(texts: &[(String, String)]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(texts.len());
    for (name, value) in texts {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn to_error(error: &GuestError) -> Error {
    match error {
        GuestError::Dns(_) => Error::DnsError {
            rcode: None,
            info_code: None,
        },
        GuestError::Connect(_) => Error::ConnectionRefused,
        GuestError::Tls(_) => Error::TlsCertificateError,
        GuestError::Timeout(_) => Error::ConnectionTimeout,
        GuestError::Protocol(_) | GuestError::Other(_) => Error::HttpProtocolError,
        GuestError::Denied(_) => Error::HttpRequestDenied,
        GuestError::TooLarge(_) => Error::HttpResponseHeaderSectionSize(None),
    }
}

fn text(error: &GuestError) -> &str {
    match error {
        GuestError::Dns(text)
        | GuestError::Connect(text)
        | GuestError::Tls(text)
        | GuestError::Timeout(text)
        | GuestError::Protocol(text)
        | GuestError::Denied(text)
        | GuestError::TooLarge(text)
        | GuestError::Other(text) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &'static str) -> WasiBody {
        Full::new(Bytes::from_static(text.as_bytes()))
            .map_err(|never| match never {})
            .boxed_unsync()
    }

    #[tokio::test]
    async fn the_credential_is_named_by_a_header_that_does_not_leave() {
        let request = http::Request::post("https://api.example.com/v1?x=1")
            .header("X-Extrack-Auth", "default")
            .header("Content-Length", "4")
            .header("Accept", "text/plain")
            .body(body("body"))
            .unwrap();
        let request = to_request(request, &Access::default()).await.unwrap();
        assert_eq!(
            (request.method.as_str(), &*request.url.shown()),
            ("POST", "https://api.example.com/v1?x=1")
        );
        assert_eq!(request.auth.as_deref(), Some("default"));
        let [(name, value)] = &request.headers[..] else {
            panic!("{request:?}")
        };
        assert_eq!((name.as_str(), &*value.shown()), ("accept", "text/plain"));
        assert!(matches!(&request.body, Some(Body::Bytes(body)) if body == b"body"));
    }

    #[tokio::test]
    async fn a_request_without_body_has_none() {
        let request = to_request(
            http::Request::get("http://a.example/")
                .body(body(""))
                .unwrap(),
            &Access::default(),
        )
        .await
        .unwrap();
        assert!(request.body.is_none() && request.auth.is_none());
    }

    #[tokio::test]
    async fn a_body_over_the_cap_is_an_error() {
        let large = Full::new(Bytes::from(vec![0; limits::TRANSFER_BYTES + 1]))
            .map_err(|never| match never {});
        let request = http::Request::post("http://a.example/")
            .body(large.boxed_unsync())
            .unwrap();
        assert!(matches!(
            to_request(request, &Access::default()).await,
            Err(Error::HttpRequestBodySize(_))
        ));
    }
}
