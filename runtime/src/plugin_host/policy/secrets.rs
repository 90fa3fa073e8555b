//! Settings that a plugin must not see. A property with `"x-secret": true` in the schema reaches
//! the plugin as a placeholder; the host puts the value into URLs and header values of its
//! requests, and takes it out of error texts.
//!
//! A placeholder holds random digits of its run, so that no text from outside can name a secret.
//! What is kept of a run, and what people read, has it without them.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::redaction::Redactor;
use crate::domain::{Mark, visit_marked};

/// The settings a guest gets, and what its placeholders stand for.
#[derive(Debug, Default, Clone)]
pub(in crate::plugin_host) struct SealedSettings {
    pub(in crate::plugin_host) settings: Value,
    secrets: Vec<(String, SecretString)>,
    /// Knows these secrets, and those of the run that were never settings.
    redactor: Redactor,
}

impl SealedSettings {
    /// Replaces every value under a secret property.
    pub(in crate::plugin_host) fn new(settings: &Value, schema: &Value) -> Self {
        let mut sealed = Self {
            settings: settings.clone(),
            ..Self::default()
        };
        let mut settings = std::mem::take(&mut sealed.settings);
        let mut nonce = None;
        visit_marked(&mut settings, schema, Mark::Secret, |marked| {
            let nonce = nonce.get_or_insert_with(|| format!("-{:016x}", rand::random::<u64>()));
            let placeholder = format!("{{{{secret{nonce}:{}}}}}", marked.pointer);
            let secret = match std::mem::replace(marked.value, placeholder.clone().into()) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            sealed.redactor.add(&secret);
            sealed
                .secrets
                .push((placeholder, SecretString::from(secret)));
        });
        if let Some(nonce) = nonce {
            sealed.redactor.forget(&nonce);
        }
        sealed.settings = settings;
        sealed
    }

    /// Whether a text that is about to leave names one of the secrets.
    pub(in crate::plugin_host) fn is_named_in(&self, text: &str) -> bool {
        self.secrets
            .iter()
            .any(|(placeholder, _)| text.contains(placeholder))
    }

    /// The same of a body that carries them.
    pub(in crate::plugin_host) fn is_named_in_body(
        &self,
        body: &[u8],
        encoding: BodyEncoding,
    ) -> bool {
        let named = |text: &str| {
            self.secrets
                .iter()
                .any(|(placeholder, _)| text.contains(&encoding.escape(placeholder)))
        };
        std::str::from_utf8(body).is_ok_and(named)
    }

    /// The text without the random digits of the run's placeholders.
    pub(in crate::plugin_host) fn stable(&self, text: String) -> String {
        self.redactor.stable(text)
    }

    /// The text with placeholders replaced: for URLs and header values that are about to leave.
    pub(in crate::plugin_host) fn reveal(&self, text: &str) -> String {
        self.secrets
            .iter()
            .fold(text.to_owned(), |text, (placeholder, secret)| {
                if text.contains(placeholder) {
                    text.replace(placeholder, secret.expose_secret())
                } else {
                    text
                }
            })
    }

    /// The body with placeholders replaced, for services that take their key there. A secret is
    /// escaped as the encoding wants it, so that it can't become another field.
    pub(in crate::plugin_host) fn reveal_in_body(
        &self,
        body: &[u8],
        encoding: BodyEncoding,
    ) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(body) else {
            return body.to_vec();
        };
        let revealed = self
            .secrets
            .iter()
            .fold(text.to_owned(), |text, (placeholder, secret)| {
                let placeholder = encoding.escape(placeholder);
                match text.contains(&placeholder) {
                    true => text.replace(&placeholder, &encoding.escape(secret.expose_secret())),
                    false => text,
                }
            });
        revealed.into_bytes()
    }

    /// One more that has to be taken out: a credential, or a token that was got with it.
    pub(in crate::plugin_host) fn protect(&self, secret: &str) {
        self.redactor.add(secret);
    }

    /// The text with secrets taken out: for errors and logs.
    pub(in crate::plugin_host) fn redact(&self, text: &str) -> String {
        self.redactor.text(text)
    }

    /// The same for many texts: the headers of an answer.
    pub(in crate::plugin_host) fn redact_all<'a>(
        &self,
        texts: impl IntoIterator<Item = &'a mut String>,
    ) {
        self.redactor.texts(texts);
    }

    /// The same for a body; one that was cut off loses its end if a secret may begin there.
    pub(in crate::plugin_host) fn redact_body(
        &self,
        body: bytes::Bytes,
        is_cut_off: bool,
    ) -> bytes::Bytes {
        self.redactor.body(body, is_cut_off)
    }

    /// What a placeholder stands for.
    pub(in crate::plugin_host) fn find(&self, placeholder: &str) -> Option<&SecretString> {
        self.secrets
            .iter()
            .find(|(found, _)| found == placeholder)
            .map(|(_, secret)| secret)
    }

    /// All of them, in the order of the settings.
    pub(in crate::plugin_host) fn values(&self) -> impl Iterator<Item = &SecretString> {
        self.secrets.iter().map(|(_, secret)| secret)
    }

    /// Takes out what this run must not tell, also later.
    pub(in crate::plugin_host) fn redactor(&self) -> Redactor {
        self.redactor.clone()
    }

    /// Secrets that are URLs: what the operator wrote there may be reached.
    pub(in crate::plugin_host) fn urls(&self) -> impl Iterator<Item = &str> + '_ {
        self.secrets
            .iter()
            .map(|(_, secret)| secret.expose_secret())
            .filter(|text| host_of_url(text).is_some())
    }
}

