//! How long the parts of a host call may be. What is longer than any use of it is refused before it
//! is looked at, so that no part, however it is used later, makes work or texts of megabytes.

use super::http::{Body, Request};
use super::text::Text;
use crate::plugin_host::contract::bindings::imports::dns::Query;
use crate::plugin_host::contract::bindings::imports::mail::Message;
use crate::plugin_host::contract::bindings::imports::net::Target;
use crate::plugin_host::contract::bindings::imports::stream::TlsOptions;
use crate::plugin_host::contract::bindings::imports::types::{Entry, Value};

/// A name of a host, a record type, an algorithm: DNS allows 255 bytes, the rest is for literals.
const NAME_BYTES: usize = 1 << 10;

const METHOD_BYTES: usize = 64;
const URL_BYTES: usize = 64 << 10;
const HEADERS: usize = 256;
const HEADERS_BYTES: usize = 256 << 10;
const OPTIONS: usize = 32;
const OPTION_KEY_BYTES: usize = 64;
const OPTION_TEXT_BYTES: usize = 16 << 10;
/// Pieces of one text, which are as many as its secrets and the texts around them.
const CHUNKS: usize = 256;
/// Fields of a form, parts of a body.
const FIELDS: usize = 1_000;

/// Protocols that a handshake may offer.
const PROTOCOLS: usize = 16;

const RECIPIENTS: usize = 1_000;
const SUBJECT_BYTES: usize = 64 << 10;

/// Checks the length of a name; `what` names it for people.
pub(super) fn name(what: &str, text: &str) -> Result<(), String> {
    text_of(what, text, NAME_BYTES)
}

/// Checks the length of a URL.
pub(super) fn url(text: &str) -> Result<(), String> {
    text_of("the URL", text, URL_BYTES)
}

pub(super) fn request(request: &Request) -> Result<(), String> {
    text_of("the method", &request.method, METHOD_BYTES)?;
    chunks("the URL", &request.url, URL_BYTES)?;
    count("headers", request.headers.len(), HEADERS)?;
    for (_, value) in &request.headers {
        chunks("a header", value, HEADERS_BYTES)?;
    }
    let bytes = texts_size(&request.headers);
    length("the headers together", bytes, HEADERS_BYTES)?;
    if let Some(body) = &request.body {
        self::body(body)?;
    }
    request
        .auth
        .as_deref()
        .map_or(Ok(()), |auth| name("the name of a credential", auth))?;
    if let Some(basic) = &request.basic_auth {
        chunks("the user name", basic.username(), HEADERS_BYTES)?;
        chunks("the password", basic.password(), HEADERS_BYTES)?;
    }
    if let Some(signature) = &request.signature {
        for part in signature.texts() {
            name("a part of the signature", part)?;
        }
    }
    entries("request option", &request.options)
}

/// Checks what an open record has beside its fields.
fn entries(what: &str, entries: &[Entry]) -> Result<(), String> {
    count(&format!("{what}s"), entries.len(), OPTIONS)?;
    for option in entries {
        text_of(
            &format!("the name of a {what}"),
            &option.key,
            OPTION_KEY_BYTES,
        )?;
        if let Value::Text(text) = &option.value {
            text_of(&format!("{what} `{}`", option.key), text, OPTION_TEXT_BYTES)?;
        }
    }
    Ok(())
}

/// The size of a body is bounded by what a guest may hand over.
fn body(body: &Body) -> Result<(), String> {
    match body {
        Body::Bytes(_) => Ok(()),
        Body::Json { json } => count("pieces of the body", json.chunks(), FIELDS),
        Body::Form { form } => {
            count("fields of the form", form.len(), FIELDS)?;
            form.iter()
                .try_for_each(|(_, value)| count("pieces of a field", value.chunks(), CHUNKS))
        }
        Body::Multipart { multipart } => count("parts of the body", multipart.len(), FIELDS),
    }
}

/// Bytes of a request as the guest hands it over, which is what it can carry out.
pub(super) fn size(request: &Request) -> usize {
    let body = request.body.as_ref().map_or(0, |body| match body {
        Body::Bytes(bytes) => bytes.len(),
        Body::Json { json } => json.len(),
        Body::Form { form } => texts_size(form),
        Body::Multipart { multipart } => multipart.iter().map(|part| part.len()).sum(),
    });
    request.method.len() + request.url.len() + texts_size(&request.headers) + body
}

fn texts_size(texts: &[(String, Text)]) -> usize {
    texts
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum()
}

fn chunks(what: &str, text: &Text, most: usize) -> Result<(), String> {
    count(&format!("pieces of {what}"), text.chunks(), CHUNKS)?;
    length(what, text.len(), most)
}

