//! Names and texts as JSON has them.

/// Writes a text as JSON.
pub(super) fn json_text(text: &str) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            control if u32::from(control) < 0x20 => {
                json.push_str(&format!("\\u{:04x}", u32::from(control)))
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

/// `warn_below` as `warnBelow`.
pub(super) fn camel_case(name: &str) -> String {
    let mut camel = String::new();
    let mut is_start_of_word = false;
    for character in name.trim_start_matches("r#").chars() {
        match character {
            '_' => is_start_of_word = true,
            _ if is_start_of_word => {
                camel.extend(character.to_uppercase());
                is_start_of_word = false;
            }
            _ => camel.push(character),
        }
    }
    camel
}

/// `TooLarge` as `tooLarge`.
pub(super) fn lower_camel_case(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_names_as_json_has_them() {
        for (name, wanted) in [
            ("path", "path"),
            ("warn_below", "warnBelow"),
            ("r#type", "type"),
            ("max_body_bytes", "maxBodyBytes"),
        ] {
            assert_eq!(camel_case(name), wanted);
        }
        assert_eq!(lower_camel_case("TooLarge"), "tooLarge");
    }

    #[test]
    fn escapes_text() {
        assert_eq!(json_text("a \"b\" \\ \n"), r#""a \"b\" \\ \u000a""#);
    }
}