/// How a body carries a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin_host) enum BodyEncoding {
    /// Inside a JSON string.
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

impl BodyEncoding {
    pub(in crate::plugin_host) fn parse(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "form" => Some(Self::Form),
            _ => None,
        }
    }

    fn escape(self, text: &str) -> String {
        match self {
            Self::Json => {
                let quoted = Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::Form => url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        }
    }
}

/// Values of settings whose property says `"x-host"`: the operator's word that they may be reached.
/// Of a property that says `"x-host": "url"`, only whole URLs: the others are paths.
pub(in crate::plugin_host) fn written_hosts(settings: &Value, schema: &Value) -> Vec<String> {
    let mut hosts = Vec::new();
    visit_marked(&mut settings.clone(), schema, Mark::Host, |marked| {
        if let Some(text) = marked.value.as_str()
            && (marked.form != "url" || is_http_url(text))
        {
            hosts.push(text.to_owned());
        }
    });
    hosts
}

/// Ports in settings whose property says `"x-port": true`.
pub(in crate::plugin_host) fn written_ports(settings: &Value, schema: &Value) -> Vec<u16> {
    let mut ports = Vec::new();
    visit_marked(&mut settings.clone(), schema, Mark::Port, |marked| {
        ports.extend(
            marked
                .value
                .as_u64()
                .and_then(|port| u16::try_from(port).ok()),
        );
    });
    ports
}

/// Addresses in settings whose property says `"x-mail": true`.
pub(in crate::plugin_host) fn written_mail(settings: &Value, schema: &Value) -> Vec<String> {
    let mut addresses = Vec::new();
    visit_marked(&mut settings.clone(), schema, Mark::Mail, |marked| {
        addresses.extend(marked.value.as_str().map(str::to_owned));
    });
    addresses
}

fn is_http_url(text: &str) -> bool {
    ["http://", "https://"].iter().any(|start| {
        text.get(..start.len())
            .is_some_and(|text| text.eq_ignore_ascii_case(start))
    })
}

/// What a schema's `default`s name where the settings leave an `x-host` property out. The word of
/// the plugin, not of the operator: for plugins that are part of this binary.
pub(in crate::plugin_host) fn default_hosts(settings: &Value, schema: &Value) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let marked = properties.into_iter().flatten().filter(|(name, property)| {
        property.get(Mark::Host.keyword()) == Some(&Value::Bool(true))
            && settings.get(name.as_str()).is_none()
    });
    marked
        .filter_map(|(_, property)| property.get("default")?.as_str().map(str::to_owned))
        .collect()
}

/// `https://name:1/path`, `name:1`, `[::1]:1` and `name` all name a host; the answer keeps the port if there is one.
pub(in crate::plugin_host) fn host_of(text: &str) -> Option<String> {
    if let Some(host) = host_of_url(text) {
        return Some(host);
    }
    let plain = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || "-._:[]".contains(c));
    plain.then(|| text.to_owned())
}

