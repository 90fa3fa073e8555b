//! `COPY (query) TO STDOUT`: the text and the CSV of PostgreSQL.

use super::command::Command;
use super::error::WireError;
use super::tokens::{Kind, Token};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopyFormat {
    is_csv: bool,
    pub(super) has_header: bool,
    delimiter: u8,
    null: String,
}

impl CopyFormat {
    /// Reads `COPY {(query) | table [(columns)]} TO STDOUT [options]`.
    pub(super) fn read(sql: &str, words: &[Token<'_>]) -> Result<Command, WireError> {
        let mut depth = 0_usize;
        let to = words.iter().position(|token| {
            match token.text {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && (token.is_word("to") || token.is_word("from"))
        });
        let to = to.ok_or_else(|| WireError::new("42601", "write `COPY (query) TO STDOUT`"))?;
        if words[to].is_word("from") {
            return Err(WireError::read_only("COPY FROM"));
        }
        if !words.get(to + 1).is_some_and(|word| word.is_word("stdout")) {
            let message = "the server writes no files";
            return Err(WireError::new("42501", message)
                .with_hint("write `TO STDOUT`, or use `\\copy` of psql"));
        }
        let subject = &words[1..to];
        let query = match subject {
            [first, .., last] if first.is_sign("(") => sql[first.end()..last.start].to_owned(),
            [table, open, .., close] if open.is_sign("(") => format!(
                "SELECT {} FROM {}",
                &sql[open.end()..close.start],
                table.text
            ),
            [table] => format!("SELECT * FROM {}", table.text),
            [first, .., last] => {
                format!("SELECT * FROM {}", &sql[first.start..last.end()])
            }
            [] => return Err(WireError::new("42601", "write `COPY (query) TO STDOUT`")),
        };
        let format = Self::options(&words[to + 2..])?;
        Ok(Command::Copy { query, format })
    }

    fn options(words: &[Token<'_>]) -> Result<Self, WireError> {
        let has = |name: &str| words.iter().any(|word| word.is_word(name));
        let value_of = |name: &str| {
            let at = words.iter().position(|word| word.is_word(name))?;
            let values = words[at + 1..].iter();
            let mut values = values.filter(|word| !word.is_word("as"));
            values.next()
        };
        if has("binary") {
            return Err(
                WireError::not_supported("`COPY` in binary is not spoken here")
                    .with_hint("use text or CSV"),
            );
        }
        let is_csv = has("csv");
        let text_of = |name: &str| {
            let value = value_of(name).filter(|token| token.kind == Kind::Text)?;
            let text = value.text.trim_start_matches(['e', 'E']);
            let text = text.strip_prefix('\'')?.strip_suffix('\'')?;
            Some(text.replace("''", "'").replace("\\t", "\t"))
        };
        let delimiter = match text_of("delimiter").as_deref().map(str::as_bytes) {
            None => {
                if is_csv {
                    b','
                } else {
                    b'\t'
                }
            }
            Some([one]) if one.is_ascii() && !matches!(one, b'\n' | b'\r' | b'"' | b'\\') => *one,
            Some(_) => {
                return Err(WireError::new(
                    "22023",
                    "the delimiter must be one character",
                ));
            }
        };
        let header_is_off =
            value_of("header").is_some_and(|value| value.is_word("false") || value.is_word("off"));
        Ok(Self {
            is_csv,
            has_header: has("header") && !header_is_off,
            delimiter,
            null: text_of("null").unwrap_or_else(|| if is_csv { "" } else { "\\N" }.to_owned()),
        })
    }

    /// Adds a value to a line, or NULL.
    pub(super) fn value(&self, value: Option<&[u8]>, is_first: bool, line: &mut Vec<u8>) {
        if !is_first {
            line.push(self.delimiter);
        }
        match value {
            None => line.extend_from_slice(self.null.as_bytes()),
            Some(value) if self.is_csv => self.csv(value, line),
            Some(value) => self.text(value, line),
        }
    }

    fn csv(&self, value: &[u8], line: &mut Vec<u8>) {
        let is_special =
            |byte: &u8| matches!(byte, b'"' | b'\n' | b'\r') || *byte == self.delimiter;
        let is_quoted =
            value == self.null.as_bytes() || value == b"\\." || value.iter().any(is_special);
        if !is_quoted {
            line.extend_from_slice(value);
            return;
        }
        line.push(b'"');
        for byte in value {
            if *byte == b'"' {
                line.push(b'"');
            }
            line.push(*byte);
        }
        line.push(b'"');
    }

    fn text(&self, value: &[u8], line: &mut Vec<u8>) {
        for byte in value {
            match byte {
                b'\\' => line.extend(b"\\\\"),
                b'\n' => line.extend(b"\\n"),
                b'\r' => line.extend(b"\\r"),
                b'\t' => line.extend(b"\\t"),
                other if *other == self.delimiter => line.extend([b'\\', *other]),
                other => line.push(*other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::words;
    use super::*;

    fn read(sql: &str) -> Result<(String, CopyFormat), WireError> {
        match CopyFormat::read(sql, &words(sql))? {
            Command::Copy { query, format } => Ok((query, format)),
            other => panic!("{other:?}"),
        }
    }

    fn line(format: &CopyFormat, values: &[Option<&str>]) -> String {
        let mut line = Vec::new();
        for (index, value) in values.iter().enumerate() {
            format.value(value.map(str::as_bytes), index == 0, &mut line);
        }
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn queries_and_tables_are_copied_out() {
        for (sql, query) in [
            ("COPY (select 1, (2)) TO STDOUT", "select 1, (2)"),
            ("copy observations to stdout", "SELECT * FROM observations"),
            ("copy o (a, b) to stdout", "SELECT a, b FROM o"),
        ] {
            assert_eq!(read(sql).unwrap().0, query, "{sql}");
        }
        assert_eq!(read("copy a from stdin").unwrap_err().code, "25006");
        assert_eq!(read("copy a to '/tmp/x'").unwrap_err().code, "42501");
        assert_eq!(
            read("copy a to stdout (format binary)").unwrap_err().code,
            "0A000"
        );
    }

    #[test]
    fn lines_are_written_so_that_they_read_back() {
        let values = [Some("a,\"b\""), None, Some(""), Some("x\ty\\")];
        let (_, csv) = read("copy (select 1) to stdout with csv header").unwrap();
        assert!(csv.has_header);
        assert_eq!(line(&csv, &values), "\"a,\"\"b\"\"\",,\"\",x\ty\\");
        let (_, text) = read("copy (select 1) to stdout").unwrap();
        assert!(!text.has_header);
        assert_eq!(line(&text, &values), "a,\"b\"\t\\N\t\tx\\ty\\\\");
        let (_, own) = read(
            "copy (select 1) to stdout (format csv, header false, delimiter ';', null 'NULL')",
        )
        .unwrap();
        assert!(!own.has_header);
        assert_eq!(line(&own, &values), "\"a,\"\"b\"\"\";NULL;;x\ty\\");
    }
}
