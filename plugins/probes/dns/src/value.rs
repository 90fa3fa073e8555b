//! Values of records as name servers give them and as people write them, in one form in which equal
//! values are equal.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::RecordType;

/// The value in its one form: addresses and names in lower case, texts in one piece and without
/// quotes. The error is the form that was wanted.
pub(crate) fn normal(record_type: RecordType, text: &str) -> Result<String, &'static str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let found = match record_type {
        RecordType::A => text
            .trim()
            .parse::<Ipv4Addr>()
            .ok()
            .map(|address| address.to_string()),
        RecordType::Aaaa => text
            .trim()
            .parse::<Ipv6Addr>()
            .ok()
            .map(|address| address.to_string()),
        RecordType::Cname | RecordType::Ns | RecordType::Ptr => match words.as_slice() {
            [word] => name(word),
            _ => None,
        },
        RecordType::Mx => fields(&words, 1),
        RecordType::Srv => fields(&words, 3),
        RecordType::Soa => soa(&words),
        RecordType::Caa => caa(text),
        RecordType::Txt => Some(joined(text)),
    };
    found.ok_or(form(record_type))
}

fn form(record_type: RecordType) -> &'static str {
    match record_type {
        RecordType::A => "an IPv4 address, such as `192.0.2.1`",
        RecordType::Aaaa => "an IPv6 address, such as `2001:db8::1`",
        RecordType::Cname | RecordType::Ns | RecordType::Ptr => {
            "a name, such as `www.example.com` (others than ASCII as `xn--…`)"
        }
        RecordType::Mx => "preference and name, such as `10 mail.example.com`",
        RecordType::Srv => "priority, weight, port and name, such as `0 5 5060 sip.example.com`",
        RecordType::Soa => {
            "all seven fields, such as `ns1.example.com admin.example.com 7 3600 600 86400 60`, or use `contains`"
        }
        RecordType::Caa => "flags, tag and value, such as `0 issue letsencrypt.org`",
        RecordType::Txt => "the text",
    }
}

/// Whether a part that somebody wrote is in a value of the one form. A whole address is not a part
/// of another one.
pub(crate) fn contains(record_type: RecordType, value: &str, part: &str) -> bool {
    match record_type {
        RecordType::Txt => value.contains(&joined(part)),
        RecordType::A | RecordType::Aaaa => match normal(record_type, part) {
            Ok(address) => value == address,
            Err(_) => value.contains(&part.to_ascii_lowercase()),
        },
        _ => {
            let part = part.replace('"', "").to_ascii_lowercase();
            value.contains(part.strip_suffix('.').unwrap_or(&part))
        }
    }
}

/// Names are the same in any case and with or without the dot at the end.
fn name(text: &str) -> Option<String> {
    let is_name = text.is_ascii() && !text.is_empty() && !text.contains('"');
    is_name.then(|| match text.strip_suffix('.') {
        Some(rest) if !rest.is_empty() => rest.to_ascii_lowercase(),
        _ => text.to_ascii_lowercase(),
    })
}

/// So many numbers of 16 bits, and a name behind them.
fn fields(words: &[&str], numbers: usize) -> Option<String> {
    let (last, first) = words.split_last()?;
    if first.len() != numbers {
        return None;
    }
    let first: Option<Vec<String>> = first
        .iter()
        .map(|word| Some(word.parse::<u16>().ok()?.to_string()))
        .collect();
    Some(format!("{} {}", first?.join(" "), name(last)?))
}

fn soa(words: &[&str]) -> Option<String> {
    let [primary, mailbox, numbers @ ..] = words else {
        return None;
    };
    let numbers: Option<Vec<String>> = numbers
        .iter()
        .map(|word| Some(word.parse::<u32>().ok()?.to_string()))
        .collect();
    let numbers = numbers.filter(|numbers| numbers.len() == 5)?;
    Some(format!(
        "{} {} {}",
        name(primary)?,
        name(mailbox)?,
        numbers.join(" ")
    ))
}

fn caa(text: &str) -> Option<String> {
    let (flags, rest) = text.trim().split_once(char::is_whitespace)?;
    let (tag, value) = rest.trim().split_once(char::is_whitespace)?;
    let flags: u8 = flags.parse().ok()?;
    Some(format!("{flags} {tag} {}", joined(value.trim())).to_ascii_lowercase())
}

/// A text that stands in quotes, in one piece or in several, as one text without them; any other as
/// it is. The pieces are joined without a space: where they are split means nothing (RFC 7208, 3.3;
/// RFC 6376, 3.6.2.2).
fn joined(text: &str) -> String {
    let Some(bytes) = pieces(text.trim()) else {
        return text.to_owned();
    };
    let mut joined = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        joined.push_str(chunk.valid());
        for byte in chunk.invalid() {
            joined.push_str(&format!("\\{byte:03}"));
        }
    }
    joined
}

/// The bytes of character strings in the presentation form of RFC 1035; none if the text is
/// something else.
fn pieces(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    let mut count = 0;
    while let Some(byte) = rest.next() {
        if byte.is_ascii_whitespace() && count > 0 {
            continue;
        }
        if byte != b'"' {
            return None;
        }
        count += 1;
        loop {
            match rest.next()? {
                b'"' => break,
                b'\\' => bytes.push(escaped(&mut rest)?),
                other => bytes.push(other),
            }
        }
    }
    (count > 0).then_some(bytes)
}

/// Three digits are a byte, anything else is itself.
fn escaped(rest: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = rest.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, rest.next()?, rest.next()?];
    std::str::from_utf8(&digits).ok()?.parse().ok()
}
