//! The text of a `.env` file. A value is what stands there: nothing in it is replaced, run or cut
//! off, and what could mean two things is a fault.

use std::collections::HashMap;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) line: u32,
}

/// Faults and warnings have the line and never the value, which may be secret.
#[derive(Debug, Default)]
pub(super) struct EnvFile {
    /// Each name once.
    pub(super) entries: Vec<Entry>,
    pub(super) faults: Vec<(u32, String)>,
    pub(super) warnings: Vec<(u32, String)>,
}

impl EnvFile {
    pub(super) fn parse(text: &str) -> Self {
        let mut file = Self::default();
        let mut seen: HashMap<String, u32> = HashMap::new();
        let (mut rest, mut line) = (text.trim_start_matches('\u{feff}'), 1);
        while !rest.is_empty() {
            let start = line;
            let (entry, behind) = next_entry(rest);
            line +=
                u32::try_from(rest[..rest.len() - behind.len()].matches('\n').count()).unwrap_or(0);
            rest = behind;
            let (name, value) = match entry {
                Ok(None) => continue,
                Ok(Some(pair)) => pair,
                Err(message) => {
                    file.faults.push((start, message));
                    continue;
                }
            };
            if let Some(first) = seen.insert(name.clone(), start) {
                file.faults.push((
                    start,
                    format!("`{name}` is given twice; the first time in line {first}"),
                ));
                continue;
            }
            file.entries.push(Entry {
                name,
                value,
                line: start,
            });
        }
        file.note_references();
        file
    }

    /// Other readers put variables in for `$NAME`: where that was hardly meant as text, it is said.
    fn note_references(&mut self) {
        let names: Vec<&str> = self
            .entries
            .iter()
            .map(|entry| entry.name.as_str())
            .collect();
        let mut warnings = Vec::new();
        for Entry { name, value, line } in &self.entries {
            let mut words = value
                .split('$')
                .skip(1)
                .map(|part| &part[..part.len() - part.trim_start_matches(in_name).len()]);
            if let Some(known) = words.find(|word| names.contains(word)) {
                let message = format!(
                    "`{name}` holds `${known}`, which stays as it is: variables are not put in here"
                );
                warnings.push((*line, message));
            }
        }
        self.warnings = warnings;
    }
}

type Pair = (String, String);

/// One line, or those that a value in quotation marks goes over; and what follows. After a fault
/// the next line follows.
fn next_entry(text: &str) -> (Result<Option<Pair>, String>, &str) {
    let (line, behind) = text.split_once('\n').unwrap_or((text, ""));
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return (Ok(None), behind);
    }
    let Some((before, _)) = line.split_once('=') else {
        return (Err(no_pair()), behind);
    };
    let name = before.trim();
    let name = name
        .strip_prefix("export")
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .unwrap_or(name)
        .trim();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        || !name.chars().all(|c| in_name(c) || c == '.')
    {
        return (Err(no_pair()), behind);
    }
    // Of the whole text, because a value in quotation marks may go over lines.
    let value = text[before.len() + 1..].trim_start_matches([' ', '\t']);
    let pair = |value: String| Some((name.to_owned(), value));
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => match quoted(name, quote, &value[1..]) {
            Ok((value, behind)) => (Ok(pair(value)), behind),
            Err(message) => (Err(message), behind),
        },
        _ => (bare(name, &line[before.len() + 1..]).map(pair), behind),
    }
}

fn no_pair() -> String {
    "is not `NAME=value`; put a value with spaces or `#` in quotes".to_owned()
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Reads a value without quotation marks, in which every character means itself, up to a `#` behind
/// a space.
fn bare(name: &str, text: &str) -> Result<String, String> {
    let comment = text
        .char_indices()
        .zip(text.chars().skip(1))
        .find(|((_, c), next)| c.is_whitespace() && *next == '#');
    let value = comment.map_or(text, |((at, _), _)| &text[..at]).trim();
    if value.contains(char::is_whitespace) {
        return Err(format!(
            "the value of `{name}` has a space; put it in single quotes"
        ));
    }
    replaced(name, value)?;
    Ok(value.to_owned())
}

/// Reads from behind the opening quotation mark: the value, and the text behind its line.
fn quoted<'t>(name: &str, quote: char, text: &'t str) -> Result<(String, &'t str), String> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        if c == quote {
            let (after, behind) = text[at + 1..]
                .split_once('\n')
                .unwrap_or((&text[at + 1..], ""));
            let after_trimmed = after.trim();
            let is_comment =
                after_trimmed.starts_with('#') && after.starts_with(char::is_whitespace);
            if !after_trimmed.is_empty() && !is_comment {
                let other = if quote == '"' {
                    "single quotes"
                } else {
                    "double quotes"
                };
                return Err(format!(
                    "the value of `{name}` goes on behind its closing `{quote}`; put all of it in {other}"
                ));
            }
            if quote == '"' {
                replaced(name, &value)?;
            }
            return Ok((value.replace("\r\n", "\n"), behind));
        }
        if c != '\\' || quote == '\'' {
            value.push(c);
            continue;
        }
        match characters.next() {
            Some((_, escaped @ ('"' | '\\' | '$' | '\''))) => value.push(escaped),
            Some((_, 'n')) => value.push('\n'),
            Some((_, 'r')) => value.push('\r'),
            Some((_, 't')) => value.push('\t'),
            _ => {
                return Err(format!(
                    "the value of `{name}` has a `\\` that means nothing in double quotes; write `\\\\`, or use single quotes"
                ));
            }
        }
    }
    Err(format!(
        "the value of `{name}` has no closing `{quote}`; put a value that begins with `{quote}` in the other quotes"
    ))
}

