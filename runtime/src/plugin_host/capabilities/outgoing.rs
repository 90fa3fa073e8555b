//! One HTTP request of a guest: what it may write, the credential it names, and the answer without
//! secrets. Everything that speaks HTTP for a guest comes through here.

use std::borrow::Cow;
use std::time::Duration;

use crate::domain::{CredentialKind, now_ms};
use crate::net::{HttpRequest, HttpResponse, Net, NetFailure, Permission, is_connection_header};
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::policy::credentials::{Login, bearer, choose, inject};
use crate::plugin_host::policy::secrets::SealedSettings;

/// Network, permission and service of a request.
pub(in crate::plugin_host) struct RequestScope<'a> {
    pub(in crate::plugin_host) net: &'a Net,
    pub(in crate::plugin_host) permission: &'a Permission,
    /// Slug.
    pub(in crate::plugin_host) service: Option<&'a str>,
}

/// Checks a request. Headers that frame or route a message are the host's; a line break anywhere
/// could make two messages of one.
pub(in crate::plugin_host) fn check<'a>(
    method: &str,
    url: &str,
    headers: impl IntoIterator<Item = (&'a str, Cow<'a, str>)>,
) -> Result<(), NetFailure> {
    if has_control(method) || method.contains('\t') {
        return Err(broken("the method"));
    }
    if has_control(url) || url.contains('\t') {
        return Err(broken("the URL"));
    }
    headers
        .into_iter()
        .try_for_each(|(name, value)| check_header(name, &value))
}

/// Checks one header that a guest names.
pub(in crate::plugin_host) fn check_header(name: &str, value: &str) -> Result<(), NetFailure> {
    if has_control(name) || name.contains('\t') {
        return Err(broken("the name of a header"));
    }
    if is_forbidden(name) {
        return Err(NetFailure::denied(format!(
            "header `{name}` is set by the host, not by plugins"
        )));
    }
    if has_control(value) {
        return Err(broken(&format!("header `{name}`")));
    }
    Ok(())
}

fn has_control(text: &str) -> bool {
    text.chars()
        .any(|character| character.is_control() && character != '\t')
}

fn broken(place: &str) -> NetFailure {
    NetFailure::denied(format!(
        "{place} holds a line break or another control character, which is never sent"
    ))
}

/// Headers that no guest sets, in any case.
pub(in crate::plugin_host) fn is_forbidden(name: &str) -> bool {
    ["host", "content-length"]
        .iter()
        .any(|header| name.eq_ignore_ascii_case(header))
        || is_connection_header(name)
        || name
            .get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case("proxy-"))
}

/// Sends it with the credential `auth`, if there is one. A token that the service does not take is
/// renewed once; of the two answers, the account knows the second only.
pub(in crate::plugin_host) async fn send(
    access: &Access,
    scope: RequestScope<'_>,
    call: HttpRequest,
    auth: Option<&str>,
) -> Result<HttpResponse, NetFailure> {
    let mut answer = match auth {
        Some(name) => send_with(access, &scope, call, name).await?,
        None => scope.net.http(scope.permission, call).await?,
    };
    redact(&access.secrets, &mut answer);
    Ok(answer)
}

async fn send_with(
    access: &Access,
    scope: &RequestScope<'_>,
    mut call: HttpRequest,
    name: &str,
) -> Result<HttpResponse, NetFailure> {
    const UNAUTHORIZED: u16 = 401;
    let credential = choose(&access.credentials, &access.scope, name, &call.url)?;
    if let Some(service) = scope.service {
        access.credential_cache.uses.note(service, name, now_ms());
    }
    let CredentialKind::OAuth2(oauth) = &credential.kind else {
        inject(
            &mut call,
            credential,
            &access.secrets,
            &access.credential_cache,
        )?;
        return scope.net.http(scope.permission, call).await;
    };
    let RequestScope {
        net,
        permission,
        service,
    } = *scope;
    let service = service.unwrap_or_default();
    let login = Login {
        net,
        oauth,
        name,
        service,
        allow_private: permission.allow_private.clone(),
    };
    let deadline = call.deadline;
    for secret in login.secrets() {
        access.secrets.protect(secret);
    }
    let token = access.credential_cache.token(&login, deadline).await?;
    let mut again = call.clone();
    bearer(&mut call, name, token.value(), &access.secrets)?;
    let answer = net.http(permission, call).await?;
    if answer.status != UNAUTHORIZED {
        token.note_taken();
        return Ok(answer);
    }
    let Some(token) = access
        .credential_cache
        .renewed(&login, &token, Duration::ZERO, deadline)
        .await?
    else {
        return Ok(answer);
    };
    bearer(&mut again, name, token.value(), &access.secrets)?;
    let answer = net.http(permission, again).await?;
    let is_taken = answer.status != UNAUTHORIZED;
    if is_taken {
        token.note_taken();
    }
    access
        .credential_cache
        .judge(&login, is_taken, deadline)
        .await;
    Ok(answer)
}

