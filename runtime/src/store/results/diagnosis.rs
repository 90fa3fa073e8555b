//! What is wrong with a statement, where, and which names may have been meant: read from DuckDB's
//! text of an error, which ends with `LINE n: …` and a caret below it.

use std::fmt;

/// Names that are proposed at most.
const MAX_CANDIDATES: usize = 8;
/// Characters of a line that are shown around the place.
const MAX_SHOWN: usize = 120;

/// Fault of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    pub message: String,
    pub place: Option<Place>,
    /// Names that may have been meant, the likeliest first.
    pub candidates: Vec<String>,
    /// Bytes before the place, in the text that DuckDB parsed.
    pub(super) offset: Option<usize>,
}

/// Place in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// The line, and on a second one a caret below the place.
    pub caret: String,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<String> for Diagnosis {
    fn from(message: String) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }
}

impl Diagnosis {
    /// Reads an error of DuckDB about a text that it parsed.
    pub(super) fn of_error(text: &str, parsed: &str) -> Self {
        let (message, excerpt) = match text.rfind("\n\nLINE ") {
            Some(start) => (&text[..start], Some(&text[start + 2..])),
            None => (text, None),
        };
        Self {
            message: message.trim_end().to_owned(),
            place: None,
            candidates: candidates(message),
            offset: excerpt.and_then(|excerpt| offset_of(excerpt, parsed)),
        }
    }

    /// Finds line and column in the statement as it was written. `shift` is where in it the text
    /// begins that DuckDB parsed; what that had in front of its own is negative.
    pub(super) fn located(mut self, sql: &str, shift: isize) -> Self {
        let offset = self.offset.take();
        self.place = offset
            .and_then(|offset| offset.checked_add_signed(shift))
            .and_then(|offset| Place::at(sql, offset));
        self
    }
}

impl Place {
    /// Returns the place of the character that begins at an offset in bytes.
    fn at(sql: &str, offset: usize) -> Option<Self> {
        let before = sql.get(..offset)?;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = sql[start..].lines().next().unwrap_or_default();
        let column = before[start..].chars().count();
        // A long line is cut so that the place stays in sight.
        let skipped = column.saturating_sub(MAX_SHOWN / 2);
        let shown = text.chars().skip(skipped).take(MAX_SHOWN);
        let shown: String = shown.map(|c| if c == '\t' { ' ' } else { c }).collect();
        Some(Self {
            line: before.matches('\n').count() + 1,
            column: column + 1,
            caret: format!("{shown}\n{}^", " ".repeat(column - skipped)),
        })
    }
}

/// The offset that `LINE n: …` with its caret means; long lines are cut with `...` at both ends.
fn offset_of(excerpt: &str, parsed: &str) -> Option<usize> {
    let (head, caret) = excerpt.split_once('\n')?;
    let (number, shown) = head.strip_prefix("LINE ")?.split_once(": ")?;
    let number: usize = number.parse().ok()?;
    let start: usize = parsed
        .split_inclusive('\n')
        .take(number.checked_sub(1)?)
        .map(str::len)
        .sum();
    let line = parsed[start..].lines().next().unwrap_or_default();
    let column = caret
        .find('^')?
        .checked_sub(head.chars().count() - shown.chars().count())?;
    let (cut, body) = match shown.strip_prefix("...") {
        Some(body) if !line.starts_with(shown) => (3, body),
        _ => (0, shown),
    };
    let body = body.strip_suffix("...").unwrap_or(body);
    let at = match cut {
        0 => 0,
        _ => line.find(body)?,
    };
    let column: usize = line[at..]
        .chars()
        .take(column.checked_sub(cut)?)
        .map(char::len_utf8)
        .sum();
    Some(start + at + column)
}

/// Names after `Candidate bindings:` or `Did you mean`.
fn candidates(message: &str) -> Vec<String> {
    let list = ["Candidate bindings:", "Did you mean"]
        .iter()
        .find_map(|lead| message.split_once(lead));
    let quoted = list.map_or("", |(_, rest)| rest).split('"');
    let mut names: Vec<String> = Vec::new();
    for name in quoted.skip(1).step_by(2) {
        if names.len() < MAX_CANDIDATES && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Returns those of the known names that are much like one that is not known.
pub(super) fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    const LIKE: f64 = 0.85;
    const PROPOSED: usize = 3;
    let name = name.to_lowercase();
    let mut found: Vec<(f64, &str)> = known
        .map(|known| (strsim::jaro_winkler(&name, known), known))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    found.dedup_by(|a, b| a.1 == b.1);
    found
        .into_iter()
        .take(PROPOSED)
        .map(|(_, known)| known.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_found_in_plain_long_and_accented_lines() {
        let long = (0..60)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        let long = format!("select {long}, statsu, {long} from t");
        for (sql, text, wanted) in [
            (
                "select statsu from t",
                "Binder Error: no\n\nLINE 1: select statsu from t\n               ^",
                (1, 8),
            ),
            (
                "select 1\n  from tt",
                "Catalog Error: no\n\nLINE 2:   from tt\n               ^",
                (2, 8),
            ),
            (
                "select 'ääää', statsu from t",
                "Binder Error: no\n\nLINE 1: select 'ääää', statsu from t\n                       ^",
                (1, 16),
            ),
            (
                long.as_str(),
                "Binder Error: no\n\nLINE 1: ..., 56, 57, 58, 59, statsu, 0, 1, 2...\n                             ^",
                (1, long.find("statsu").unwrap() + 1),
            ),
        ] {
            let found = Diagnosis::of_error(text, sql).located(sql, 0);
            let place = found.place.unwrap_or_else(|| panic!("{sql}: no place"));
            assert_eq!((place.line, place.column), wanted, "{sql}");
            let (line, caret) = place.caret.split_once('\n').unwrap();
            let below: String = line.chars().skip(caret.chars().count() - 1).collect();
            assert!(
                below.starts_with("statsu") || below.starts_with("tt"),
                "{below}"
            );
        }
    }

    #[test]
    fn a_text_without_a_place_and_a_place_outside_of_the_statement_have_none() {
        let none = Diagnosis::of_error("Parser Error: syntax error at end of input", "select");
        assert_eq!(none.offset, None);
        let outside = Diagnosis {
            offset: Some(2),
            ..Diagnosis::default()
        };
        assert_eq!(outside.located("select 1", -8).place, None);
    }

    #[test]
    fn names_that_were_meant_are_read() {
        for (message, wanted) in [
            (
                "No.\nCandidate bindings: \"status\", \"cost\"",
                "status cost",
            ),
            ("No.\nDid you mean \"services\"?", "services"),
            ("Near \"cost\"", ""),
        ] {
            assert_eq!(candidates(message).join(" "), wanted);
        }
        let known = ["observations", "events", "services"];
        assert_eq!(similar("observation", known.into_iter()), ["observations"]);
        assert!(similar("x", known.into_iter()).is_empty());
    }
}