/// Other readers replace `${NAME}`: to keep it as text could be as wrong as to replace it.
fn replaced(name: &str, value: &str) -> Result<(), String> {
    let is_reference = |part: &str| {
        let end = part.find(|c: char| !in_name(c)).unwrap_or(part.len());
        end > 0 && part[end..].starts_with(['}', ':'])
    };
    match value.split("${").skip(1).any(is_reference) {
        false => Ok(()),
        true => Err(format!(
            "the value of `{name}` has `${{…}}`, and variables are not put in here; write the value out, or put it in \
             single quotes if it is meant as it is"
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Vec<(String, String)> {
        let file = EnvFile::parse(text);
        assert_eq!(file.faults, []);
        file.entries
            .into_iter()
            .map(|entry| (entry.name, entry.value))
            .collect()
    }

    #[test]
    fn passwords_are_read_as_they_are_written() {
        for (text, wanted) in [
            ("K=Tr0ub4dor$3x", "Tr0ub4dor$3x"),
            ("K=p$$word12", "p$$word12"),
            ("K=abcdefg$", "abcdefg$"),
            ("K=\"pa$word12\"", "pa$word12"),
            ("K=abc\\defgh", "abc\\defgh"),
            ("K=it's-secret", "it's-secret"),
            ("K='a\\b$c\"d'", "a\\b$c\"d"),
            ("K=\"a\\\\b\\\"c\\$d\\ne\"", "a\\b\"c$d\ne"),
            ("K=#begins", "#begins"),
            ("K=a#b", "a#b"),
            ("K=a=b==", "a=b=="),
            ("K=a # why", "a"),
            ("K= # why", ""),
            ("K=", ""),
            ("K='a # b' # why", "a # b"),
            ("  export K = a  ", "a"),
            ("K=a\r", "a"),
            ("K=\"a\nb\"", "a\nb"),
            ("K='${A}'", "${A}"),
            ("K=`a`", "`a`"),
            ("K=a${b", "a${b"),
        ] {
            assert_eq!(
                values(text),
                [("K".to_owned(), wanted.to_owned())],
                "{text}"
            );
        }
        let names: Vec<String> = values("\u{feff}A=1\n\n# B=2\n  # C=3\nD_1='x\ny'\nE.f=5")
            .into_iter()
            .map(|(n, _)| n)
            .collect();
        assert_eq!(names, ["A", "D_1", "E.f"]);
    }

    #[test]
    fn what_could_mean_two_things_is_a_fault_with_its_line_and_without_its_value() {
        for (text, line, wanted) in [
            ("A=1\nmy s3cret", 2, "is not `NAME=value`"),
            ("1A=s3cret", 1, "is not `NAME=value`"),
            ("A B=s3cret", 1, "is not `NAME=value`"),
            ("A=my s3cret", 1, "has a space; put it in single quotes"),
            ("A=\"s3cret", 1, "has no closing `\"`"),
            (
                "A='x's3cret",
                1,
                "goes on behind its closing `'`; put all of it in double quotes",
            ),
            (
                "A=\"x\\s3cret\"",
                1,
                "has a `\\` that means nothing in double quotes",
            ),
            (
                "B=1\nA=http://${B}/s3cret",
                2,
                "variables are not put in here",
            ),
            ("A=\"${B:-s3cret}\"", 1, "variables are not put in here"),
            (
                "A=s3cret\nB=1\nA=s3cret2",
                3,
                "`A` is given twice; the first time in line 1",
            ),
        ] {
            let file = EnvFile::parse(text);
            let [(found, message)] = file.faults.as_slice() else {
                panic!("{text}: {:?}", file.faults)
            };
            assert!(
                *found == line && message.contains(wanted) && !message.contains("s3cret"),
                "{text}: {message}"
            );
        }
        // The lines after a fault are read.
        assert_eq!(
            EnvFile::parse("A='x\nB=2\n").entries,
            [Entry {
                name: "B".to_owned(),
                value: "2".to_owned(),
                line: 2
            }]
        );
    }

    #[test]
    fn the_name_of_another_variable_behind_a_dollar_sign_is_a_warning() {
        let file = EnvFile::parse("HOST=a\nURL=http://$HOST/\nPASSWORD=x$y");
        assert_eq!(file.entries[1].value, "http://$HOST/");
        let [(2, message)] = file.warnings.as_slice() else {
            panic!("{:?}", file.warnings)
        };
        assert!(message.contains("`URL` holds `$HOST`"), "{message}");
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A=$\"'#\\\\ {}\n\r é]{0,40}") {
            let _ = EnvFile::parse(&text);
        }

        #[test]
        fn any_password_in_single_quotes_comes_through(value in "[^'\r]{0,30}") {
            prop_assert_eq!(values(&format!("K='{value}'\nL=1"))[0].1.clone(), value);
        }
    }
}