pub(in crate::plugin_host) fn host_of_url(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let host = url.host_str()?;
    Some(match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// Secrets as `***`: for settings that people are shown.
pub(in crate::plugin_host) fn redacted(settings: &Value, schema: &Value) -> Value {
    let mut settings = settings.clone();
    visit_marked(&mut settings, schema, Mark::Secret, |marked| {
        *marked.value = "***".into()
    });
    settings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({"properties": {
            "url": {"type": "string", "x-secret": true},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}, "x-secret": true},
            "server": {"type": "string", "x-host": true},
            "title": {"type": "string"},
        }})
    }

    #[test]
    fn a_guest_sees_placeholders_and_the_host_puts_the_values_back() {
        let settings = json!({"url": "https://hooks.example/T0/key", "headers": {"X-Key": "k1", "X-Pin": 1234}, "title": "t"});
        let sealed = SealedSettings::new(&settings, &schema());
        let shown = |pointer: &str| {
            sealed
                .settings
                .pointer(pointer)
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(sealed.stable(shown("/url")), "{{secret:/url}}");
        assert_eq!(
            sealed.stable(shown("/headers/X-Key")),
            "{{secret:/headers/X-Key}}"
        );
        assert_eq!(shown("/title"), "t");
        assert_eq!(
            sealed.reveal(&shown("/url")),
            "https://hooks.example/T0/key"
        );
        assert_eq!(
            sealed.reveal(&format!("Key {}", shown("/headers/X-Key"))),
            "Key k1"
        );
        assert_eq!(sealed.reveal(&shown("/headers/X-Pin")), "1234");
        assert_eq!(
            sealed.redact("no route to https://hooks.example/T0/key"),
            "no route to ***"
        );
        assert_eq!(
            sealed.urls().collect::<Vec<_>>(),
            ["https://hooks.example/T0/key"]
        );
        assert_eq!(redacted(&settings, &schema())["url"], "***");
    }

    #[test]
    fn no_text_from_outside_names_a_secret() {
        let settings = json!({"url": "s3cret-k3y"});
        let sealed = SealedSettings::new(&settings, &schema());
        let placeholder = sealed.settings["url"].as_str().unwrap();
        for guessed in [
            "{{secret:/url}}",
            "{{secret-:/url}}",
            "{{secret-0000000000000000:/url}}",
        ] {
            assert_eq!(sealed.reveal(guessed), guessed);
            assert!(!sealed.is_named_in(guessed) && sealed.find(guessed).is_none());
        }
        assert!(sealed.is_named_in(&format!("x {placeholder}")));
        assert_ne!(
            SealedSettings::new(&settings, &schema()).settings["url"],
            placeholder,
            "another run, another one"
        );
        // A service that was sent one as it is can't hand it back either.
        let echoed = format!("you said {placeholder}");
        assert_eq!(sealed.redact(&echoed), "you said {{secret:/url}}");
        assert_eq!(
            sealed.redact_body(echoed.into(), false),
            "you said {{secret:/url}}"
        );
    }

    #[test]
    fn a_secret_in_a_body_can_not_become_another_field() {
        let sealed = SealedSettings::new(&json!({"url": "a\"b&c=d"}), &schema());
        let placeholder = sealed.settings["url"].as_str().unwrap();
        let revealed = |body: String, encoding| {
            assert!(sealed.is_named_in_body(body.as_bytes(), encoding));
            String::from_utf8(sealed.reveal_in_body(body.as_bytes(), encoding)).unwrap()
        };
        assert_eq!(
            revealed(json!({"key": placeholder}).to_string(), BodyEncoding::Json),
            r#"{"key":"a\"b&c=d"}"#
        );
        let coded = BodyEncoding::Form.escape(placeholder);
        assert_eq!(
            revealed(format!("k={coded}&x=1"), BodyEncoding::Form),
            "k=a%22b%26c%3Dd&x=1"
        );
    }

    #[test]
    fn a_path_names_no_host_and_a_whole_url_does() {
        let schema = json!({"properties": {"path": {"x-host": "url"}, "server": {"x-host": true}, "port": {"x-port": true}}});
        for (path, wanted) in [
            ("metrics", &[][..]),
            ("/probe?target=https://shop.example/health", &[]),
            ("ftp://a.example/", &[]),
            ("HTTPS://a.example/x", &["HTTPS://a.example/x"]),
        ] {
            assert_eq!(written_hosts(&json!({"path": path}), &schema), wanted);
        }
        let settings =
            json!({"server": "ns1.example", "port": 5353, "title": "https://no.example"});
        assert_eq!(written_hosts(&settings, &schema), ["ns1.example"]);
        assert_eq!(written_ports(&settings, &schema), [5353]);
        for (text, host) in [
            ("127.0.0.1:5353", Some("127.0.0.1:5353")),
            ("https://a.example/x", Some("a.example:443")),
            ("ns1.example", Some("ns1.example")),
            ("two words", None),
        ] {
            assert_eq!(host_of(text).as_deref(), host);
        }
    }
}