/// Checks the pieces of a write, by the chunks of each; the size of bytes is bounded by what a guest
/// may hand over.
pub(super) fn pieces(mut chunks: impl ExactSizeIterator<Item = usize>) -> Result<(), String> {
    count("pieces", chunks.len(), FIELDS)?;
    chunks.try_for_each(|chunks| count("pieces of a text", chunks, CHUNKS))
}

pub(super) fn headers(headers: &[(String, String)]) -> Result<(), String> {
    count("headers", headers.len(), HEADERS)?;
    let bytes = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    length("the headers together", bytes, HEADERS_BYTES)
}

pub(super) fn target(target: &Target) -> Result<(), String> {
    name("the host", &target.host)?;
    entries("attribute", &target.attributes)
}

pub(super) fn tls_options(options: &TlsOptions) -> Result<(), String> {
    name(
        "the server name",
        options.server_name.as_deref().unwrap_or_default(),
    )?;
    count("protocols", options.alpn.len(), PROTOCOLS)?;
    options
        .alpn
        .iter()
        .try_for_each(|protocol| name("the name of a protocol", protocol))?;
    entries("attribute", &options.attributes)
}

pub(super) fn query(query: &Query) -> Result<(), String> {
    name("the name", &query.name)?;
    name("the record type", &query.record_type)?;
    query
        .server
        .as_deref()
        .map_or(Ok(()), |server| name("the server", server))?;
    entries("attribute", &query.attributes)
}

pub(super) fn message(message: &Message) -> Result<(), String> {
    message
        .from
        .as_deref()
        .map_or(Ok(()), |from| name("the sender", from))?;
    name("the id", &message.id)?;
    count("recipients", message.to.len(), RECIPIENTS)?;
    message
        .to
        .iter()
        .try_for_each(|recipient| name("a recipient", recipient))?;
    text_of("the subject", &message.subject, SUBJECT_BYTES)
}

fn text_of(what: &str, text: &str, most: usize) -> Result<(), String> {
    length(what, text.len(), most)
}

fn length(what: &str, bytes: usize, most: usize) -> Result<(), String> {
    if bytes <= most {
        Ok(())
    } else {
        Err(format!(
            "{what} takes {bytes} bytes; at most {most} are taken"
        ))
    }
}

fn count(what: &str, count: usize, most: usize) -> Result<(), String> {
    if count <= most {
        Ok(())
    } else {
        Err(format!(
            "there are {count} {what}; at most {most} are taken"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_request_is_longer_than_any_use_of_it() {
        let usual = || Request {
            method: "GET".into(),
            url: "https://a.example/".to_owned().into(),
            headers: vec![("accept".into(), "text/plain".to_owned().into())],
            body: Some(Body::Bytes(vec![0; 8 << 20])),
            timeout_ms: None,
            auth: Some("default".into()),
            basic_auth: None,
            signature: None,
            options: vec![Entry {
                key: "insecure".into(),
                value: Value::Boolean(true),
            }],
        };
        assert_eq!(request(&usual()), Ok(()));
        let option = |key: String, value: String| {
            vec![Entry {
                key,
                value: Value::Text(value),
            }]
        };
        let large = || "x".repeat(1 << 20);
        for (long, wanted) in [
            (
                Request {
                    method: large(),
                    ..usual()
                },
                "the method takes 1048576 bytes",
            ),
            (
                Request {
                    url: large().into(),
                    ..usual()
                },
                "the URL takes",
            ),
            (
                Request {
                    headers: vec![(large(), String::new().into())],
                    ..usual()
                },
                "the headers together take",
            ),
            (
                Request {
                    headers: vec![Default::default(); 257],
                    ..usual()
                },
                "there are 257 headers",
            ),
            (
                Request {
                    body: Some(Body::Form {
                        form: vec![Default::default(); 1_001],
                    }),
                    ..usual()
                },
                "there are 1001 fields of the form",
            ),
            (
                Request {
                    auth: Some(large()),
                    ..usual()
                },
                "the name of a credential takes",
            ),
            (
                Request {
                    options: option(large(), String::new()),
                    ..usual()
                },
                "the name of a request option takes",
            ),
            (
                Request {
                    options: option("server-name".into(), large()),
                    ..usual()
                },
                "request option `server-name` takes",
            ),
            (
                Request {
                    options: vec![usual().options.remove(0); 33],
                    ..usual()
                },
                "there are 33 request options",
            ),
        ] {
            let fault = request(&long).unwrap_err();
            assert!(
                fault.starts_with(wanted.trim_end_matches("take")),
                "{fault}"
            );
            assert!(fault.len() < 200);
        }
    }
}
