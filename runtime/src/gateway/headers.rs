//! Headers on their way through: framing that two servers could read in two ways is refused, and
//! what belongs to one connection stays on it (RFC 9110, 7.6.1).

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderMap, HeaderName,
    HeaderValue, SET_COOKIE, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, Version};

/// Headers of one connection.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Headers about the way to us, which are no business of the vendor's.
const OF_THE_WAY: [&str; 7] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-start",
];

/// Headers by which a vendor would speak for our own origin.
const OF_THE_ORIGIN: [&str; 4] = [
    "alt-svc",
    "clear-site-data",
    "service-worker-allowed",
    "strict-transport-security",
];

/// Cookies of the dashboard.
const OUR_COOKIES: [&str; 2] = ["extrack_session", "__Host-extrack_session"];

/// Refuses a request whose end, or whose host, can be read in more than one way.
pub(super) fn framing_check(parts: &Parts) -> Result<(), &'static str> {
    let headers = &parts.headers;
    let count = |name: &HeaderName| headers.get_all(name).iter().count();
    if count(&HOST) > 1 {
        return Err("the request has more than one `Host`");
    }
    if count(&CONTENT_LENGTH) > 1 {
        return Err("the request has more than one `Content-Length`");
    }
    if let Some(length) = headers.get(CONTENT_LENGTH)
        && (length.is_empty() || !length.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return Err("the `Content-Length` is not a number");
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        if count(&CONTENT_LENGTH) > 0 {
            return Err("the request has both `Content-Length` and `Transfer-Encoding`");
        }
        let is_chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
        if count(&TRANSFER_ENCODING) > 1 || !headers.get(TRANSFER_ENCODING).is_some_and(is_chunked)
        {
            return Err("the `Transfer-Encoding` is not `chunked` alone");
        }
        if parts.version < Version::HTTP_11 {
            return Err("HTTP/1.0 has no `Transfer-Encoding`");
        }
    }
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers
            .get(CONTENT_LENGTH)
            .is_some_and(|length| length.as_bytes() != b"0");
    if upgrade(parts).is_some() && has_body {
        return Err("a request to upgrade has a body");
    }
    Ok(())
}

/// Returns the protocol that a request asks to go over to, by HTTP/1.1.
pub(super) fn upgrade(parts: &Parts) -> Option<HeaderValue> {
    let asked = parts.headers.get(UPGRADE)?;
    let is_named = named_by_connection(&parts.headers).any(|name| name == UPGRADE);
    let is_http2 = asked.as_bytes().to_ascii_lowercase().starts_with(b"h2c");
    let is_possible = parts.version == Version::HTTP_11 && parts.method == Method::GET;
    (is_named && is_possible && !is_http2).then(|| asked.clone())
}

fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
}

/// Takes out what belongs to the connection that a message came by.
pub(super) fn strip_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = named_by_connection(headers).collect();
    for name in named {
        // A message keeps its own length and type, whatever the connection names.
        if name != CONTENT_LENGTH && name != CONTENT_TYPE {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Makes the headers of a request those that go to the vendor.
pub(super) fn for_vendor(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    let takes_trailers = headers
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|word| word.trim() == "trailers"));
    strip_connection(headers);
    for name in OF_THE_WAY {
        headers.remove(name);
    }
    headers.remove(HOST);
    // The body is asked for as soon as it is passed on.
    headers.remove(EXPECT);
    strip_cookies(headers);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
}

/// Takes the dashboard's cookies out, which a browser sends along, and puts the others into one
/// header: HTTP/2 may send one for each (RFC 9113, 8.2.3), HTTP/1.1 knows one alone.
fn strip_cookies(headers: &mut HeaderMap) {
    let is_ours = |pair: &[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        let name = name.trim_ascii();
        OUR_COOKIES.iter().any(|ours| ours.as_bytes() == name)
    };
    let mut kept: Vec<&[u8]> = Vec::new();
    let (mut count, mut has_ours) = (0, false);
    for value in headers.get_all(COOKIE) {
        count += 1;
        for pair in value.as_bytes().split(|byte| *byte == b';') {
            if is_ours(pair) {
                has_ours = true;
            } else {
                kept.push(pair.trim_ascii());
            }
        }
    }
    if count < 2 && !has_ours {
        return;
    }
    kept.retain(|pair| !pair.is_empty());
    let kept = HeaderValue::from_bytes(&kept.join(&b"; "[..]));
    headers.remove(COOKIE);
    if let Ok(kept) = kept
        && !kept.is_empty()
    {
        headers.insert(COOKIE, kept);
    }
}

