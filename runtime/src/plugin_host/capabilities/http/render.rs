//! Secrets are written into a request here, each encoded for its place, so that none can become
//! another field, header or segment.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use extrack_signatures::{Algorithm, Scheme};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::request::{Body, Content, Hmac, Part, Request, Signature, StandardWebhooks};
use crate::domain::now_ms;
use crate::net::{HttpRequest, NetError, NetFailure};
use crate::plugin_host::capabilities::outgoing;
use crate::plugin_host::capabilities::text::{Chunk, Text};
use crate::plugin_host::policy::credentials::basic;
use crate::plugin_host::policy::redaction::in_url;
use crate::plugin_host::policy::secrets::SealedSettings;

/// How a text is written at its place.
#[derive(Clone, Copy)]
enum Encoding {
    /// Texts and secrets as they are.
    Plain,
    /// Texts as they are; a secret after the first chunk is one segment or one value.
    Url,
    /// Texts as they are; a secret inside a JSON string.
    Json,
    /// Texts and secrets as a name or a value of a form.
    Form,
}

/// Writes the secrets of a request for one run.
pub(in crate::plugin_host::capabilities) struct Renderer<'a>(
    pub(in crate::plugin_host::capabilities) &'a SealedSettings,
);

impl Renderer<'_> {
    pub(super) fn url(&self, url: &Text) -> Result<String, NetError> {
        let written = self.text(url, Encoding::Url)?;
        let Some(Chunk::Secret(pointer)) = url.0.first() else {
            return Ok(written);
        };
        let secret = self.secret(pointer)?;
        let Some(pieces) = Continued::new(secret, &written[secret.len()..]) else {
            return Ok(written);
        };
        // The secret as a whole is not in the URL any more.
        self.0.protect(pieces.address);
        self.0.protect(pieces.query);
        Ok(pieces.to_string())
    }

    /// Headers and body of a request, with authentication and signature.
    pub(super) fn fill(&self, call: &mut HttpRequest, request: Request) -> Result<(), NetFailure> {
        for (name, value) in request.headers {
            let value = self.text(&value, Encoding::Plain)?;
            call.headers.push((name, value));
        }
        if let Some(body) = request.body {
            self.body(call, body)?;
        }
        if let Some(auth) = &request.basic_auth {
            let username = self.text(&auth.username, Encoding::Plain)?;
            let password = self.text(&auth.password, Encoding::Plain)?;
            let value = basic(&format!("{username}:{password}"));
            set_header(call, "basic-auth", "authorization".to_owned(), value)?;
        }
        match &request.signature {
            None => Ok(()),
            Some(Signature::StandardWebhooks { standard_webhooks }) => {
                self.sign_standard_webhooks(call, standard_webhooks)
            }
            Some(Signature::Hmac { hmac }) => self.sign_hmac(call, hmac),
        }
    }

    /// Writes texts and secrets as they are.
    pub(in crate::plugin_host::capabilities) fn plain(
        &self,
        text: &Text,
    ) -> Result<String, NetError> {
        self.text(text, Encoding::Plain)
    }

    fn text(&self, text: &Text, encoding: Encoding) -> Result<String, NetError> {
        let mut written = String::with_capacity(text.len());
        for (index, chunk) in text.0.iter().enumerate() {
            let piece: Cow<'_, str> = match chunk {
                Chunk::Text(text) => match encoding {
                    Encoding::Form => form(text).into(),
                    Encoding::Plain | Encoding::Url | Encoding::Json => {
                        Cow::Borrowed(text.as_str())
                    }
                },
                Chunk::Secret(pointer) => {
                    let secret = self.secret(pointer)?;
                    match encoding {
                        Encoding::Plain => Cow::Borrowed(secret),
                        Encoding::Url if index == 0 => Cow::Borrowed(secret),
                        Encoding::Url => in_url(secret).into(),
                        Encoding::Json => json(secret).into(),
                        Encoding::Form => form(secret).into(),
                    }
                }
            };
            written.push_str(&piece);
        }
        Ok(written)
    }

    pub(in crate::plugin_host::capabilities) fn secret(
        &self,
        pointer: &str,
    ) -> Result<&str, NetError> {
        self.0
            .find(pointer)
            .map(ExposeSecret::expose_secret)
            .ok_or_else(|| {
                NetError::Protocol(format!("the settings have no secret at `{pointer}`"))
            })
    }

    fn body(&self, call: &mut HttpRequest, body: Body) -> Result<(), NetFailure> {
        let is_multipart = matches!(body, Body::Multipart { .. });
        let (content_type, bytes) = match body {
            Body::Bytes(bytes) => {
                call.body = Some(bytes.into());
                return Ok(());
            }
            Body::Json { json } => (
                "application/json".to_owned(),
                self.text(&json, Encoding::Json)?.into_bytes(),
            ),
            Body::Form { form: fields } => {
                let pairs = fields.iter().map(|(name, value)| {
                    Ok(format!(
                        "{}={}",
                        form(name),
                        self.text(value, Encoding::Form)?
                    ))
                });
                let pairs: Vec<String> = pairs.collect::<Result<_, NetError>>()?;
                (
                    "application/x-www-form-urlencoded".to_owned(),
                    pairs.join("&").into_bytes(),
                )
            }
            Body::Multipart { multipart } => {
                // Too many digits to stand in a part by chance.
                let boundary = format!("part-{:032x}", rand::random::<u128>());
                let bytes = self.multipart(&multipart, &boundary)?;
                (format!("multipart/form-data; boundary={boundary}"), bytes)
            }
        };
        let is_set = |(name, _): &(String, String)| name.eq_ignore_ascii_case("content-type");
        if is_multipart && call.headers.iter().any(is_set) {
            return Err(NetFailure::denied(
                "header `content-type` of a multipart body is set by the host: it has the boundary",
            ));
        }
        if !call.headers.iter().any(is_set) {
            call.headers.push(("content-type".to_owned(), content_type));
        }
        call.body = Some(bytes.into());
        Ok(())
    }

    fn multipart(&self, parts: &[Part], boundary: &str) -> Result<Vec<u8>, NetError> {
        let mut bytes = Vec::new();
        for part in parts {
            let mut head = format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"",
                quoted(&part.name)
            );
            if let Some(file_name) = &part.file_name {
                head.push_str(&format!("; filename=\"{}\"", quoted(file_name)));
            }
            if let Some(content_type) = &part.content_type {
                if content_type.chars().any(char::is_control) {
                    return Err(NetError::Protocol(
                        "the content type of a part holds a control character".to_owned(),
                    ));
                }
                head.push_str(&format!("\r\ncontent-type: {content_type}"));
            }
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(b"\r\n\r\n");
            match &part.content {
                Content::Bytes(content) => bytes.extend_from_slice(content),
                Content::Text(text) => {
                    bytes.extend_from_slice(self.text(text, Encoding::Plain)?.as_bytes());
                }
            }
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        Ok(bytes)
    }

    fn sign_standard_webhooks(
        &self,
        call: &mut HttpRequest,
        signing: &StandardWebhooks,
    ) -> Result<(), NetFailure> {
        let secret = self.secret(&signing.secret)?;
        let body = call.body.as_deref().unwrap_or_default();
        let now_ms = now_ms().max(0).unsigned_abs();
        let signed =
            extrack_signatures::sign(Scheme::StandardWebhooks, secret, &signing.id, body, now_ms)
                .map_err(|error| NetError::Protocol(format!("`standard-webhooks`: {error}")))?;
        for (name, value) in signed {
            set_header(call, "standard-webhooks", name, value)?;
        }
        Ok(())
    }

    fn sign_hmac(&self, call: &mut HttpRequest, hmac: &Hmac) -> Result<(), NetFailure> {
        let wrong = |what: &str, found: &str, known: &str| {
            NetError::Protocol(format!("the {what} of `hmac` is `{found}`; known: {known}"))
        };
        let algorithm = Algorithm::parse(&hmac.algorithm).ok_or_else(|| {
            wrong(
                "algorithm",
                &hmac.algorithm,
                &Algorithm::ALL.map(Algorithm::as_str).join(", "),
            )
        })?;
        let key = self.secret(&hmac.secret)?;
        if key.is_empty() {
            return Err(NetError::Protocol("the secret of `hmac` is empty".to_owned()).into());
        }
        let body = call.body.as_deref().unwrap_or_default();
        let code = extrack_signatures::mac(algorithm, key.as_bytes(), &[body]);
        let code = match hmac.encoding.as_str() {
            "hex" => code.iter().map(|byte| format!("{byte:02x}")).collect(),
            "base64" => STANDARD.encode(code),
            other => return Err(wrong("encoding", other, "hex, base64").into()),
        };
        let value = format!("{}{code}", hmac.prefix);
        outgoing::check_header(&hmac.header, &value)?;
        set_header(call, "hmac", hmac.header.clone(), value)
    }
}

