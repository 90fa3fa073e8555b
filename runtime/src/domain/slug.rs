//! Ids for people: `Shop API` becomes `shop-api`.

/// Lower case, words joined by `-`. Empty when the name has no letter or digit.
pub fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for character in name.chars().flat_map(char::to_lowercase) {
        if character.is_alphanumeric() {
            slug.push(character);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn joins_words_with_dashes() {
        for (name, wanted) in [
            ("Shop API", "shop-api"),
            ("Payment Gateway API", "payment-gateway-api"),
            ("  a -- b  ", "a-b"),
            ("Öffi/v2", "öffi-v2"),
            ("!!", ""),
        ] {
            assert_eq!(slug(name), wanted);
        }
    }
}
