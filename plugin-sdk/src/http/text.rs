//! Texts that leave: as they are written, or with secrets in them that only the host can read.

use serde_json::Value;

use crate::settings::Secret;

/// A text with secrets in it, or without. The host encodes a secret for its place: in a URL, a
/// header or a body.
///
/// ```
/// # use extrack_plugin::prelude::*;
/// # fn request(token: &Secret) -> http::Request {
/// http::get("https://api.example.com/").header("authorization", http::Text::from("Bearer ").secret(token))
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(pub(crate) Vec<Chunk>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Chunk {
    Text(String),
    Secret(Secret),
}

impl Text {
    /// Adds a text.
    pub fn text(mut self, text: impl AsRef<str>) -> Self {
        self.push(text.as_ref());
        self
    }

    /// Adds a secret.
    pub fn secret(mut self, secret: &Secret) -> Self {
        self.0.push(Chunk::Secret(secret.clone()));
        self
    }

    pub(crate) fn push(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Chunk::Text(last)) => last.push_str(text),
            _ => self.0.push(Chunk::Text(text.to_owned())),
        }
    }

    /// The text with `***` in the place of secrets.
    pub(crate) fn shown(&self) -> String {
        self.0
            .iter()
            .map(|chunk| match chunk {
                Chunk::Text(text) => text.as_str(),
                Chunk::Secret(_) => "***",
            })
            .collect()
    }

    pub(crate) fn has_secret(&self) -> bool {
        self.secrets().next().is_some()
    }

    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter().filter_map(|chunk| match chunk {
            Chunk::Text(_) => None,
            Chunk::Secret(secret) => Some(secret),
        })
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(vec![Chunk::Text(text)])
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl From<&Secret> for Text {
    fn from(secret: &Secret) -> Self {
        Self::default().secret(secret)
    }
}

impl From<Secret> for Text {
    fn from(secret: Secret) -> Self {
        Self(vec![Chunk::Secret(secret)])
    }
}

/// JSON text with secrets as the values at JSON Pointers, whether the value has something there or
/// not.
pub(super) fn json(value: &Value, secrets: &[(&str, &Secret)]) -> Text {
    let mut value = value.clone();
    for (pointer, _) in secrets {
        let Some((parent, key)) = pointer.rsplit_once('/') else {
            continue;
        };
        if let Some(Value::Object(fields)) = value.pointer_mut(parent) {
            fields.insert(key.replace("~1", "/").replace("~0", "~"), Value::Null);
        }
    }
    let mut text = Text::default();
    write(&value, secrets, &mut text);
    text
}

fn write(value: &Value, secrets: &[(&str, &Secret)], text: &mut Text) {
    if let Some((_, secret)) = secrets.iter().find(|(pointer, _)| pointer.is_empty()) {
        text.push("\"");
        text.0.push(Chunk::Secret((*secret).clone()));
        text.push("\"");
        return;
    }
    match value {
        Value::Object(fields) if !secrets.is_empty() => {
            for (index, (key, value)) in fields.iter().enumerate() {
                text.push(if index == 0 { "{" } else { "," });
                text.push(&Value::from(key.as_str()).to_string());
                text.push(":");
                let step = key.replace('~', "~0").replace('/', "~1");
                write(value, &below(secrets, &step), text);
            }
            text.push(if fields.is_empty() { "{}" } else { "}" });
        }
        Value::Array(items) if !secrets.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                text.push(if index == 0 { "[" } else { "," });
                write(value, &below(secrets, &index.to_string()), text);
            }
            text.push(if items.is_empty() { "[]" } else { "]" });
        }
        other => text.push(&other.to_string()),
    }
}

/// The secrets under one key, with the rest of their pointers.
fn below<'a>(secrets: &[(&'a str, &'a Secret)], step: &str) -> Vec<(&'a str, &'a Secret)> {
    let rest = |pointer: &'a str| {
        let rest = pointer.strip_prefix('/')?.strip_prefix(step)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    };
    secrets
        .iter()
        .filter_map(|(pointer, secret)| Some((rest(pointer)?, *secret)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;

    use super::*;
    use crate::settings::Setting;

    fn secret() -> Secret {
        Secret::from_json(r#"{"$secret": "/key"}"#).unwrap()
    }

    #[test]
    fn secrets_are_put_at_their_pointers_in_json_and_nowhere_else() {
        let secret = secret();
        let body =
            value!({"a": "{\"$secret\":\"/key\"}", "list": [1, {"deep/er": null}], "z": true});
        let text = json(&body, &[("/zz", &secret), ("/list/1/deep~1er", &secret)]);
        assert_eq!(
            text.shown(),
            r#"{"a":"{\"$secret\":\"/key\"}","list":[1,{"deep/er":"***"}],"z":true,"zz":"***"}"#
        );
        assert_eq!(text.secrets().count(), 2);
        assert_eq!(json(&body, &[]), Text::from(body.to_string()));
        assert_eq!(json(&value!({}), &[("/a/b", &secret)]).shown(), "{}");
    }

    #[test]
    fn a_text_is_one_chunk_as_long_as_it_can_be() {
        let text = Text::from("a").text("b").secret(&secret()).text("c");
        assert_eq!(text.0.len(), 3);
        assert_eq!(text.shown(), "ab***c");
    }
}
