//! The request as it goes out: what the caller wrote, checked, and what the host adds.

use bytes::Bytes;
use http::header::{
    CONNECTION as CONNECTION_HEADER, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    USER_AGENT,
};
use http::{Method, Request, Uri};
use http_body_util::Full;
use url::{Host, Url};

use super::{HttpRequest, MAX_HEADERS, encoding};
use crate::net::failure::NetError;
use crate::net::host_text::{parse_host, split_port};
use crate::net::policy::Permission;

const AGENT: &str = concat!("extrack/", env!("CARGO_PKG_VERSION"));

/// Headers about the connection and about how the message is carried over it (RFC 9110, 7.6.1): it
/// is ours. In lower case.
const CONNECTION: [&str; 12] = [
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// True for headers that no caller may set, in any case; `Host` and `Content-Length` are judged
/// apart.
pub fn is_connection_header(name: &str) -> bool {
    CONNECTION
        .iter()
        .any(|header| name.eq_ignore_ascii_case(header))
}

#[derive(Debug)]
pub(super) struct Head {
    method: Method,
    url: Url,
    headers: HeaderMap,
    wants_trailers: bool,
}

impl Head {
    /// `url` is the parsed form of the request's.
    pub(super) fn new(
        request: &HttpRequest,
        url: &Url,
        permission: &Permission,
    ) -> Result<Self, NetError> {
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| NetError::Protocol(format!("`{}` is not a method", request.method)))?;
        if method == Method::CONNECT {
            return Err(NetError::Denied(
                "method `CONNECT` opens tunnels, which can't be used".to_owned(),
            ));
        }
        if request.headers.len() > MAX_HEADERS {
            return Err(NetError::TooLarge(format!(
                "the request has more than {MAX_HEADERS} headers"
            )));
        }
        let mut headers = HeaderMap::with_capacity(request.headers.len() + 2);
        for (name, value) in &request.headers {
            let (name, mut value) = header(name, value)?;
            // Any of them may hold a secret: kept out of tables of compression and of what is
            // printed.
            value.set_sensitive(true);
            if is_connection_header(name.as_str()) {
                return Err(NetError::Protocol(format!(
                    "header `{name}` belongs to the connection; leave it out"
                )));
            }
            match name {
                // Follows from the body.
                CONTENT_LENGTH => {}
                HOST => {
                    check_host_header(&value, url, permission)?;
                    headers.insert(HOST, value);
                }
                name => {
                    headers.append(name, value);
                }
            }
        }
        if request.decompress {
            encoding::accept(&mut headers);
        }
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(AGENT));
        Ok(Self {
            method,
            url: url.clone(),
            headers,
            wants_trailers: request.trailers,
        })
    }

    /// HTTP/1 wants the path and a `Host`, HTTP/2 the whole URL.
    pub(super) fn into_request(
        mut self,
        http2: bool,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, NetError> {
        let authority = match self.url.port() {
            Some(port) => format!("{}:{port}", self.url.host_str().unwrap_or_default()),
            None => self.url.host_str().unwrap_or_default().to_owned(),
        };
        let path = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let target = if http2 {
            let host = self.headers.remove(HOST);
            let authority = host
                .as_ref()
                .and_then(|host| host.to_str().ok())
                .unwrap_or(&authority);
            format!("{}://{authority}{path}", self.url.scheme())
        } else {
            let host = HeaderValue::from_str(&authority).map_err(|_| {
                NetError::Protocol(format!("`{authority}` can't stand in a `Host` header"))
            })?;
            self.headers.entry(HOST).or_insert(host);
            if self.wants_trailers {
                // It concerns this connection alone (RFC 9110, 10.1.4).
                self.headers
                    .insert(CONNECTION_HEADER, HeaderValue::from_static("te"));
            }
            path
        };
        if self.wants_trailers {
            self.headers
                .insert(TE, HeaderValue::from_static("trailers"));
        }
        let uri = target
            .parse::<Uri>()
            .map_err(|error| NetError::Protocol(format!("the URL can't be sent: {error}")))?;
        // Some servers answer 411 without it (RFC 9110, 8.6).
        if body.is_empty() && matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
            self.headers
                .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers;
        Ok(request)
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), NetError> {
    let wrong =
        |what: &str| NetError::Protocol(format!("header `{name}` has a {what} that can't be sent"));
    Ok((
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("name"))?,
        HeaderValue::from_str(value).map_err(|_| wrong("value"))?,
    ))
}

