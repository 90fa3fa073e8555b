//! Records of CSV (RFC 4180): fields in quotes may hold commas, quotes and ends of lines.

/// A record with the number of the line that it begins on.
pub(super) struct CsvRecord {
    pub(super) line: usize,
    pub(super) fields: Vec<String>,
}

/// Most fields of a record: those of FOCUS are not fifty.
const MAX_FIELDS: usize = 500;

/// Returns the records that are not empty, `most` of them at most; an error names the line of a
/// quote without an end, and of what is too much.
pub(super) fn records(text: &str, most: usize) -> Result<Vec<CsvRecord>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = Vec::new();
    let mut record = CsvRecord {
        line: 1,
        fields: Vec::new(),
    };
    let (mut field, mut line) = (String::new(), 1);
    // The line on which the quote that is open began.
    let mut quote: Option<usize> = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        line += usize::from(character == '\n');
        match (quote, character) {
            (Some(_), '"') if characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            (Some(_), '"') => quote = None,
            (Some(_), other) => field.push(other),
            (None, '"') if field.is_empty() => quote = Some(line),
            (None, ',') if record.fields.len() + 1 == MAX_FIELDS => {
                return Err(format!("line {line}: has more than {MAX_FIELDS} fields"));
            }
            (None, ',') => record.fields.push(std::mem::take(&mut field)),
            (None, '\r') if characters.peek() == Some(&'\n') => {}
            (None, '\n') => {
                record.fields.push(std::mem::take(&mut field));
                let next = CsvRecord {
                    line,
                    fields: Vec::new(),
                };
                let ended = std::mem::replace(&mut record, next);
                if !is_empty(&ended) {
                    records.push(ended);
                }
                if records.len() > most {
                    return Err(format!(
                        "line {line}: has more than {most} records before it; import the file in several parts"
                    ));
                }
            }
            (None, other) => field.push(other),
        }
    }
    if let Some(line) = quote {
        return Err(format!("line {line}: a quote has no end"));
    }
    record.fields.push(field);
    if !is_empty(&record) {
        records.push(record);
    }
    Ok(records)
}

fn is_empty(record: &CsvRecord) -> bool {
    record.fields.iter().all(|field| field.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_may_hold_commas_quotes_and_ends_of_lines() {
        let text = "\u{feff}a,b\r\n1,\"two, \"\"three\"\"\nfour\"\n\n , \n5,6";
        let found: Vec<_> = records(text, 10)
            .unwrap()
            .into_iter()
            .map(|record| (record.line, record.fields.join("|")))
            .collect();
        assert_eq!(
            found,
            [
                (1, "a|b".to_owned()),
                (2, "1|two, \"three\"\nfour".to_owned()),
                (6, "5|6".to_owned()),
            ]
        );
        let error = records("a\n\"b\nc", 10).err();
        assert_eq!(error.as_deref(), Some("line 2: a quote has no end"));
        let error = records("\n\na\nb\n\nc\n", 2).err();
        assert_eq!(
            error.as_deref(),
            Some("line 7: has more than 2 records before it; import the file in several parts")
        );
        assert!(records(&",".repeat(499), 1).is_ok());
        let error = records(&",".repeat(500), 1).err();
        assert_eq!(error.as_deref(), Some("line 1: has more than 500 fields"));
    }
}