/// Removes secrets from an answer, and corrects its length.
fn redact(secrets: &SealedSettings, answer: &mut HttpResponse) {
    let headers = answer.headers.iter_mut().chain(&mut answer.trailers);
    secrets.redact_all(headers.map(|(_, value)| value));
    let length = answer.body.len();
    answer.body = secrets.redact_body(std::mem::take(&mut answer.body), answer.truncated);
    // The length of a body that was cut off is the whole one's.
    if answer.body.len() != length && !answer.truncated {
        for (_, value) in answer
            .headers
            .iter_mut()
            .filter(|(name, _)| name == "content-length")
        {
            *value = answer.body.len().to_string();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_no_secret_in_its_headers_its_body_or_its_trailers() {
        let secrets = SealedSettings::default();
        secrets.protect("s3cret-k3y");
        let sent = || vec![("x-key".to_owned(), "s3cret-k3y".to_owned())];
        let mut answer = HttpResponse {
            status: 200,
            version: "HTTP/2",
            headers: sent(),
            body: "got s3cret-k3y".into(),
            trailers: sent(),
            truncated: false,
            unread: None,
            is_end_unproven: false,
            received_bytes: 14,
            phases: Default::default(),
            total_us: 1,
            peer: ([127, 0, 0, 1], 443).into(),
            certificate: None,
        };
        redact(&secrets, &mut answer);
        let hidden = [("x-key".to_owned(), "***".to_owned())];
        assert_eq!(answer.headers, hidden);
        assert_eq!(answer.trailers, hidden);
        assert_eq!(answer.body, "got ***");
    }

    #[test]
    fn guests_set_no_header_of_the_connection_and_break_no_line() {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        for (method, url, headers, wanted) in [
            ("GET", "http://a.example/x?y#z", pair("X-Key", "a\tb"), true),
            (
                "GET",
                "http://a.example/",
                pair("authorization", "Bearer x"),
                true,
            ),
            ("GET", "http://a.example/", pair("proxied", "x"), true),
            ("GET", "http://a.example/", pair("HOST", "b.example"), false),
            (
                "GET",
                "http://a.example/",
                pair("content-Length", "0"),
                false,
            ),
            (
                "GET",
                "http://a.example/",
                pair("Transfer-Encoding", "chunked"),
                false,
            ),
            (
                "GET",
                "http://a.example/",
                pair("Transfer-Encoding\t", "chunked"),
                false,
            ),
            ("GET", "http://a.example/", pair("te", "trailers"), false),
            ("GET", "http://a.example/", pair("trailer", "x"), false),
            ("GET", "http://a.example/", pair("upgrade", "h2c"), false),
            (
                "GET",
                "http://a.example/",
                pair("connection", "close"),
                false,
            ),
            ("GET", "http://a.example/", pair("keep-alive", "x"), false),
            (
                "GET",
                "http://a.example/",
                pair("expect", "100-continue"),
                false,
            ),
            (
                "GET",
                "http://a.example/",
                pair("Proxy-Anything", "x"),
                false,
            ),
            (
                "GET",
                "http://a.example/",
                pair("x-key", "a\r\nhost: b"),
                false,
            ),
            ("GET", "http://a.example/", pair("x-key", "a\nb"), false),
            ("GET", "http://a.example/", pair("x-key", "a\0b"), false),
            (
                "GET",
                "http://a.example/",
                pair("x-key\r\nhost", "b"),
                false,
            ),
            ("GET", "http://a.example/", pair("x-key", "a\u{85}b"), false),
            (
                "GET / HTTP/1.1\r\nhost: b\r\n\r\nGET",
                "http://a.example/",
                vec![],
                false,
            ),
            (
                "GET",
                "http://a.example/ HTTP/1.1\r\nhost: b",
                vec![],
                false,
            ),
            ("GET", "http://a.exa\tmple/", vec![], false),
        ] {
            let pairs = headers
                .iter()
                .map(|(name, value)| (name.as_str(), Cow::from(value)));
            let answer = check(method, url, pairs);
            assert_eq!(answer.is_ok(), wanted, "{method:?} {url:?} {headers:?}");
            if let Err(failure) = answer {
                assert!(
                    matches!(failure.error, crate::net::NetError::Denied(_)),
                    "{failure:?}"
                );
            }
        }
    }
}