/// Checks a `Host` that the caller wrote: many sites share one address, so it must be allowed too,
/// unless the URL names a bare address.
fn check_host_header(
    value: &HeaderValue,
    url: &Url,
    permission: &Permission,
) -> Result<(), NetError> {
    let text = value.to_str().unwrap_or_default();
    let (host, port) = split_port(text)?;
    let host = parse_host(host)?;
    match url.host() {
        Some(Host::Domain(_)) => {
            let port = port.or(url.port_or_known_default()).unwrap_or_default();
            permission.check_host(&host, port)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::net::HostRule;

    fn head(url: &str, headers: &[(&str, &str)]) -> Result<Head, NetError> {
        let permission = Permission {
            hosts: ["a.example", "b.example", "127.0.0.1"]
                .map(|host| HostRule::parse(host).unwrap())
                .to_vec(),
            public_hosts: Vec::new(),
            allow_private: true.into(),
            private_remedy: Permission::OPEN_IN_FILES,
            subject: "a test".to_owned(),
            setting: "nothing".to_owned(),
        };
        let mut request = HttpRequest::new("GET", url, Instant::now());
        request.headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Head::new(&request, &Url::parse(url).unwrap(), &permission)
    }

    #[test]
    fn host_and_target_suit_the_version() {
        for (url, http1, http2) in [
            (
                "http://a.example/x?y=1#z",
                ("a.example", "/x?y=1"),
                "http://a.example/x?y=1",
            ),
            (
                "https://A.example:443",
                ("a.example", "/"),
                "https://a.example/",
            ),
            (
                "http://a.example:8080/",
                ("a.example:8080", "/"),
                "http://a.example:8080/",
            ),
        ] {
            let request = head(url, &[])
                .unwrap()
                .into_request(false, Bytes::new())
                .unwrap();
            assert_eq!(
                (
                    request.headers()[HOST].to_str().unwrap(),
                    request.uri().to_string().as_str()
                ),
                http1
            );
            assert_eq!(request.headers()[USER_AGENT], AGENT);
            let request = head(url, &[])
                .unwrap()
                .into_request(true, Bytes::new())
                .unwrap();
            assert_eq!(request.uri().to_string(), http2);
            assert!(!request.headers().contains_key(HOST));
        }
        let request = head("http://[::1]:81/", &[("Host", "x.example")])
            .unwrap()
            .into_request(false, Bytes::new());
        assert_eq!(request.unwrap().headers()[HOST], "x.example");
    }

    #[test]
    fn headers_of_the_connection_are_refused() {
        for (name, value, wanted) in [
            ("X-Key", "v", true),
            ("user-agent", "mine", true),
            ("Content-Length", "999", true),
            ("Host", "b.example", true),
            ("Host", "c.example", false),
            ("Connection", "close", false),
            ("Transfer-Encoding", "chunked", false),
            ("Te", "trailers", false),
            ("TRAILER", "X-Key", false),
            ("Expect", "100-continue", false),
            ("Proxy-Authorization", "Basic eDp5", false),
            ("keep-alive", "timeout=5", false),
            ("Upgrade", "h2c", false),
            ("X-Key", "v\0", false),
            ("X-Key\r\nX-Other", "v", false),
            ("X-Key:", "v", false),
            ("", "v", false),
            ("X Key", "v", false),
            ("X-Key", "v\r\nX-Other: w", false),
        ] {
            let answer = head("http://a.example/", &[(name, value)]);
            assert_eq!(answer.is_ok(), wanted, "{name}: {value}");
            if let Ok(head) = answer {
                assert!(!head.headers.contains_key(CONTENT_LENGTH));
            }
        }
    }
}
