//! `host ident user [23/Nov/2026:07:43:23 +0100] "GET /path HTTP/1.1" 200 512 "referrer" "agent" 0.012`

use super::{LogEntry, path_of};

pub(super) fn read(line: &str) -> Result<LogEntry, String> {
    let (before, rest) = line.split_once('[').ok_or("no moment in `[…]`")?;
    let (moment, rest) = rest.split_once(']').ok_or("no moment in `[…]`")?;
    let ts_ms = read_moment(moment)?;
    let mut fields = Fields(rest);
    let request = fields.next().ok_or("no request behind the moment")?;
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next());
    let target = target.ok_or_else(|| format!("`{}` is no request", short(&request)))?;
    let path = path_of(target).ok_or_else(|| format!("`{}` is no path", short(target)))?;
    let status = fields.next().ok_or("no status behind the request")?;
    let status = match status.as_str() {
        "-" | "000" | "0" => None,
        status => Some(
            status
                .parse()
                .ok()
                .filter(|status| (100..600).contains(status))
                .ok_or_else(|| format!("`{}` is no status", short(status)))?,
        ),
    };
    let bytes_out = fields.next().and_then(|bytes| bytes.parse().ok());
    // Of servers that add the time of the request, in seconds, behind referrer and agent.
    let seconds = fields
        .last()
        .filter(|last| last.contains('.'))
        .and_then(|last| last.parse::<f64>().ok());
    let user = before.split_whitespace().nth(2).filter(|user| *user != "-");
    Ok(LogEntry {
        ts_ms,
        method: method.to_owned(),
        path,
        status,
        latency_ms: seconds
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
            .map(|seconds| seconds * 1_000.0),
        bytes_out,
        bytes_in: None,
        user: user.map(str::to_owned),
    })
}

fn read_moment(text: &str) -> Result<i64, String> {
    let read = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", text);
    let moment = read.and_then(|moment| moment.to_timestamp());
    moment.map(|moment| moment.as_millisecond()).map_err(|_| {
        format!(
            "`{}` is no moment such as `23/Nov/2026:07:43:23 +0100`",
            short(text)
        )
    })
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// Fields with spaces between them; those with spaces inside stand in quotes, where `\` escapes.
struct Fields<'a>(&'a str);

impl Iterator for Fields<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let rest = self.0.trim_start();
        let mut characters = rest.char_indices();
        let (_, first) = characters.next()?;
        if first != '"' {
            let end = rest.find(' ').unwrap_or(rest.len());
            self.0 = &rest[end..];
            return Some(rest[..end].to_owned());
        }
        let mut field = String::new();
        while let Some((index, character)) = characters.next() {
            match character {
                '"' => {
                    self.0 = &rest[index + 1..];
                    return Some(field);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => field.push(escaped),
                    // Of a byte, as `\x16`.
                    Some((_, other)) => field.extend(['\\', other]),
                    None => {}
                },
                character => field.push(character),
            }
        }
        self.0 = "";
        Some(field)
    }
}