/// Sets a header of the host, which a plugin must not set too: servers differ in which one counts.
fn set_header(
    call: &mut HttpRequest,
    field: &str,
    name: String,
    value: String,
) -> Result<(), NetFailure> {
    if call
        .headers
        .iter()
        .any(|(known, _)| known.eq_ignore_ascii_case(&name))
    {
        return Err(NetFailure::denied(format!(
            "header `{name}` is set by `{field}`, and by the plugin too"
        )));
    }
    call.headers.push((name, value));
    Ok(())
}

/// A URL with a query of its own, and what a plugin wrote behind it: a path goes in front of that
/// query, and a query joins it.
struct Continued<'a> {
    address: &'a str,
    query: &'a str,
    path: &'a str,
    more: &'a str,
}

impl<'a> Continued<'a> {
    /// None where the one can simply follow the other.
    fn new(url: &'a str, rest: &'a str) -> Option<Self> {
        if !rest.starts_with(['/', '?']) {
            return None;
        }
        // A fragment never leaves.
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        let (address, query) = url.split_once('?')?;
        let (path, more) = rest.split_once('?').unwrap_or((rest, ""));
        Some(Self {
            address,
            query,
            path,
            more,
        })
    }
}

impl std::fmt::Display for Continued<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let and = if self.query.is_empty() || self.more.is_empty() {
            ""
        } else {
            "&"
        };
        let Self {
            address,
            query,
            path,
            more,
        } = self;
        write!(f, "{address}{path}?{query}{and}{more}")
    }
}

