//! Secrets that a sender of webhooks sends as they are, in a header, the query or the path. The
//! guest gets `***` in their place, and asks `signatures.verify-sent` whether the right one was
//! sent: the host compares with the delivery as it came.

use std::borrow::Cow;

use extrack_signatures::same;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;

use crate::domain::WebhookRequest;
use crate::plugin_host::policy::secrets::SealedSettings;

/// Text in the place of a secret. Nothing is ever put back into it.
const MASK: &str = "***";

/// The parts of a delivery that can hold a secret, as they came.
#[derive(Debug, Default)]
pub(in crate::plugin_host) struct SentParts {
    headers: Vec<(String, String)>,
    query: String,
    path: String,
}

impl SentParts {
    /// Takes the secrets of the settings out of a request. Its body stays as it is: a signature
    /// goes over its bytes.
    pub(in crate::plugin_host) fn take_out(
        request: &mut WebhookRequest,
        sealed: &SealedSettings,
    ) -> Self {
        let sent = Self {
            headers: request.headers.clone(),
            query: request.query.clone(),
            path: request.path.clone(),
        };
        for (_, value) in &mut request.headers {
            // `Authorization: Bearer SECRET` and `Authorization: SECRET`.
            let start = last_word(value);
            if is_secret(&value.as_bytes()[start..], sealed) {
                value.replace_range(start.., MASK);
            } else if is_secret(value.as_bytes(), sealed) {
                *value = MASK.to_owned();
            }
        }
        request.query = masked(&request.query, '&', sealed, |part| {
            part.find('=').map_or(0, |equals| equals + 1)
        });
        request.path = masked(&request.path, '/', sealed, |_| 0);
        sent
    }

    /// Whether a header has this value, alone or as its last word; none without such a header.
    pub(in crate::plugin_host) fn has_header(&self, name: &str, secret: &str) -> Option<bool> {
        let values = self
            .headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value);
        any(values.map(|value| {
            is_same(secret, value.as_bytes())
                | is_same(secret, &value.as_bytes()[last_word(value)..])
        }))
    }

    /// Whether a parameter of the query has this value; none without such a parameter.
    pub(in crate::plugin_host) fn has_parameter(&self, name: &str, secret: &str) -> Option<bool> {
        let pairs = self
            .query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .filter(|(key, _)| form_decoded(key) == name.as_bytes());
        any(pairs.map(|(_, value)| {
            is_same(secret, &form_decoded(value)) | is_same(secret, &percent_decoded(value))
        }))
    }

    /// Whether a segment of the path has this value.
    pub(in crate::plugin_host) fn has_segment(&self, secret: &str) -> bool {
        let segments = self.path.split('/').map(percent_decoded);
        any(segments.map(|segment| is_same(secret, &segment))).unwrap_or(false)
    }
}

/// Compares each, so that the time does not show which one was right.
fn any(found: impl Iterator<Item = bool>) -> Option<bool> {
    found.fold(None, |before, found| Some(before.unwrap_or(false) | found))
}

fn is_same(secret: &str, sent: &[u8]) -> bool {
    same(secret.as_bytes(), sent).is_ok()
}

fn is_secret(sent: &[u8], sealed: &SealedSettings) -> bool {
    let secrets = sealed
        .values()
        .map(ExposeSecret::expose_secret)
        .filter(|secret| !secret.is_empty());
    any(secrets.map(|secret| is_same(secret, sent))).unwrap_or(false)
}

fn masked(
    text: &str,
    separator: char,
    sealed: &SealedSettings,
    start: impl Fn(&str) -> usize,
) -> String {
    let parts = text.split(separator).map(|part| {
        let (key, value) = part.split_at(start(part));
        let is_secret =
            is_secret(&percent_decoded(value), sealed) || is_secret(&form_decoded(value), sealed);
        if is_secret {
            format!("{key}{MASK}")
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join(&separator.to_string())
}

fn last_word(value: &str) -> usize {
    value.rfind(' ').map_or(0, |space| space + 1)
}

fn percent_decoded(text: &str) -> Cow<'_, [u8]> {
    percent_decode_str(text).into()
}

/// Decodes like [`percent_decoded`], and `+` as a space.
fn form_decoded(text: &str) -> Vec<u8> {
    percent_decode_str(&text.replace('+', " ")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_shared_secret_does_not_enter_the_guest_and_is_compared_as_it_came() {
        let schema = json!({"properties": {"secret": {"x-secret": true}}});
        let sealed = SealedSettings::new(&json!({"secret": ["s3cret one", "tw/o"]}), &schema);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut request = WebhookRequest {
            method: "POST".into(),
            path: "/in/tw%2Fo".into(),
            query: "a=1&token=s3cret%20one&b=tw/o&tw/o&c=s3cret+one".into(),
            headers: vec![
                header("x-whole", "s3cret one"),
                header("authorization", "Bearer tw/o"),
                header("x-other", "no s3cret one at all"),
                header("x-guess", "***"),
                header("x-marker", r#"{"$secret":"/secret/0"}"#),
            ],
            body: b"s3cret one".to_vec(),
            received_ms: 0,
        };
        let sent = SentParts::take_out(&mut request, &sealed);
        assert_eq!(request.path, "/in/***");
        assert_eq!(request.query, "a=1&token=***&b=***&***&c=***");
        let values: Vec<&str> = request
            .headers
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(
            values,
            [
                "***",
                "Bearer ***",
                "no s3cret one at all",
                "***",
                r#"{"$secret":"/secret/0"}"#
            ]
        );
        assert_eq!(request.body, b"s3cret one");

        for (name, secret, found) in [
            ("X-Whole", "s3cret one", Some(true)),
            ("x-whole", "one", Some(true)),
            ("x-whole", "tw/o", Some(false)),
            ("Authorization", "tw/o", Some(true)),
            ("x-other", "s3cret one", Some(false)),
            ("x-guess", "s3cret one", Some(false)),
            ("x-marker", "s3cret one", Some(false)),
            ("x-none", "s3cret one", None),
        ] {
            assert_eq!(sent.has_header(name, secret), found, "{name} {secret}");
        }
        for (name, secret, found) in [
            ("token", "s3cret one", Some(true)),
            ("c", "s3cret one", Some(true)),
            ("b", "tw/o", Some(true)),
            ("a", "tw/o", Some(false)),
            ("tw/o", "tw/o", Some(false)),
            ("none", "tw/o", None),
        ] {
            assert_eq!(sent.has_parameter(name, secret), found, "{name} {secret}");
        }
        assert!(sent.has_segment("tw/o") && !sent.has_segment("s3cret one"));
    }
}
