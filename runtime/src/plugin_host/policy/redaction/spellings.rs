//! The ways a secret is written in an answer: as it is, escaped for JSON, HTML or a URL, or as part
//! of something in base64.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::{Position, Url};

use crate::domain::MIN_HIDDEN_BYTES;

/// Characters that are kept both in a segment of a path and in a value of a query.
const KEPT_IN_URLS: &str = "-._~:@!$'()*,";

/// A secret as one segment of a path, or one value of a query.
pub(in crate::plugin_host) fn in_url(secret: &str) -> String {
    percent(secret, KEPT_IN_URLS)
}

/// Spellings of all the secrets, each once.
pub(super) fn of(secrets: &[String]) -> BTreeSet<Vec<u8>> {
    let mut spellings = BTreeSet::new();
    for secret in secrets {
        spell(secret, &mut spellings);
        // As it stands in a query or a form: an echo codes it once more.
        let coded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        if coded != *secret {
            spell(&coded, &mut spellings);
        }
        // Of a secret URL, a server sees and returns what follows its own name.
        if let Ok(url) = Url::parse(secret)
            && url.has_host()
        {
            let raw = secret
                .split_once("://")
                .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
            for path in [Some(&url[Position::BeforePath..]), raw]
                .into_iter()
                .flatten()
            {
                spell(path, &mut spellings);
            }
        }
    }
    spellings.retain(|spelling| spelling.len() >= MIN_HIDDEN_BYTES);
    spellings
}

fn spell(secret: &str, spellings: &mut BTreeSet<Vec<u8>>) {
    let json = serde_json::Value::from(secret).to_string();
    let json = &json[1..json.len() - 1];
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    // RFC 3986 keeps `-._~` only, JavaScript's `encodeURIComponent` some more, a path and a query
    // most.
    let strict = percent(secret, "-._~");
    let component = percent(secret, "-._~!'()*");
    let path = percent(secret, "-._~!'()*$&+,;=:@/%|[]\\^");
    let query = percent(secret, "-._~!()*$&+,;=:@/?%|[]\\^`{}");
    // As the host itself writes it into a URL.
    let url = percent(secret, KEPT_IN_URLS);
    let html = secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    for text in [&form, &strict, &component, &path, &query, &url] {
        spellings.insert(lower_hex(text).into_bytes());
    }
    for text in [
        secret.to_owned(),
        // Host names, and the names of headers.
        secret.to_ascii_lowercase(),
        json.to_owned(),
        json.replace('/', "\\/"),
        ascii_json(json),
        html.replace('\'', "&#39;"),
        html.replace('\'', "&#x27;"),
        html,
        form,
        strict,
        component,
        path,
        query,
        url,
    ] {
        spellings.insert(text.into_bytes());
    }
    for shift in 0..3 {
        spellings.insert(base64_part(secret, shift, |bytes| {
            STANDARD_NO_PAD.encode(bytes)
        }));
        spellings.insert(base64_part(secret, shift, |bytes| {
            URL_SAFE_NO_PAD.encode(bytes)
        }));
    }
}

/// Escapes all but letters, digits and `kept`.
fn percent(text: &str, kept: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || kept.as_bytes().contains(&b) => {
                escaped.push(char::from(b))
            }
            b => escaped.push_str(&format!("%{b:02X}")),
        }
    }
    escaped
}

/// `%2F` as `%2f`.
fn lower_hex(text: &str) -> String {
    let mut rest = 0;
    let lowered = text.chars().map(|character| {
        rest = if character == '%' {
            2
        } else {
            i32::max(rest - 1, -1)
        };
        if (0..2).contains(&rest) {
            character.to_ascii_lowercase()
        } else {
            character
        }
    });
    lowered.collect()
}

/// `ü` as `\u00fc`.
fn ascii_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    }
    escaped
}

/// The characters of base64 that the secret alone decides when `shift` bytes, up to multiples of
/// three, stand before it.
fn base64_part(secret: &str, shift: usize, encode: impl FnOnce(&[u8]) -> String) -> Vec<u8> {
    let bytes = [&[0; 2][..shift], secret.as_bytes()].concat();
    let whole = bytes.len() * 8 / 6;
    let first = (shift * 8).div_ceil(6);
    encode(&bytes).as_bytes()[first.min(whole)..whole].to_vec()
}
