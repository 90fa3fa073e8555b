//! What can be told of an expression without evaluating it: the names in it, and the windows of
//! history it asks for.

use std::time::Duration;

use extrack_plugin::time;

/// A call of one of the functions that read the history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call<'a> {
    pub(crate) function: Function,
    /// As it stands in the expression.
    pub(crate) text: &'a str,
    window: &'a str,
    pub(crate) quantile: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Availability,
    ErrorRate,
    Latency,
    Runs,
    Failures,
}

impl Call<'_> {
    /// None if the window is no duration.
    pub(crate) fn window(&self) -> Option<Duration> {
        time::parse(self.window)
    }
}

/// Each name once, in order. What stands in quotes or behind a dot is no name.
pub(crate) fn names(expression: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (start, token) in tokens(expression) {
        let follows_dot = expression[..start].trim_end().ends_with('.');
        if is_name(token) && !follows_dot && !names.contains(&token) {
            names.push(token);
        }
    }
    names
}

/// Calls with a window written out; one that is put together by the expression is not seen.
pub(crate) fn calls(expression: &str) -> impl Iterator<Item = Call<'_>> {
    tokens(expression).filter_map(|(start, token)| {
        let function = match token {
            "availability" => Function::Availability,
            "error_rate" => Function::ErrorRate,
            "latency" => Function::Latency,
            "runs" => Function::Runs,
            "failures" => Function::Failures,
            _ => return None,
        };
        let rest = &expression[start + token.len()..];
        let arguments = rest.trim_start().strip_prefix('(')?;
        let length = arguments.find(')')?;
        let mut parts = arguments[..length].splitn(2, ',');
        let window = parts.next()?.trim().trim_matches(['\'', '"']);
        let quantile = parts
            .next()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0.95);
        let end = expression.len() - arguments.len() + length + 1;
        Some(Call {
            function,
            text: &expression[start..end],
            window,
            quantile,
        })
    })
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Words, and texts in quotes, with their places; all else is skipped.
fn tokens(expression: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut place = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = &expression[place..];
            let first = rest.chars().next()?;
            let start = place;
            if first == '\'' || first == '"' {
                place += quoted_length(rest, first);
                return Some((start, &expression[start..place]));
            }
            if first.is_ascii_alphanumeric() || first == '_' {
                place += rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(rest.len());
                return Some((start, &expression[start..place]));
            }
            place += first.len_utf8();
        }
    })
}

/// Bytes of a text with both its quotes; to the end of the expression if it is never closed.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (offset, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            end if end == quote => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names() {
        for (expression, wanted) in [
            ("status == 'unhealthy'", vec!["status"]),
            (
                "metrics.status > 1 && metrics['error'] == \"latency_ms\"",
                vec!["metrics"],
            ),
            (
                "status == 'it\\'s error' || status == error",
                vec!["status", "error"],
            ),
            ("availability('5m') < 99.0", vec!["availability"]),
            ("1e3 > latency_ms", vec!["latency_ms"]),
            ("'open status", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(names(expression), wanted, "{expression}");
        }
    }

    #[test]
    fn finds_calls_with_their_windows() {
        let expression = "availability('5m') < 99 || latency ( \"1h\" , 0.5) > 800.0 || status == \"error_rate('7d')\"";
        let found: Vec<_> = calls(expression)
            .map(|call| (call.function, call.text, call.window(), call.quantile))
            .collect();
        assert_eq!(
            found,
            [
                (
                    Function::Availability,
                    "availability('5m')",
                    Some(Duration::from_secs(300)),
                    0.95
                ),
                (
                    Function::Latency,
                    "latency ( \"1h\" , 0.5)",
                    Some(Duration::from_secs(3_600)),
                    0.5
                ),
            ]
        );
        assert_eq!(calls("error_rate('soon')").next().unwrap().window(), None);
        assert_eq!(calls("latency_ms > 3 && latency > 2").next(), None);
    }
}
