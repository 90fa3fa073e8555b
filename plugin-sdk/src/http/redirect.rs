//! Redirects: the next request after an answer that leads elsewhere, as browsers make it (Fetch
//! standard, HTTP-redirect fetch), with a narrower idea of what may come along to another origin.

use super::draft::Draft;
use super::text::Text;
use crate::url;
use crate::wit::http as wit;

/// Options that do not identify the sender.
const HARMLESS: [&str; 7] = [
    "insecure",
    "max-body-bytes",
    "decompress",
    "text",
    "http2",
    "trailers",
    "rate-limits",
];
/// Words in the names of headers that prove who asks.
const PRIVATE_WORDS: [&str; 10] = [
    "auth",
    "cookie",
    "token",
    "key",
    "secret",
    "password",
    "session",
    "credential",
    "signature",
    "csrf",
];

pub(super) fn target(url: &str, response: &wit::Response) -> Option<String> {
    if ![301, 302, 303, 307, 308].contains(&response.status) {
        return None;
    }
    let location = super::header(&response.headers, "location")?;
    // Where it is no URL, the host rejects the next request.
    Some(url::resolve(url, location).unwrap_or_else(|_| location.to_owned()))
}

/// Turns a request into the one for the next hop.
pub(super) fn follow(request: &mut Draft, target: String, status: u16) {
    let is_post = request.method.eq_ignore_ascii_case("POST");
    let keeps_method =
        request.method.eq_ignore_ascii_case("GET") || request.method.eq_ignore_ascii_case("HEAD");
    let is_other = !is_same_place(&request.url.shown(), &target);
    if is_other {
        request.auth = None;
        request.basic_auth = None;
        request.signature = None;
        request
            .options
            .retain(|option| HARMLESS.contains(&option.key.as_str()));
        request
            .headers
            .retain(|(name, value)| !is_private(name, value));
    }
    let becomes_get = (status == 303 && !keeps_method) || (matches!(status, 301 | 302) && is_post);
    if becomes_get {
        request.method = "GET".to_owned();
    }
    if becomes_get || is_other {
        request.body = None;
        request
            .headers
            .retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
    }
    request.url = target.into();
}

/// The same origin, or the same host one step safer: `https` at its usual port in the place of
/// `http` at its own.
fn is_same_place(from: &str, to: &str) -> bool {
    let (Some(from), Some(to)) = (url::origin(from), url::origin(to)) else {
        return false;
    };
    let safer = from
        .strip_prefix("http://")
        .and_then(|rest| rest.strip_suffix(":80"));
    from == to || safer.is_some_and(|host| to == format!("https://{host}:443"))
}

fn is_private(name: &str, value: &Text) -> bool {
    let name = name.to_ascii_lowercase();
    value.has_secret() || PRIVATE_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{self, Request};
    use crate::settings::{Secret, Setting};

    fn request() -> Request {
        let secret = Secret::from_json(r#"{"$secret": "/key"}"#).unwrap();
        http::post("https://a.example/in")
            .json_with(&serde_json::json!({}), &[("/key", &secret)])
            .header("content-language", "en")
            .auth("default")
            .basic_auth("me", &secret)
            .sign_standard_webhooks("1", &secret)
            .insecure()
            .decompress()
            .text()
            .http2()
            .trailers()
            .server_name("inner.example")
            .header("Authorization", "Bearer x")
            .header("Cookie", "a=1")
            .header("X-Api-Key", "plain")
            .header("PRIVATE-TOKEN", "plain")
            .header("x-custom", &secret)
            .header("accept", "text/html")
    }

    #[test]
    fn nothing_that_proves_who_asks_goes_to_another_origin() {
        for target in [
            "https://b.example/in",
            "https://a.example:8443/in",
            "http://a.example/in",
            "https://a.example.evil/in",
            "https://evil.example/@a.example",
        ] {
            for status in [301, 302, 303, 307, 308] {
                let mut request = request().draft;
                follow(&mut request, target.to_owned(), status);
                assert_eq!(request.auth, None, "{target} {status}");
                assert!(
                    request.basic_auth.is_none() && request.signature.is_none(),
                    "{target} {status}"
                );
                assert!(request.body.is_none(), "{target} {status}");
                assert_eq!(
                    request.headers,
                    [("accept".to_owned(), "text/html".into())],
                    "{target} {status}"
                );
                let options: Vec<&str> = request
                    .options
                    .iter()
                    .map(|option| option.key.as_str())
                    .collect();
                let kept = ["insecure", "decompress", "text", "http2", "trailers"];
                assert_eq!(options, kept, "{target} {status}");
            }
        }
    }

    #[test]
    fn everything_stays_within_an_origin_and_on_the_way_to_https() {
        for (from, target) in [
            ("https://a.example/in", "https://A.example:443/other"),
            ("http://a.example/in", "https://a.example/in"),
            ("http://a.example:8080/in", "http://a.example:8080/"),
        ] {
            let mut request = request().draft;
            request.url = from.into();
            let before = (
                request.auth.clone(),
                request.body.is_some(),
                request.basic_auth.is_some() && request.signature.is_some(),
                request.headers.len(),
                request.options.len(),
            );
            follow(&mut request, target.to_owned(), 308);
            let after = (
                request.auth.clone(),
                request.body.is_some(),
                request.basic_auth.is_some() && request.signature.is_some(),
                request.headers.len(),
                request.options.len(),
            );
            assert_eq!(before, after, "{from} {target}");
            assert_eq!(
                (request.method.as_str(), request.url.shown().as_str()),
                ("POST", target)
            );
        }
        for (from, target) in [
            ("http://a.example:8080/", "https://a.example/"),
            ("http://a.example/", "https://a.example:8443/"),
        ] {
            assert!(!is_same_place(from, target), "{from} {target}");
        }
    }

    #[test]
    fn a_body_stays_behind_where_the_method_changes() {
        let mut request = request().draft;
        follow(&mut request, "https://a.example/done".to_owned(), 302);
        assert!(request.method == "GET" && request.body.is_none());
        assert!(
            request
                .headers
                .iter()
                .all(|(name, _)| name != "content-language")
        );
        assert_eq!(request.auth.as_deref(), Some("default"));
    }
}
