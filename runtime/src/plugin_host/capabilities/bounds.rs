//! How long the parts of a host call may be. What is longer than any use of it is refused before it
//! is looked at, so that no part, however it is used later, makes work or texts of megabytes.

use crate::plugin_host::contract::bindings::imports::dns::Query;
use crate::plugin_host::contract::bindings::imports::http::Request;
use crate::plugin_host::contract::bindings::imports::mail::Message;
use crate::plugin_host::contract::bindings::imports::types::Value;

/// A name of a host, a record type, an algorithm: DNS allows 255 bytes, the rest is for
/// placeholders and literals.
const NAME_BYTES: usize = 1 << 10;

const METHOD_BYTES: usize = 64;
const URL_BYTES: usize = 64 << 10;
const HEADERS: usize = 256;
const HEADERS_BYTES: usize = 256 << 10;
const OPTIONS: usize = 32;
const OPTION_KEY_BYTES: usize = 64;
const OPTION_TEXT_BYTES: usize = 16 << 10;

const RECIPIENTS: usize = 1_000;
const SUBJECT_BYTES: usize = 64 << 10;

/// Of one text: what it is, for people.
pub(super) fn name(what: &str, text: &str) -> Result<(), String> {
    text_of(what, text, NAME_BYTES)
}

pub(super) fn request(request: &Request) -> Result<(), String> {
    text_of("the method", &request.method, METHOD_BYTES)?;
    text_of("the URL", &request.url, URL_BYTES)?;
    headers(&request.headers)?;
    request
        .auth
        .as_deref()
        .map_or(Ok(()), |auth| name("the name of a credential", auth))?;
    count("request options", request.options.len(), OPTIONS)?;
    for option in &request.options {
        text_of(
            "the name of a request option",
            &option.key,
            OPTION_KEY_BYTES,
        )?;
        if let Value::Text(text) = &option.value {
            text_of(
                &format!("request option `{}`", option.key),
                text,
                OPTION_TEXT_BYTES,
            )?;
        }
    }
    Ok(())
}

pub(super) fn headers(headers: &[(String, String)]) -> Result<(), String> {
    count("headers", headers.len(), HEADERS)?;
    let bytes = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    length("the headers together", bytes, HEADERS_BYTES)
}

pub(super) fn query(query: &Query) -> Result<(), String> {
    name("the name", &query.name)?;
    name("the record type", &query.record_type)?;
    query
        .server
        .as_deref()
        .map_or(Ok(()), |server| name("the server", server))
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
    use crate::plugin_host::contract::bindings::imports::types::Entry;

    #[test]
    fn no_part_of_a_request_is_longer_than_any_use_of_it() {
        let usual = || Request {
            method: "GET".into(),
            url: "https://a.example/".into(),
            headers: vec![("accept".into(), "text/plain".into())],
            body: Some(vec![0; 8 << 20]),
            timeout_ms: None,
            auth: Some("default".into()),
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
                    url: large(),
                    ..usual()
                },
                "the URL takes",
            ),
            (
                Request {
                    headers: vec![(String::new(), large())],
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