/// Makes the headers of an answer those that go to the client. `is_our_origin`: it is served below
/// `/gateway/`, beside the dashboard, where no page of a vendor may run.
pub(super) fn for_client(headers: &mut HeaderMap, is_our_origin: bool) {
    strip_connection(headers);
    for name in OF_THE_ORIGIN {
        headers.remove(name);
    }
    if !is_our_origin {
        return;
    }
    let cookies: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for cookie in cookies {
        let starts = |name: &&str| cookie.as_bytes().starts_with(name.as_bytes());
        if !OUR_COOKIES.iter().any(starts) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    headers.append(
        "content-security-policy",
        HeaderValue::from_static("sandbox"),
    );
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(version: Version, headers: &[(&'static str, &'static str)]) -> Parts {
        let mut request = Request::new(());
        *request.version_mut() = version;
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        request.into_parts().0
    }

    #[test]
    fn framing_that_two_servers_read_in_two_ways_is_refused() {
        for headers in [
            &[("content-length", "4"), ("transfer-encoding", "chunked")][..],
            &[
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "identity"),
            ],
            &[("transfer-encoding", "xchunked")],
            &[("transfer-encoding", "chunked, chunked")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("content-length", "4"), ("content-length", "4")],
            &[("content-length", "+4")],
            &[("content-length", "4, 4")],
            &[("host", "a"), ("host", "b")],
            &[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("content-length", "4"),
            ],
            &[
                ("connection", "upgrade"),
                ("upgrade", "x"),
                ("transfer-encoding", "chunked"),
            ],
        ] {
            let refused = framing_check(&parts(Version::HTTP_11, headers));
            assert!(refused.is_err(), "{headers:?}");
        }
        let old = parts(Version::HTTP_10, &[("transfer-encoding", "chunked")]);
        assert!(framing_check(&old).is_err());
        for headers in [
            &[("content-length", "4")][..],
            &[("transfer-encoding", "Chunked")],
            &[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("content-length", "0"),
            ],
            &[],
        ] {
            assert_eq!(
                framing_check(&parts(Version::HTTP_11, headers)),
                Ok(()),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn what_belongs_to_a_connection_stays_on_it() {
        let mut headers = parts(
            Version::HTTP_11,
            &[
                ("host", "gateway"),
                ("connection", "keep-alive, X-Hop, Content-Length"),
                ("keep-alive", "timeout=5"),
                ("x-hop", "1"),
                ("te", "trailers, deflate"),
                ("transfer-encoding", "chunked"),
                ("proxy-authorization", "x"),
                ("expect", "100-continue"),
                ("x-forwarded-for", "10.0.0.7"),
                ("content-length", "4"),
                ("cookie", "a=1; extrack_session=s3cret; b=2"),
                ("cookie", "c=3=;__Host-extrack_session=s3cret"),
                ("x-kept", "yes"),
            ],
        )
        .headers;
        for_vendor(&mut headers, None);
        let mut left: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                "content-length: 4",
                "cookie: a=1; b=2; c=3=",
                "te: trailers",
                "x-kept: yes"
            ]
        );
    }

    #[test]
    fn only_http_1_1_goes_over_and_only_when_the_connection_names_it() {
        let asks = |version, headers: &[_]| upgrade(&parts(version, headers)).is_some();
        let both = [
            ("connection", "Keep-Alive, Upgrade"),
            ("upgrade", "websocket"),
        ];
        assert!(asks(Version::HTTP_11, &both));
        assert!(!asks(Version::HTTP_10, &both));
        assert!(!asks(Version::HTTP_11, &both[1..]));
        let http2 = [
            ("connection", "upgrade, http2-settings"),
            ("upgrade", "h2c"),
        ];
        assert!(!asks(Version::HTTP_11, &http2));
    }

    #[test]
    fn a_vendor_does_not_speak_for_our_origin() {
        let answer = [
            ("strict-transport-security", "max-age=1"),
            ("clear-site-data", "*"),
            ("set-cookie", "extrack_session=x"),
            ("set-cookie", "theirs=1"),
            ("connection", "close"),
        ];
        let mut headers = parts(Version::HTTP_11, &answer).headers;
        for_client(&mut headers, true);
        assert_eq!(headers.get_all("set-cookie").iter().count(), 1);
        assert_eq!(headers["content-security-policy"], "sandbox");
        assert_eq!(headers.len(), 3);
    }
}
