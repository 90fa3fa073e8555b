//! The little of XML that feeds are made of: elements, texts, references, CDATA. What is damaged
//! ends early and never fails.

/// Entries of a feed that are read; the latest come first.
const MOST_ENTRIES: usize = 200;

/// An entry of a feed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) title: String,
    /// HTML, or plain text.
    pub(crate) text: String,
    pub(crate) link: String,
    pub(crate) published: String,
    pub(crate) updated: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    /// Name and attributes of an element that is opened, and whether it is closed at once.
    Open(&'a str, &'a str, bool),
    Close(&'a str),
    Text(String),
}

/// Returns the entries of RSS, RDF or Atom; none for anything else.
pub(crate) fn entries(document: &str) -> Option<Vec<Entry>> {
    let mut rest = document;
    let mut is_feed = false;
    let mut entries = Vec::new();
    let mut entry: Option<Entry> = None;
    // Elements that are open within the entry, outermost first.
    let mut open: Vec<&str> = Vec::new();
    while let Some(token) = next(&mut rest) {
        match token {
            Token::Open(name, _, _) if !is_feed => {
                if !matches!(name, "rss" | "feed" | "RDF") {
                    return None;
                }
                is_feed = true;
            }
            Token::Open("item" | "entry", _, false) if entry.is_none() => {
                entry = Some(Entry::default());
            }
            Token::Open(name, attributes, is_closed) => {
                if let Some(entry) = entry.as_mut().filter(|_| open.is_empty()) {
                    note_link(entry, name, attributes);
                }
                if entry.is_some() && !is_closed {
                    open.push(name);
                }
            }
            Token::Close("item" | "entry") => {
                open.clear();
                entries.extend(entry.take());
                if entries.len() == MOST_ENTRIES {
                    break;
                }
            }
            Token::Close(name) => {
                if let Some(depth) = open.iter().rposition(|opened| *opened == name) {
                    open.truncate(depth);
                }
            }
            Token::Text(text) => {
                if let (Some(entry), Some(outermost)) = (entry.as_mut(), open.first()) {
                    note_text(entry, outermost, &text);
                }
            }
        }
    }
    is_feed.then_some(entries)
}

/// Atom has links in an attribute.
fn note_link(entry: &mut Entry, name: &str, attributes: &str) {
    let is_main = attribute(attributes, "rel").is_none_or(|rel| rel == "alternate");
    if name == "link" && is_main && entry.link.is_empty() {
        entry.link = attribute(attributes, "href").unwrap_or_default();
    }
}

fn note_text(entry: &mut Entry, element: &str, text: &str) {
    let field = match element {
        "guid" | "id" => &mut entry.id,
        "title" => &mut entry.title,
        "description" | "summary" | "content" | "encoded" => &mut entry.text,
        "link" => &mut entry.link,
        "pubDate" | "published" | "date" => &mut entry.published,
        "updated" => &mut entry.updated,
        _ => return,
    };
    if matches!(element, "description" | "summary" | "content" | "encoded") {
        field.push_str(text);
        field.push(' ');
    } else {
        field.push_str(text.trim());
    }
}

/// Takes one token off; none at the end.
fn next<'a>(rest: &mut &'a str) -> Option<Token<'a>> {
    loop {
        let text = *rest;
        if text.is_empty() {
            return None;
        }
        if let Some(inside) = text.strip_prefix("<![CDATA[") {
            let (data, behind) = inside.split_once("]]>").unwrap_or((inside, ""));
            *rest = behind;
            return Some(Token::Text(data.to_owned()));
        }
        if let Some(inside) = text.strip_prefix("<!--") {
            *rest = inside.split_once("-->").map_or("", |(_, behind)| behind);
            continue;
        }
        if text.starts_with("<?") || text.starts_with("<!") {
            *rest = text.split_once('>').map_or("", |(_, behind)| behind);
            continue;
        }
        if let Some(inside) = text.strip_prefix('<') {
            let length = tag_length(inside);
            let tag = &inside[..length];
            *rest = inside[length..].strip_prefix('>').unwrap_or("");
            return Some(element(tag));
        }
        let end = text.find('<').unwrap_or(text.len());
        *rest = &text[end..];
        return Some(Token::Text(unescaped(&text[..end])));
    }
}

