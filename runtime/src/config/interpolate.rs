//! `${NAME}` and `${NAME:-default}` in one text; `$${` stands for `${`. Works on values that are
//! already parsed, so what a variable holds can never become YAML.

use serde_json::Value;

use super::Environment;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InterpolationFault {
    #[error(
        "the variable `{0}` is not set; set it in the environment or in `.env`, or give a default: `${{{0}:-default}}`"
    )]
    Missing(String),
    #[error("`${{` is not closed with `}}`; write `$${{` if it is meant as text")]
    Open,
    #[error(
        "`${{…}}` holds no name of a variable (letters, digits and `_`); write `$${{` if it is meant as text"
    )]
    BadName,
    /// The variable names a file that can't be read.
    #[error("{0}")]
    Unreadable(String),
}

impl Environment {
    /// Replaces the variables in every text of a JSON value.
    pub fn expand_in(&self, value: &mut Value) -> Result<(), String> {
        match value {
            Value::String(text) => {
                let replaced =
                    interpolate(text, |name| self.get(name)).map_err(|fault| fault.to_string())?;
                if let Some(replaced) = replaced {
                    *text = replaced;
                }
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.expand_in(item))?,
            Value::Object(fields) => fields
                .values_mut()
                .try_for_each(|field| self.expand_in(field))?,
            _ => {}
        }
        Ok(())
    }
}

/// `None` when there was nothing to replace.
pub(super) fn interpolate(
    text: &str,
    lookup: impl Fn(&str) -> Result<Option<String>, String>,
) -> Result<Option<String>, InterpolationFault> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        out.push_str(before);
        let end = from.find('}').ok_or(InterpolationFault::Open)?;
        let inner = &from[2..end];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            return Err(InterpolationFault::BadName);
        }
        match (
            lookup(name).map_err(InterpolationFault::Unreadable)?,
            default,
        ) {
            (Some(value), Some(default)) => {
                out.push_str(if value.is_empty() { default } else { &value })
            }
            (Some(value), None) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => return Err(InterpolationFault::Missing(name.to_owned())),
        }
        rest = &from[end + 1..];
    }
    out.push_str(rest);
    Ok(Some(out))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Result<Option<String>, String> {
        match name {
            "A" => Ok(Some("1".to_owned())),
            "EMPTY" => Ok(Some(String::new())),
            "NESTED" => Ok(Some("${A}\n- x: y".to_owned())),
            _ => Ok(None),
        }
    }

    #[test]
    fn replaces_variables() {
        for (text, wanted) in [
            ("plain $5 {A}", None),
            ("${A}", Some("1")),
            ("x${A}y${A}z", Some("x1y1z")),
            ("${B:-two}", Some("two")),
            ("${B:-}", Some("")),
            ("${EMPTY:-two}", Some("two")),
            ("${EMPTY}", Some("")),
            ("${A:-two}", Some("1")),
            ("${B:-a:-b}", Some("a:-b")),
            ("$${A}", Some("${A}")),
            ("$$${A}", Some("$${A}")),
            ("$${A} ${A}", Some("${A} 1")),
            ("${NESTED}", Some("${A}\n- x: y")),
        ] {
            assert_eq!(
                interpolate(text, lookup),
                Ok(wanted.map(str::to_owned)),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for (text, wanted) in [
            ("${B}", InterpolationFault::Missing("B".to_owned())),
            ("${A", InterpolationFault::Open),
            ("${}", InterpolationFault::BadName),
            ("${A-b}", InterpolationFault::BadName),
            ("${1A}", InterpolationFault::BadName),
            ("${ A }", InterpolationFault::BadName),
        ] {
            assert_eq!(interpolate(text, lookup), Err(wanted), "{text}");
        }
        assert_eq!(
            interpolate("${B}", lookup).unwrap_err().to_string(),
            "the variable `B` is not set; set it in the environment or in `.env`, or give a default: `${B:-default}`"
        );
    }

    proptest! {
        #[test]
        fn text_without_a_variable_is_left_alone(text in "[^{]*") {
            prop_assert_eq!(interpolate(&text, lookup), Ok(None));
        }

        #[test]
        fn never_panics(text in "[$${}:\\-A_1é ]{0,40}") {
            let _ = interpolate(&text, lookup);
        }

        #[test]
        fn any_value_comes_through_unchanged(value in any::<String>(), before in "[a-z ]*", after in "[a-z ]*") {
            let text = format!("{before}${{V}}{after}");
            let wanted = format!("{before}{value}{after}");
            prop_assert_eq!(interpolate(&text, |_| Ok(Some(value.clone()))), Ok(Some(wanted)));
        }

        #[test]
        fn escaping_is_undone(text in "[$]?[a-z{}]*\\$\\{[a-z{}]*") {
            let escaped = text.replace("${", "$${");
            prop_assume!(!text.contains("$${"));
            prop_assert_eq!(interpolate(&escaped, lookup), Ok(Some(text)));
        }
    }
}
