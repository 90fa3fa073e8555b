//! Charsets of bodies, and the same text as UTF-8. The header counts, then a byte order mark, then
//! the document's own declaration in its first 1,024 bytes; the names are those of the Encoding
//! Standard, as in browsers.

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use memchr::memmem;

/// Bytes of a document that are searched for its declaration (HTML, 13.2.3.2).
const SEARCHED_BYTES: usize = 1_024;

/// A charset that can't be read. The text is for people.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body's charset `{0}` is not known")]
pub(super) struct Unknown(String);

/// The body as UTF-8 without a byte order mark. Bytes that the charset does not have become U+FFFD,
/// except in UTF-8: there they are left to those who read.
pub(super) fn to_utf8(content_type: Option<&str>, body: Bytes) -> Result<Bytes, Unknown> {
    let encoding = charset(content_type, &body)?;
    if encoding == UTF_8 {
        let mark = if body.starts_with(b"\xef\xbb\xbf") {
            3
        } else {
            0
        };
        return Ok(body.slice(mark..));
    }
    let (text, _) = encoding.decode_with_bom_removal(&body);
    Ok(text.into_owned().into())
}

fn charset(content_type: Option<&str>, body: &[u8]) -> Result<&'static Encoding, Unknown> {
    let mark = Encoding::for_bom(body).map(|(encoding, _)| encoding);
    if let Some(label) = content_type.and_then(parameter) {
        let named = known(label)?;
        // `utf-16` leaves the order of the bytes to the mark.
        let is_utf16 = |encoding: &'static Encoding| encoding == UTF_16LE || encoding == UTF_16BE;
        return Ok(mark
            .filter(|mark| is_utf16(mark) && is_utf16(named))
            .unwrap_or(named));
    }
    if let Some(mark) = mark {
        return Ok(mark);
    }
    let is_document = content_type.is_none_or(|kind| {
        let kind = kind.to_ascii_lowercase();
        kind.contains("html") || kind.contains("xml")
    });
    match is_document.then(|| own_word(body)).flatten() {
        // What can be read as ASCII so far is not UTF-16.
        Some(label) => known(&label).map(|named| {
            if named == UTF_16LE || named == UTF_16BE {
                UTF_8
            } else {
                named
            }
        }),
        None => Ok(UTF_8),
    }
}

fn known(label: &str) -> Result<&'static Encoding, Unknown> {
    Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(|| {
        Unknown(
            label
                .chars()
                .take(40)
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect(),
        )
    })
}

/// The parameter `charset` of a media type.
fn parameter(content_type: &str) -> Option<&str> {
    let mut parameters = content_type
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    let label = value.trim().trim_matches(['"', '\'']).trim();
    (!label.is_empty()).then_some(label)
}

/// `<meta charset=…>`, `<meta … content="…; charset=…">` or `<?xml … encoding=…?>`.
fn own_word(body: &[u8]) -> Option<String> {
    let head = body[..body.len().min(SEARCHED_BYTES)].to_ascii_lowercase();
    if head.starts_with(b"<?xml") {
        return attribute(&head[..memmem::find(&head, b"?>")?], b"encoding");
    }
    let mut rest = &head[..];
    while let Some(start) = memmem::find(rest, b"<meta") {
        rest = &rest[start + b"<meta".len()..];
        let tag = &rest[..memchr::memchr(b'>', rest).unwrap_or(rest.len())];
        if let Some(label) = attribute(tag, b"charset") {
            return Some(label);
        }
    }
    None
}

/// Returns the value behind `NAME=` in a tag, with or without quotes.
fn attribute(tag: &[u8], name: &[u8]) -> Option<String> {
    let after = tag[memmem::find(tag, name)? + name.len()..].trim_ascii_start();
    let value = after.strip_prefix(b"=")?.trim_ascii_start();
    let value = value
        .strip_prefix(b"\"")
        .or(value.strip_prefix(b"'"))
        .unwrap_or(value);
    let end = value
        .iter()
        .position(|byte| b"\"';/> \t\r\n".contains(byte))
        .unwrap_or(value.len());
    let label = String::from_utf8_lossy(&value[..end]).into_owned();
    (!label.is_empty()).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, body: &[u8]) -> Result<String, String> {
        let content_type = (!content_type.is_empty()).then_some(content_type);
        let text = to_utf8(content_type, Bytes::copy_from_slice(body))
            .map_err(|unknown| unknown.to_string())?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn the_header_counts_then_the_mark_then_the_documents_own_word() {
        for (content_type, body, wanted) in [
            (
                "text/html; charset=ISO-8859-1",
                &b"St\xf6rung"[..],
                "Störung",
            ),
            ("text/html;Charset = \"latin1\"", b"St\xf6rung", "Störung"),
            ("text/html; charset=GBK", b"\xb7\xfe\xce\xf1", "服务"),
            ("text/plain; charset=utf-16", b"\xff\xfeo\0k\0", "ok"),
            ("text/plain; charset=utf-16", b"\xfe\xff\0o\0k", "ok"),
            ("text/plain; charset=utf-8", b"\xef\xbb\xbfok", "ok"),
            ("text/plain; charset=iso-8859-1", b"\xef\xbb\xbf", "ï»¿"),
            ("application/json", b"\xff\xfe\"\0o\0k\0\"\0", "\"ok\""),
            (
                "text/html",
                b"<html><META charset=iso-8859-1>\xe4",
                "<html><META charset=iso-8859-1>ä",
            ),
            (
                "",
                b"<meta name='charset'><meta charset = 'windows-1252'>\x80",
                "<meta name='charset'><meta charset = 'windows-1252'>€",
            ),
            (
                "text/html",
                b"<meta http-equiv=Content-Type content=\"text/html; charset=koi8-r\">\xc4\xc1",
                "<meta http-equiv=Content-Type content=\"text/html; charset=koi8-r\">да",
            ),
            (
                "application/xml",
                b"<?xml version='1.0' encoding='latin1'?>\xfc",
                "<?xml version='1.0' encoding='latin1'?>ü",
            ),
            (
                "text/html",
                b"<meta charset=utf-16>\xc3\xa4",
                "<meta charset=utf-16>ä",
            ),
            (
                "application/json",
                b"{\"a\": \"<meta charset=latin1>\xc3\xa4\"}",
                "{\"a\": \"<meta charset=latin1>ä\"}",
            ),
            ("text/html; charset=", "ä".as_bytes(), "ä"),
            ("text/html", b"<meta charset>", "<meta charset>"),
            ("", b"", ""),
        ] {
            assert_eq!(
                read(content_type, body).as_deref(),
                Ok(wanted),
                "{content_type}"
            );
        }
    }

    #[test]
    fn a_charset_that_is_not_known_is_named() {
        for (content_type, body) in [
            ("text/plain; charset=x-martian", &b"\xff"[..]),
            ("text/html", b"<meta charset=x-martian>"),
        ] {
            assert_eq!(
                read(content_type, body).unwrap_err(),
                "the body's charset `x-martian` is not known"
            );
        }
    }

    #[test]
    fn a_word_behind_the_first_kibibyte_is_not_looked_for() {
        let body = [
            " ".repeat(SEARCHED_BYTES).as_bytes(),
            b"<meta charset=latin1>\xc3\xa4",
        ]
        .concat();
        assert!(read("text/html", &body).unwrap().ends_with('ä'));
    }
}