/// Length of a tag without its brackets; a `>` within quotes does not end it.
fn tag_length(text: &str) -> usize {
    let mut quote = None;
    for (place, letter) in text.char_indices() {
        match (quote, letter) {
            (None, '>') => return place,
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
    }
    text.len()
}

fn element(tag: &str) -> Token<'_> {
    if let Some(name) = tag.strip_prefix('/') {
        return Token::Close(local(name.trim()));
    }
    let (tag, is_closed) = match tag.strip_suffix('/') {
        Some(tag) => (tag, true),
        None => (tag, false),
    };
    let end = tag
        .find(|c: char| c.is_ascii_whitespace())
        .unwrap_or(tag.len());
    let (name, attributes) = tag.split_at(end);
    Token::Open(local(name), attributes, is_closed)
}

/// The name without the prefix of a namespace that feeds use for their own fields: `media:title` is
/// no title.
fn local(name: &str) -> &str {
    match name.split_once(':') {
        Some(("rdf" | "rss" | "atom" | "content" | "dc", local)) => local,
        _ => name,
    }
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut rest = attributes;
    loop {
        let (key, behind) = rest.split_once('=')?;
        let behind = behind.trim_start();
        let quote = behind.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, after) = behind[1..].split_once(quote)?;
        if key.trim() == name {
            return Some(unescaped(value));
        }
        rest = after;
    }
}

/// Puts in what references stand for; those that are not known stay.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        plain.push_str(before);
        let reference = behind
            .split_once(';')
            .and_then(|(name, after)| Some((character(name)?, after)));
        match reference {
            Some((letter, after)) => {
                plain.push(letter);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = behind;
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn character(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => return None,
    })
}

/// The words of HTML, with a space in place of each tag.
pub(crate) fn without_tags(html: &str) -> String {
    let mut rest = html;
    let mut words = String::new();
    while let Some(token) = next(&mut rest) {
        if let Token::Text(text) = token {
            words.push_str(&text);
        }
        words.push(' ');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_rss_and_atom_are_read() {
        let rss = r#"<?xml version="1.0"?><!-- a > b --><rss version="2.0"><channel><title>Acme</title>
            <item><title>API &amp; mail</title><description><![CDATA[<p><b>Resolved</b> now</p>]]></description>
            <pubDate>Thu, 01 Jan 2026 12:00:00 GMT</pubDate><link>https://s.example/1</link><guid isPermaLink="false">g1</guid></item>
            <item><title>Second</title><media:title>not it</media:title></item></channel></rss>"#;
        let read = entries(rss).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].title, "API & mail");
        assert_eq!(read[1].title, "Second");
        assert_eq!(
            (read[0].id.as_str(), read[0].link.as_str()),
            ("g1", "https://s.example/1")
        );
        assert_eq!(read[0].published, "Thu, 01 Jan 2026 12:00:00 GMT");
        assert_eq!(
            without_tags(&read[0].text)
                .split_whitespace()
                .collect::<Vec<_>>(),
            ["Resolved", "now"]
        );
        let atom = r#"<feed xmlns="http://www.w3.org/2005/Atom"><id>feed</id><entry><id>tag:1</id><link rel="self" href="x"/>
            <link rel="alternate" type="text/html" href="https://s.example/2?a=1&amp;b=2"/><title type="html">Down &#x2013; all</title>
            <updated>2026-01-01T12:00:00Z</updated><author><name>not the title</name></author>
            <content type="html">&lt;p&gt;&lt;strong&gt;Investigating&lt;/strong&gt;&lt;/p&gt;</content></entry></feed>"#;
        let read = entries(atom).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].title, "Down – all");
        assert_eq!(
            (read[0].id.as_str(), read[0].link.as_str()),
            ("tag:1", "https://s.example/2?a=1&b=2")
        );
        assert!(without_tags(&read[0].text).contains("Investigating"));
    }

    #[test]
    fn what_is_no_feed_or_is_damaged_fails_nothing() {
        for text in [
            "",
            "{}",
            "<html><item/></html>",
            "<!DOCTYPE html><html>",
            "<",
        ] {
            assert_eq!(entries(text), None, "{text}");
        }
        for text in [
            "<rss>",
            "<rss><item><title>open",
            "<rss><item><title a='>'>b</title",
            "<rss><![CDATA[",
            "<feed><entry><link href=></entry>&#xd800;&é;</feed",
        ] {
            assert!(entries(text).is_some(), "{text}");
        }
        assert_eq!(entries("<rss><channel/></rss>"), Some(Vec::new()));
    }
}
