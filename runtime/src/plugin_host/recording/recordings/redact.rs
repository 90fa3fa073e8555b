//! The last look for secrets before a recording leaves memory. A guest never had them, and they
//! were taken out of what came back to it; this is for whatever found another way, such as a secret
//! that the run learned only later.

use serde_json::Value;

use crate::plugin_host::policy::redaction::Redactor;

/// The file with `***` in the place of secrets. Names of fields stay, and each field its line: the
/// first is read on its own.
pub(super) fn redacted(file: Vec<u8>, secrets: &Redactor) -> serde_json::Result<Vec<u8>> {
    rewritten(file, secrets, |_, field| redact(field, secrets))
}

/// The file with `***` in the place of what the guest has hidden: in what it sent, was answered and
/// logged. The result is the guest's own.
pub(super) fn hidden(file: Vec<u8>, texts: &Redactor) -> serde_json::Result<Vec<u8>> {
    rewritten(file, texts, |name, field| match (name, field) {
        ("calls", Value::Array(calls)) => {
            for part in ["request", "answer"] {
                let parts = calls.iter_mut().filter_map(|call| call.get_mut(part));
                parts.for_each(|part| redact(part, texts));
            }
        }
        ("log", lines) => redact(lines, texts),
        _ => {}
    })
}

fn rewritten(
    file: Vec<u8>,
    secrets: &Redactor,
    change: impl Fn(&str, &mut Value),
) -> serde_json::Result<Vec<u8>> {
    if !secrets.finds_any(&file) {
        return Ok(file);
    }
    let mut value: Value = serde_json::from_slice(&file)?;
    let Value::Object(fields) = &mut value else {
        return Ok(file);
    };
    let mut out = Vec::with_capacity(file.len());
    for (index, (name, field)) in fields.iter_mut().enumerate() {
        change(name, field);
        out.extend_from_slice(match index {
            0 => b"{",
            1 => b",",
            _ => b",\n",
        });
        serde_json::to_writer(&mut out, name)?;
        out.push(b':');
        serde_json::to_writer(&mut out, field)?;
    }
    out.extend_from_slice(b"}\n");
    Ok(out)
}

fn redact(value: &mut Value, secrets: &Redactor) {
    match value {
        Value::String(text) if secrets.finds_any(text.as_bytes()) => *text = secrets.text(text),
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, secrets)),
        Value::Object(fields) => fields.values_mut().for_each(|field| redact(field, secrets)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(secrets: &[&str], file: &str) -> String {
        let redactor = Redactor::default();
        secrets.iter().for_each(|secret| redactor.add(secret));
        String::from_utf8(redacted(file.into(), &redactor).unwrap()).unwrap()
    }

    #[test]
    fn nothing_but_the_secrets_goes() {
        let file = "{\"format\":2,\"run\":{\"a\":\"x\"},\n\"outcome1\":[\"key=s3cr\\\"et!k3y\",\"outcome1\",{\"b\":\"s3cr\\\"et!k3y\"}]}\n";
        assert_eq!(
            of(&["s3cr\"et!k3y", "outcome1"], file),
            "{\"format\":2,\"run\":{\"a\":\"x\"},\n\"outcome1\":[\"key=***\",\"***\",{\"b\":\"***\"}]}\n"
        );
        assert_eq!(of(&["another one"], file), file);
    }

    #[test]
    fn what_a_guest_hides_goes_from_its_calls_and_its_log_alone() {
        let texts = Redactor::default();
        ["t0k/en", "healthy"]
            .iter()
            .for_each(|text| texts.add(text));
        let file = concat!(
            r#"{"format":2,"#,
            r#""calls":[{"function":"t0k/en","request":[],"answer":{"utf8":"{\"a\":\"t0k\/en\"}"}},"#,
            r#"{"function":"http.send","request":{"url":"/t0k%2Fen?b=healthy"}}],"#,
            r#""log":[{"level":"warn","message":"t0k/en"}],"#,
            r#""result":{"status":"healthy"}}"#
        );
        let file = hidden(file.into(), &texts).unwrap();
        let found: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(
            found,
            serde_json::json!({
                "format": 2,
                "calls": [
                    {"function": "t0k/en", "request": [], "answer": {"utf8": r#"{"a":"***"}"#}},
                    {"function": "http.send", "request": {"url": "/***?b=***"}},
                ],
                "log": [{"level": "warn", "message": "***"}],
                "result": {"status": "healthy"},
            })
        );
    }
}
