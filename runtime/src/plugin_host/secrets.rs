//! Settings that a plugin must not see. A property with `"x-secret": true` in the schema reaches the plugin as a
//! placeholder; the host puts the value into URLs and header values of its requests, and takes it out of error texts.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::redaction::Redactor;

/// The settings a guest gets, and what its placeholders stand for.
#[derive(Debug, Default, Clone)]
pub(super) struct SealedSettings {
    pub(super) settings: Value,
    secrets: Vec<(String, SecretString)>,
    /// Knows these secrets, and those of the run that were never settings.
    redactor: Redactor,
}

impl SealedSettings {
    /// Replaces every string under a secret property.
    pub(super) fn new(settings: &Value, schema: &Value) -> Self {
        let mut sealed = Self { settings: settings.clone(), ..Self::default() };
        let mut settings = std::mem::take(&mut sealed.settings);
        walk(&mut settings, schema, schema, false, &mut String::new(), &mut |pointer, value| {
            let placeholder = format!("{{{{secret:{pointer}}}}}");
            sealed.redactor.add(value);
            sealed.secrets.push((placeholder.clone(), SecretString::from(std::mem::replace(value, placeholder))));
        });
        sealed.settings = settings;
        sealed
    }

    /// The text with placeholders replaced: for URLs and header values that are about to leave.
    pub(super) fn reveal(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, (placeholder, secret)| {
            if text.contains(placeholder) { text.replace(placeholder, secret.expose_secret()) } else { text }
        })
    }

    /// The body with placeholders replaced, for services that take their key there. A secret is escaped as the encoding
    /// wants it, so that it can't become another field.
    pub(super) fn reveal_in_body(&self, body: &[u8], encoding: BodyEncoding) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(body) else { return body.to_vec() };
        let revealed = self.secrets.iter().fold(text.to_owned(), |text, (placeholder, secret)| {
            let placeholder = encoding.escape(placeholder);
            match text.contains(&placeholder) {
                true => text.replace(&placeholder, &encoding.escape(secret.expose_secret())),
                false => text,
            }
        });
        revealed.into_bytes()
    }

    /// One more that has to be taken out: a credential, or a token that was got with it.
    pub(super) fn protect(&self, secret: &str) {
        self.redactor.add(secret);
    }

    /// The text with secrets taken out: for errors and logs.
    pub(super) fn redact(&self, text: &str) -> String {
        self.redactor.text(text)
    }

    /// The same for many texts: the headers of an answer.
    pub(super) fn redact_all<'a>(&self, texts: impl IntoIterator<Item = &'a mut String>) {
        self.redactor.texts(texts);
    }

    /// The same for a body; one that was cut off loses its end if a secret may begin there.
    pub(super) fn redact_body(&self, body: bytes::Bytes, is_cut_off: bool) -> bytes::Bytes {
        self.redactor.body(body, is_cut_off)
    }

    /// What a placeholder stands for.
    pub(super) fn find(&self, placeholder: &str) -> Option<&SecretString> {
        self.secrets.iter().find(|(found, _)| found == placeholder).map(|(_, secret)| secret)
    }

    /// All of them, in the order of the settings.
    pub(super) fn values(&self) -> impl Iterator<Item = &SecretString> {
        self.secrets.iter().map(|(_, secret)| secret)
    }

    /// Takes out what this run must not tell, also later.
    pub(super) fn redactor(&self) -> Redactor {
        self.redactor.clone()
    }

    /// Hosts of secrets that are URLs: what the operator wrote there may be reached.
    pub(super) fn hosts(&self) -> impl Iterator<Item = String> + '_ {
        self.secrets.iter().filter_map(|(_, secret)| host_of_url(secret.expose_secret()))
    }
}

/// How a body carries a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyEncoding {
    /// Inside a JSON string.
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

