//! Finds what a request brings to prove who it is.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::api::http::cookies::cookie;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    Token(&'a str),
    Cookie(&'a str),
}

impl<'a> Credential<'a> {
    /// A header is meant, a cookie comes along: the header wins, also when it is wrong.
    pub(super) fn from_headers(headers: &'a HeaderMap, https: bool) -> Option<Self> {
        match headers.get(AUTHORIZATION) {
            Some(value) => {
                let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
                let token = token.trim();
                (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
                    .then_some(Self::Token(token))
            }
            None => session_cookie(headers, https).map(Self::Cookie),
        }
    }
}

/// Returns the session cookie. Under `https` only the name that browsers bind to this host counts,
/// see [`super::session::cookie_name`]: the other could have been planted by a neighbouring host.
pub(super) fn session_cookie(headers: &HeaderMap, https: bool) -> Option<&str> {
    cookie(headers, super::session::cookie_name(https))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;
    use axum::http::header::COOKIE;

    use super::*;

    #[test]
    fn reads_the_header_or_the_cookie() {
        type Case = (
            bool,
            &'static [(HeaderName, &'static str)],
            Option<Credential<'static>>,
        );
        let table: &[Case] = &[
            (false, &[], None),
            (
                false,
                &[(AUTHORIZATION, "Bearer abc")],
                Some(Credential::Token("abc")),
            ),
            (
                false,
                &[(AUTHORIZATION, "bearer  abc ")],
                Some(Credential::Token("abc")),
            ),
            (false, &[(AUTHORIZATION, "Bearer ")], None),
            (false, &[(AUTHORIZATION, "Basic YTpi")], None),
            (
                false,
                &[(AUTHORIZATION, "Basic YTpi"), (COOKIE, "extrack_session=s")],
                None,
            ),
            (
                false,
                &[(COOKIE, "a=b; extrack_session=s; c=d")],
                Some(Credential::Cookie("s")),
            ),
            (
                false,
                &[(COOKIE, "a=b"), (COOKIE, "extrack_session=s")],
                Some(Credential::Cookie("s")),
            ),
            (false, &[(COOKIE, "xextrack_session=s")], None),
            (
                true,
                &[(COOKIE, "__Host-extrack_session=s")],
                Some(Credential::Cookie("s")),
            ),
            (
                true,
                &[(COOKIE, "extrack_session=planted; __Host-extrack_session=s")],
                Some(Credential::Cookie("s")),
            ),
            (true, &[(COOKIE, "extrack_session=planted")], None),
            (false, &[(COOKIE, "__Host-extrack_session=s")], None),
        ];
        for (https, headers, wanted) in table {
            let mut map = HeaderMap::new();
            for (name, value) in *headers {
                map.append(name, value.parse().unwrap());
            }
            assert_eq!(
                Credential::from_headers(&map, *https),
                *wanted,
                "{headers:?}"
            );
        }
    }
}
