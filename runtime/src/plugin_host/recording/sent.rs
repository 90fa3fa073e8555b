//! Secrets that a sender of webhooks sends as they are, in a header, the query or the path. They
//! must not enter the guest either: it gets a placeholder that nobody outside can guess, and asks
//! `signatures.verify-secret` whether it is the right one.

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::WebhookRequest;
use crate::plugin_host::policy::secrets::SealedSettings;

/// The placeholders of one run.
#[derive(Debug, Default)]
pub(in crate::plugin_host) struct SentSecrets {
    masked: Vec<(String, SecretString)>,
}

impl SentSecrets {
    /// Takes the secrets of the settings out of a request. Its body stays as it is: a signature
    /// goes over its bytes.
    pub(in crate::plugin_host) fn take_out(
        request: &mut WebhookRequest,
        sealed: &SealedSettings,
    ) -> Self {
        // 128 random bits a run: a sender that sends a placeholder has not guessed ours.
        let masked = sealed
            .values()
            .filter(|secret| !secret.expose_secret().is_empty());
        let sent = Self {
            masked: masked
                .map(|secret| {
                    (
                        format!("{{{{sent:{:032x}}}}}", rand::random::<u128>()),
                        secret.clone(),
                    )
                })
                .collect(),
        };
        for (_, value) in &mut request.headers {
            // `Authorization: Bearer SECRET` and `Authorization: SECRET`.
            let start = value.rfind(' ').map_or(0, |space| space + 1);
            if let Some(placeholder) = sent.placeholder(&value.as_bytes()[start..]) {
                value.replace_range(start.., placeholder);
            } else if let Some(placeholder) = sent.placeholder(value.as_bytes()) {
                *value = placeholder.to_owned();
            }
        }
        request.query = sent.mask_parts(&request.query, '&', |part| {
            part.find('=').map_or(0, |equals| equals + 1)
        });
        request.path = sent.mask_parts(&request.path, '/', |_| 0);
        sent
    }

    /// What was sent, for a comparison.
    pub(in crate::plugin_host) fn reveal<'a>(&'a self, sent: &'a str) -> &'a str {
        let found = self
            .masked
            .iter()
            .find(|(placeholder, _)| placeholder == sent);
        found.map_or(sent, |(_, secret)| secret.expose_secret())
    }

    fn mask_parts(&self, text: &str, separator: char, start: impl Fn(&str) -> usize) -> String {
        let parts = text.split(separator).map(|part| {
            let (key, value) = part.split_at(start(part));
            let decoded: Vec<u8> = percent_decode_str(value).collect();
            match self.placeholder(&decoded) {
                Some(placeholder) => format!("{key}{placeholder}"),
                None => part.to_owned(),
            }
        });
        parts.collect::<Vec<_>>().join(&separator.to_string())
    }

    /// Compares with each in constant time: how near a guess came must not show.
    fn placeholder(&self, sent: &[u8]) -> Option<&str> {
        let mut found = None;
        for (placeholder, secret) in &self.masked {
            if extrack_signatures::same(secret.expose_secret().as_bytes(), sent).is_ok() {
                found.get_or_insert(placeholder.as_str());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_shared_secret_does_not_enter_the_guest() {
        let schema = json!({"properties": {"secret": {"x-secret": true}}});
        let sealed = SealedSettings::new(&json!({"secret": ["s3cret one", "tw/o"]}), &schema);
        let header = |value: &str| ("x".to_owned(), value.to_owned());
        let mut request = WebhookRequest {
            method: "POST".into(),
            path: "/in/tw%2Fo".into(),
            query: "a=1&token=s3cret%20one&b=tw/o&tw/o".into(),
            headers: vec![
                header("s3cret one"),
                header("Bearer tw/o"),
                header("no s3cret one at all"),
                header("{{secret:/secret/0}}"),
            ],
            body: b"s3cret one".to_vec(),
            received_ms: 0,
        };
        let sent = SentSecrets::take_out(&mut request, &sealed);
        let [(one, _), (two, _)] = &sent.masked[..] else {
            panic!("{sent:?}")
        };
        assert_eq!(request.path, format!("/in/{two}"));
        assert_eq!(request.query, format!("a=1&token={one}&b={two}&{two}"));
        let values: Vec<&str> = request
            .headers
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(
            values,
            [
                one,
                &format!("Bearer {two}"),
                "no s3cret one at all",
                "{{secret:/secret/0}}"
            ]
        );
        assert_eq!(request.body, b"s3cret one");
        assert_eq!(
            (sent.reveal(one), sent.reveal(two), sent.reveal("x")),
            ("s3cret one", "tw/o", "x")
        );
        assert_eq!(
            sent.reveal("{{secret:/secret/0}}"),
            "{{secret:/secret/0}}",
            "only this run's own placeholders count"
        );
    }
}
