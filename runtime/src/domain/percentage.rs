//! What somebody meant who wrote a percentage: where a share of one is wanted, `95` or `95%` for
//! `0.95`; where percent are wanted, `99.5%` for `99.5`.

use serde_json::Value;

use super::Mark;

/// Returns what to write in place of a value that a keyword of its schema refuses, as the end of a
/// fault's text; empty where it can't be known, or where the value may be secret. `keyword` is the
/// JSON Pointer of the keyword.
pub fn percentage_hint(schema: &Value, keyword: &str, value: &Value) -> String {
    match meant(schema, keyword, value) {
        Some(meant) if !is_secret(schema, keyword) => format!("; write `{meant}`"),
        _ => String::new(),
    }
}

fn meant(schema: &Value, keyword: &str, value: &Value) -> Option<f64> {
    let (node, keyword) = keyword.rsplit_once('/')?;
    let node = schema.pointer(node)?;
    let takes_numbers = match node.get("type")? {
        Value::String(only) => only == "number",
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "number"),
        _ => false,
    };
    let most = node.get("maximum")?.as_f64()?;
    let (percent, is_text) = match (keyword, value) {
        ("maximum", Value::Number(number)) => (number.as_f64()?, false),
        ("type", Value::String(text)) => {
            let number = text.trim().strip_suffix('%')?.trim_end();
            (number.parse().ok()?, true)
        }
        _ => return None,
    };
    if !takes_numbers || !(0.0..=100.0).contains(&percent) {
        return None;
    }
    if most == 1.0 {
        // Without the digits that a division in binary adds: 99.9 becomes 0.999.
        Some((percent * 1e7).round() / 1e9)
    } else {
        (most == 100.0 && is_text).then_some(percent)
    }
}

/// True if a mark at the value's place, or above it, makes it a secret.
fn is_secret(schema: &Value, keyword: &str) -> bool {
    let places = keyword.match_indices('/').map(|(end, _)| &keyword[..end]);
    places
        .filter_map(|place| schema.pointer(place))
        .any(|node| node.get(Mark::Secret.keyword()) == Some(&Value::Bool(true)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hint(schema: &Value, keyword: &str, value: &Value) -> String {
        let schema = json!({"properties": {"value": schema}});
        percentage_hint(&schema, &format!("/properties/value/{keyword}"), value)
    }

    #[test]
    fn a_percentage_in_the_place_of_a_share_is_answered_with_the_share() {
        let share = json!({"type": "number", "minimum": 0, "maximum": 1});
        let percent = json!({"type": ["number", "null"], "minimum": 0, "maximum": 100});
        for (schema, keyword, value, wanted) in [
            (&share, "maximum", json!(95), "; write `0.95`"),
            (&share, "maximum", json!(99.9), "; write `0.999`"),
            (&share, "maximum", json!(100.0), "; write `1`"),
            (&share, "type", json!("95%"), "; write `0.95`"),
            (&percent, "type", json!("99.5 %"), "; write `99.5`"),
            (&share, "maximum", json!(250), ""),
            (&share, "minimum", json!(-3), ""),
            (&share, "type", json!("most"), ""),
            (&percent, "maximum", json!(101), ""),
        ] {
            assert_eq!(hint(schema, keyword, &value), wanted, "{value}");
        }
        for schema in [
            json!({"type": "integer", "maximum": 1}),
            json!({"type": "number", "maximum": 10}),
            json!({"type": "number", "maximum": 1, "x-secret": true}),
        ] {
            assert_eq!(hint(&schema, "maximum", &json!(95)), "", "{schema}");
        }
        let above =
            json!({"x-secret": true, "properties": {"share": {"type": "number", "maximum": 1}}});
        assert_eq!(
            percentage_hint(&above, "/properties/share/maximum", &json!(95)),
            ""
        );
    }
}
