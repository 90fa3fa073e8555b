//! Recognises requests of the dashboard's own pages by the headers of browsers (`Sec-Fetch-Site`,
//! `Origin`).

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Reports whether the browser marks the request as of the same origin; without a mark it is not.
pub(crate) fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or("unreadable"))
    };
    if let Some(site) = text(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let (Some(origin), Some(host)) = (text(ORIGIN.as_str()), text(HOST.as_str())) else {
        return false;
    };
    origin.split_once("://").is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https") && rest.eq_ignore_ascii_case(host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_may_change_things() {
        let table: &[(&[(&str, &str)], bool)] = &[
            (&[], false),
            (&[("host", "x.org")], false),
            (&[("sec-fetch-site", "same-origin")], true),
            (
                &[
                    ("sec-fetch-site", "same-site"),
                    ("origin", "http://x.org"),
                    ("host", "x.org"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (
                &[("origin", "http://x.org:8080"), ("host", "x.org:8080")],
                true,
            ),
            (&[("origin", "https://x.org"), ("host", "X.org")], true),
            (&[("origin", "http://x.org:8080"), ("host", "x.org")], false),
            (&[("origin", "http://evil.org"), ("host", "x.org")], false),
            (&[("origin", "null"), ("host", "x.org")], false),
        ];
        for (headers, wanted) in table {
            let mut map = HeaderMap::new();
            for (name, value) in *headers {
                map.insert(
                    axum::http::HeaderName::from_static(name),
                    value.parse().unwrap(),
                );
            }
            assert_eq!(is_same_origin(&map), *wanted, "{headers:?}");
        }
    }
}
