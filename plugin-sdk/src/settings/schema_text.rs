//! The text of a type's schema, taken apart at its commas: parsing it would add some kilobytes to
//! each plugin, and lose the order of its members.

/// Splits an object in JSON into its members, `"name":value` each.
pub(super) fn members(object: &str) -> impl Iterator<Item = &str> {
    let text = object.trim();
    let text = text.strip_prefix('{').unwrap_or(text);
    let text = text.strip_suffix('}').unwrap_or(text);
    let (mut depth, mut in_text, mut is_escaped) = (0_i32, false, false);
    text.split(move |character| {
        if in_text {
            in_text = is_escaped || character != '"';
            is_escaped = character == '\\' && !is_escaped;
            return false;
        }
        match character {
            '"' => in_text = true,
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|member| !member.is_empty())
}

/// Name of a member. Those of keywords have no escapes.
pub(super) fn name(member: &str) -> &str {
    let member = member.strip_prefix('"').unwrap_or(member);
    member.split('"').next().unwrap_or(member)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_end_at_the_commas_of_the_object_itself() {
        let object = r#" {"type":"string", "enum":["a,b",{"c":1,"d":2}],"pattern":"\"},{\\",
            "maxLength" : 3} "#;
        let found: Vec<&str> = members(object).collect();
        let expected = [
            r#""type":"string""#,
            r#""enum":["a,b",{"c":1,"d":2}]"#,
            r#""pattern":"\"},{\\""#,
            r#""maxLength" : 3"#,
        ];
        assert_eq!(found, expected);
        let names: Vec<&str> = found.into_iter().map(name).collect();
        assert_eq!(names, ["type", "enum", "pattern", "maxLength"]);
        assert_eq!(members("{}").count(), 0);
    }
}