impl BodyEncoding {
    pub(super) fn parse(text: &str) -> Option<Self> {
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

/// Hosts in settings whose property says `"x-host": true`: the operator's word that they may be reached.
pub(super) fn granted_hosts(settings: &Value, schema: &Value) -> Vec<String> {
    let mut hosts = Vec::new();
    walk_marked(&mut settings.clone(), schema, schema, "x-host", false, &mut String::new(), &mut |_, value| {
        hosts.extend(host_of(value));
    });
    hosts
}

/// Hosts that a schema's `default`s name where the settings leave an `x-host` property out. The word of the plugin, not of the
/// operator: for plugins that are part of this binary.
pub(super) fn default_hosts(settings: &Value, schema: &Value) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let marked = properties.into_iter().flatten().filter(|(name, property)| {
        property.get("x-host") == Some(&Value::Bool(true)) && settings.get(name.as_str()).is_none()
    });
    marked.filter_map(|(_, property)| host_of(property.get("default")?.as_str()?)).collect()
}

/// `https://name:1/path`, `name:1`, `[::1]:1` and `name` all name a host; the answer keeps the port if there is one.
pub(super) fn host_of(text: &str) -> Option<String> {
    if let Some(host) = host_of_url(text) {
        return Some(host);
    }
    let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-._:[]".contains(c));
    plain.then(|| text.to_owned())
}

/// `name:1` and `[::1]:1` without the port.
pub(super) fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.chars().all(|c| c.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

pub(super) fn host_of_url(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    let host = url.host_str()?;
    Some(match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

fn walk(
    value: &mut Value,
    schema: &Value,
    root: &Value,
    marked: bool,
    pointer: &mut String,
    found: &mut impl FnMut(&str, &mut String),
) {
    walk_marked(value, schema, root, "x-secret", marked, pointer, found);
}

/// Visits every string that stands under a property marked with `mark`. Follows `$ref` into `$defs`.
fn walk_marked(
    value: &mut Value,
    schema: &Value,
    root: &Value,
    mark: &str,
    marked: bool,
    pointer: &mut String,
    found: &mut impl FnMut(&str, &mut String),
) {
    let schema = match schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#')) {
        Some(target) => root.pointer(target).unwrap_or(schema),
        None => schema,
    };
    let marked = marked || schema.get(mark) == Some(&Value::Bool(true));
    let length = pointer.len();
    match value {
        Value::String(text) if marked => found(pointer, text),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                pointer.push_str(&format!("/{index}"));
                walk_marked(item, &schema["items"], root, mark, marked, pointer, found);
                pointer.truncate(length);
            }
        }
        Value::Object(properties) => {
            for (name, property) in properties {
                let inner = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                walk_marked(property, inner, root, mark, marked, pointer, found);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// Secrets as `***`: for settings that people are shown.
pub(super) fn redacted(settings: &Value, schema: &Value) -> Value {
    let mut settings = settings.clone();
    walk(&mut settings, schema, schema, false, &mut String::new(), &mut |_, value| *value = "***".into());
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
        let settings = json!({"url": "https://hooks.example/T0/key", "headers": {"X-Key": "k1"}, "title": "t"});
        let sealed = SealedSettings::new(&settings, &schema());
        assert_eq!(
            sealed.settings,
            json!({"url": "{{secret:/url}}", "headers": {"X-Key": "{{secret:/headers/X-Key}}"}, "title": "t"})
        );
        assert_eq!(sealed.reveal("{{secret:/url}}"), "https://hooks.example/T0/key");
        assert_eq!(sealed.reveal("Key {{secret:/headers/X-Key}}"), "Key k1");
        assert_eq!(sealed.redact("no route to https://hooks.example/T0/key"), "no route to ***");
        assert_eq!(sealed.hosts().collect::<Vec<_>>(), ["hooks.example:443"]);
        assert_eq!(redacted(&settings, &schema())["url"], "***");
    }

    #[test]
    fn a_secret_in_a_body_can_not_become_another_field() {
        let sealed = SealedSettings::new(&json!({"url": "a\"b&c=d"}), &schema());
        let revealed =
            |body: &str, encoding| String::from_utf8(sealed.reveal_in_body(body.as_bytes(), encoding)).unwrap();
        assert_eq!(revealed(r#"{"key":"{{secret:/url}}"}"#, BodyEncoding::Json), r#"{"key":"a\"b&c=d"}"#);
        assert_eq!(revealed("k=%7B%7Bsecret%3A%2Furl%7D%7D&x=1", BodyEncoding::Form), "k=a%22b%26c%3Dd&x=1");
    }

    #[test]
    fn marked_settings_name_the_hosts_that_may_be_reached() {
        for (text, host) in [
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("https://a.example/x", "a.example:443"),
            ("ns1.example", "ns1.example"),
        ] {
            assert_eq!(granted_hosts(&json!({"server": text, "title": "https://no.example"}), &schema()), [host]);
        }
    }
}
