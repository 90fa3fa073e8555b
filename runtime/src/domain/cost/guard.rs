//! Conditions on the calls that a price is for.

use std::collections::BTreeMap;

/// Ranges of HTTP statuses, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    /// Reads `2xx`, `404` or `200-204`, of which any may fit.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let ranges: Result<Vec<_>, _> = texts.into_iter().map(range).collect();
        ranges.map(Self)
    }

    pub fn contains(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&status))
    }
}

fn range(text: &str) -> Result<(u16, u16), String> {
    let status = |text: &str| {
        let is_status = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        let status: Option<u16> = is_status.then(|| text.parse().ok()).flatten();
        status.filter(|status| (100..600).contains(status))
    };
    let bounds = match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(class), _) => status(&format!("{class}00")).map(|first| (first, first + 99)),
        (None, Some((first, last))) => status(first).zip(status(last)),
        (None, None) => status(text).map(|status| (status, status)),
    };
    bounds
        .filter(|(first, last)| first <= last)
        .ok_or_else(|| format!("`{text}` is no status; write `404`, `2xx` or `200-204`"))
}

/// Conditions on a call, all of which have to hold. Empty: every call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Answers that are billed, all others being free; none: the meter's usual rule.
    pub status: Option<StatusSet>,
    /// HTTP methods; empty: all.
    pub methods: Vec<String>,
    /// Patterns of routes with `*` for any characters; empty: all.
    pub routes: Vec<String>,
    /// Values of the call's tags, with `*` for any characters.
    pub tags: BTreeMap<String, String>,
}

impl Guard {
    pub fn is_empty(&self) -> bool {
        let Self {
            status,
            methods,
            routes,
            tags,
        } = self;
        status.is_none() && methods.is_empty() && routes.is_empty() && tags.is_empty()
    }

    /// Whether everything but the status fits.
    pub(super) fn fits(&self, method: &str, route: &str, tags: &BTreeMap<String, String>) -> bool {
        let is_method = self.methods.is_empty()
            || self
                .methods
                .iter()
                .any(|known| known.eq_ignore_ascii_case(method));
        let is_route =
            self.routes.is_empty() || self.routes.iter().any(|pattern| is_match(pattern, route));
        is_method
            && is_route
            && self
                .tags
                .iter()
                .all(|(name, pattern)| tags.get(name).is_some_and(|tag| is_match(pattern, tag)))
    }
}

/// Compares a text with a pattern in which `*` stands for any characters, also none.
pub(super) fn is_match(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_as_people_write_them() {
        let set = StatusSet::parse(["2xx", "404", "500-503"]).unwrap();
        for (status, is_in) in [
            (200, true),
            (299, true),
            (300, false),
            (404, true),
            (503, true),
        ] {
            assert_eq!(set.contains(status), is_in, "{status}");
        }
        for wrong in ["", "xx", "2x", "20", "999", "503-500", "2xx-3xx", "+20"] {
            assert!(StatusSet::parse([wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, is_equal) in [
            ("/v1/*", "/v1/a/b", true),
            ("/v1/*", "/v2/a", false),
            ("*", "", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("/maps", "/maps", true),
            ("/maps", "/maps/", false),
            ("gpt-4o*", "gpt-4o-2024-08-06", true),
        ] {
            assert_eq!(is_match(pattern, text), is_equal, "{pattern} {text}");
        }
    }
}
