//! Secrets of the settings, which never enter a plugin. A property with `"x-secret": true` in the
//! schema reaches the guest as an inert marker; a guest opens a handle by the marker's JSON
//! Pointer, and the host writes the value where a request leaves and takes it out of what comes
//! back.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::redaction::Redactor;
use crate::domain::{Mark, visit_marked};

/// Key of the object that a guest sees in the place of a secret, with the JSON Pointer as value.
const MARKER: &str = "$secret";

/// The settings a guest gets, and the secrets that were taken out of them.
#[derive(Debug, Default, Clone)]
pub(in crate::plugin_host) struct SealedSettings {
    pub(in crate::plugin_host) settings: Value,
    /// Values by JSON Pointer, in the order of the settings.
    secrets: Vec<(String, SecretString)>,
    /// Shared by everything that shows a text of the run; also has its credentials.
    redactor: Redactor,
}

impl SealedSettings {
    /// Replaces every value under a secret property by its marker.
    pub(in crate::plugin_host) fn new(settings: &Value, schema: &Value) -> Self {
        let mut sealed = Self::default();
        let mut settings = settings.clone();
        visit_marked(&mut settings, schema, Mark::Secret, |marked| {
            let marker = json!({ MARKER: marked.pointer });
            let secret = match std::mem::replace(marked.value, marker) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            sealed.redactor.add(&secret);
            sealed
                .secrets
                .push((marked.pointer.to_owned(), SecretString::from(secret)));
        });
        sealed.settings = settings;
        sealed
    }

    /// Settings of a recording, whose markers can be opened and stand for nothing: a replay sends
    /// nothing.
    pub(in crate::plugin_host) fn of_recording(settings: &str) -> Self {
        let settings = serde_json::from_str(settings).unwrap_or_default();
        let mut secrets = Vec::new();
        find_markers(&settings, &mut secrets);
        Self {
            settings,
            secrets,
            ..Self::default()
        }
    }

    /// Number of the secret at a JSON Pointer: what a handle holds.
    pub(in crate::plugin_host) fn number(&self, pointer: &str) -> Option<u32> {
        let index = self
            .secrets
            .iter()
            .position(|(known, _)| known == pointer)?;
        u32::try_from(index).ok()
    }

    /// JSON Pointer of the secret with a number.
    pub(in crate::plugin_host) fn pointer(&self, number: u32) -> Option<&str> {
        let (pointer, _) = self.secrets.get(number as usize)?;
        Some(pointer)
    }

    /// Value of the secret at a JSON Pointer.
    pub(in crate::plugin_host) fn find(&self, pointer: &str) -> Option<&SecretString> {
        self.secrets
            .iter()
            .find(|(known, _)| known == pointer)
            .map(|(_, secret)| secret)
    }

    /// Adds a text that has to be taken out: a credential, or a token that was got with it.
    pub(in crate::plugin_host) fn protect(&self, secret: &str) {
        self.redactor.add(secret);
    }

    /// Returns the text with secrets taken out: for errors and logs.
    pub(in crate::plugin_host) fn redact(&self, text: &str) -> String {
        self.redactor.text(text)
    }

    /// Takes secrets out of many texts, such as the headers of an answer.
    pub(in crate::plugin_host) fn redact_all<'a>(
        &self,
        texts: impl IntoIterator<Item = &'a mut String>,
    ) {
        self.redactor.texts(texts);
    }

    /// Takes secrets out of a body; one that was cut off loses its end if a secret may begin there.
    pub(in crate::plugin_host) fn redact_body(
        &self,
        body: bytes::Bytes,
        is_cut_off: bool,
    ) -> bytes::Bytes {
        self.redactor.body(body, is_cut_off)
    }

    /// Values of all secrets, in the order of the settings.
    pub(in crate::plugin_host) fn values(&self) -> impl Iterator<Item = &SecretString> {
        self.secrets.iter().map(|(_, secret)| secret)
    }

    /// The redactor of this run, which also takes out what the run learns later.
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

fn find_markers(settings: &Value, found: &mut Vec<(String, SecretString)>) {
    match settings {
        Value::Array(items) => items.iter().for_each(|item| find_markers(item, found)),
        Value::Object(fields) => match fields.get(MARKER).and_then(Value::as_str) {
            Some(pointer) if fields.len() == 1 => {
                found.push((pointer.to_owned(), SecretString::from(String::new())));
            }
            _ => fields.values().for_each(|value| find_markers(value, found)),
        },
        _ => {}
    }
}

/// Values of settings whose property has `"x-host"`, which the operator lets the plugin reach. With
/// `"x-host": "url"` only whole URLs count: other values are paths.
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

/// Ports in settings whose property has `"x-port": true`.
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

/// Addresses in settings whose property has `"x-mail": true`.
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

/// Hosts in a schema's `default`s where the settings leave an `x-host` property out. The plugin
/// names them, not the operator: for plugins that are part of this binary.
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

/// `https://name:1/path`, `name:1`, `[::1]:1` and `name` all name a host; the answer keeps the port
/// if there is one.
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
    fn a_guest_sees_markers_and_opens_them_by_their_pointer() {
        let settings = json!({"url": "https://hooks.example/T0/key", "headers": {"X-Key": "k1", "X-Pin": 1234}, "title": "t"});
        let sealed = SealedSettings::new(&settings, &schema());
        assert_eq!(
            sealed.settings,
            json!({
                "url": {"$secret": "/url"},
                "headers": {"X-Key": {"$secret": "/headers/X-Key"}, "X-Pin": {"$secret": "/headers/X-Pin"}},
                "title": "t",
            })
        );
        for (pointer, value) in [
            ("/url", "https://hooks.example/T0/key"),
            ("/headers/X-Key", "k1"),
            ("/headers/X-Pin", "1234"),
        ] {
            let number = sealed.number(pointer).unwrap();
            assert_eq!(sealed.pointer(number), Some(pointer));
            assert_eq!(sealed.find(pointer).unwrap().expose_secret(), value);
        }
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
    fn only_the_places_of_secrets_can_be_opened() {
        let settings = json!({"url": "s3cret-k3y", "title": {"$secret": "/title"}});
        let sealed = SealedSettings::new(&settings, &schema());
        for pointer in ["/title", "", "/", "url", "/url/", "/headers"] {
            assert_eq!(sealed.number(pointer), None, "{pointer}");
        }
        assert_eq!(sealed.pointer(1), None);
    }

    #[test]
    fn the_markers_of_a_recording_can_be_opened_and_hold_nothing() {
        let sealed = SealedSettings::of_recording(
            r#"{"token": {"$secret": "/token"}, "list": [{"$secret": "/list/0"}], "x": "$secret"}"#,
        );
        let number = sealed.number("/list/0").unwrap();
        assert_eq!(sealed.pointer(number), Some("/list/0"));
        assert_eq!(sealed.find("/token").unwrap().expose_secret(), "");
        assert_eq!(sealed.number("/x"), None);
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