fn json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn form(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Escapes a text for the quotes of `content-disposition`, as browsers do.
fn quoted(text: &str) -> String {
    text.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;

    const URL: &str = "https://hooks.example/T0/key?x=1";
    const AWKWARD: &str = "a\"b&c=d/e?f#g h";

    fn sealed() -> SealedSettings {
        let schema = json!({"properties": {"url": {"x-secret": true}, "key": {"x-secret": true}, "pem": {"x-secret": true}}});
        SealedSettings::new(
            &json!({"url": URL, "key": AWKWARD, "pem": "1:T0K"}),
            &schema,
        )
    }

    fn text(chunks: &[&str]) -> Text {
        let chunk = |text: &&str| match text.strip_prefix('$') {
            Some(pointer) => Chunk::Secret(pointer.to_owned()),
            None => Chunk::Text((*text).to_owned()),
        };
        Text(chunks.iter().map(chunk).collect())
    }

    fn request(body: Option<Body>) -> Request {
        Request {
            method: "POST".to_owned(),
            url: text(&["https://a.example/"]),
            headers: Vec::new(),
            body,
            timeout_ms: None,
            auth: None,
            basic_auth: None,
            signature: None,
            options: Vec::new(),
        }
    }

    fn filled(request: &Request) -> Result<HttpRequest, NetFailure> {
        let mut call = HttpRequest::new("POST", "https://a.example/", Instant::now());
        Renderer(&sealed()).fill(&mut call, request.clone())?;
        Ok(call)
    }

    #[test]
    fn a_secret_in_a_url_is_the_url_or_one_part_of_it() {
        let sealed = sealed();
        for (chunks, written) in [
            (&["$/url"][..], URL.to_owned()),
            (
                &["$/url", "/messages/1"],
                "https://hooks.example/T0/key/messages/1?x=1".to_owned(),
            ),
            (
                &["$/url", "?wait=true"],
                "https://hooks.example/T0/key?x=1&wait=true".to_owned(),
            ),
            (
                &["$/url", "/messages/1?wait=true"],
                "https://hooks.example/T0/key/messages/1?x=1&wait=true".to_owned(),
            ),
            (&["$/url", "&y=2"], format!("{URL}&y=2")),
            (
                &["https://a.example/bot", "$/pem", "/send"],
                "https://a.example/bot1:T0K/send".to_owned(),
            ),
            (
                &["https://a.example/?k=", "$/key", "&x=1"],
                "https://a.example/?k=a%22b%26c%3Dd%2Fe%3Ff%23g%20h&x=1".to_owned(),
            ),
        ] {
            assert_eq!(Renderer(&sealed).url(&text(chunks)).unwrap(), written);
            let shown = sealed.redact(&written);
            assert!(
                !shown.contains(AWKWARD) && !shown.contains("T0/key"),
                "{shown}"
            );
            if chunks.contains(&"$/key") {
                assert_eq!(sealed.redact(&written), "https://a.example/?k=***&x=1");
            }
        }
        assert!(Renderer(&sealed).url(&text(&["$/title"])).is_err());
    }

    #[test]
    fn a_secret_in_a_body_can_not_become_another_field() {
        let json = Body::Json {
            json: text(&[r#"{"key":""#, "$/key", r#"","x":1}"#]),
        };
        let call = filled(&request(Some(json))).unwrap();
        assert_eq!(
            call.body.as_deref(),
            Some(&br#"{"key":"a\"b&c=d/e?f#g h","x":1}"#[..])
        );
        assert_eq!(
            call.headers,
            [("content-type".into(), "application/json".into())]
        );

        let form = Body::Form {
            form: vec![
                ("k&".to_owned(), text(&["Key ", "$/key"])),
                ("x".to_owned(), text(&["1&2"])),
            ],
        };
        let call = filled(&request(Some(form))).unwrap();
        assert_eq!(
            call.body.as_deref(),
            Some(&b"k%26=Key+a%22b%26c%3Dd%2Fe%3Ff%23g+h&x=1%262"[..])
        );
    }

    #[test]
    fn parts_are_apart_by_a_boundary_that_none_of_them_can_have() {
        let part = |name: &str, content| Part {
            name: name.to_owned(),
            file_name: None,
            content_type: None,
            content,
            attributes: Vec::new(),
        };
        let parts = || {
            vec![
                part("a\"\r\nb", Content::Text(text(&["v=", "$/key"]))),
                Part {
                    file_name: Some("f.bin".to_owned()),
                    content_type: Some("image/png".to_owned()),
                    ..part("file", Content::Bytes(vec![0, 255]))
                },
            ]
        };
        let multipart = Body::Multipart { multipart: parts() };
        let call = filled(&request(Some(multipart))).unwrap();
        let (_, content_type) = &call.headers[0];
        let boundary = content_type
            .strip_prefix("multipart/form-data; boundary=")
            .unwrap();
        let wanted = [
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"a%22%0D%0Ab\"\r\n\r\nv={AWKWARD}\r\n").as_bytes(),
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f.bin\"\r\ncontent-type: image/png\r\n\r\n").as_bytes(),
            &[0, 255],
            format!("\r\n--{boundary}--\r\n").as_bytes(),
        ]
        .concat();
        assert_eq!(call.body.as_deref(), Some(&wanted[..]));

        let mut broken = parts();
        broken[1].content_type = Some("a/b\r\nx: y".to_owned());
        assert!(filled(&request(Some(Body::Multipart { multipart: broken }))).is_err());
        let own_type = Request {
            headers: vec![("Content-Type".to_owned(), text(&["multipart/form-data"]))],
            ..request(Some(Body::Multipart { multipart: parts() }))
        };
        assert!(filled(&own_type).is_err());
    }

    #[test]
    fn authentication_and_signatures_are_made_by_the_host_alone() {
        let hmac = |header: &str, encoding: &str| Signature::Hmac {
            hmac: Hmac {
                header: header.to_owned(),
                algorithm: "hmac-sha256".to_owned(),
                encoding: encoding.to_owned(),
                prefix: "sha256=".to_owned(),
                secret: "/key".to_owned(),
                attributes: Vec::new(),
            },
        };
        let basic_auth = super::super::request::BasicAuth {
            username: text(&["me"]),
            password: text(&["$/pem"]),
            attributes: Vec::new(),
        };
        let signed = Request {
            basic_auth: Some(basic_auth.clone()),
            signature: Some(hmac("x-signature", "hex")),
            ..request(Some(Body::Bytes(b"body".to_vec())))
        };
        let code = extrack_signatures::mac(Algorithm::HmacSha256, AWKWARD.as_bytes(), &[b"body"]);
        let hex: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            filled(&signed).unwrap().headers,
            [
                ("authorization".to_owned(), basic("me:1:T0K")),
                ("x-signature".to_owned(), format!("sha256={hex}")),
            ]
        );
        let with = |name: &str, signature| Request {
            headers: vec![(name.to_owned(), text(&["own"]))],
            basic_auth: Some(basic_auth.clone()),
            signature: Some(signature),
            ..request(None)
        };
        for refused in [
            with("Authorization", hmac("x-signature", "hex")),
            with("X-Signature", hmac("x-signature", "base64")),
            with("accept", hmac("x-signature", "octal")),
            with("accept", hmac("host", "hex")),
            with("accept", hmac("x\r\ny", "hex")),
        ] {
            assert!(filled(&refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_recording_has_places_in_the_place_of_secrets() {
        let request = Request {
            headers: vec![
                ("accept".to_owned(), text(&["text/", "plain"])),
                ("authorization".to_owned(), text(&["Bearer ", "$/key"])),
            ],
            ..request(Some(Body::Json {
                json: text(&["{}"]),
            }))
        };
        assert_eq!(
            serde_json::to_value(&request).unwrap(),
            json!({
                "method": "POST",
                "url": "https://a.example/",
                "headers": [["accept", "text/plain"], ["authorization", ["Bearer ", {"secret": "/key"}]]],
                "body": {"json": "{}"},
                "timeout_ms": null,
                "auth": null,
                "options": [],
            })
        );
    }
}
