//! Search of the overview: words, and `key:value` for what a service is. Values with spaces stand in
//! double quotes; `key:""` finds services that have none.

use crate::api::dashboard::standing::Standing;
use crate::domain::Service;

/// Terms of one search; a service matches all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    words: Vec<String>,
    facts: Vec<(Fact, String)>,
    pub(super) standing: Option<Standing>,
    /// Value of `status:` that is none.
    pub(super) no_status: Option<String>,
}

/// Fact about a service, by which it is found and grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Tag,
    Owner,
    Team,
    Kind,
    Environment,
}

impl Fact {
    pub(super) const ALL: [Fact; 5] = [
        Fact::Tag,
        Fact::Owner,
        Fact::Team,
        Fact::Kind,
        Fact::Environment,
    ];

    /// The word in `?group=`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Fact::Tag => "tag",
            Fact::Owner => "owner",
            Fact::Team => "team",
            Fact::Kind => "type",
            Fact::Environment => "environment",
        }
    }

    /// Returns the fact of a key, which may be short.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "env" {
            return Some(Fact::Environment);
        }
        Self::ALL.into_iter().find(|fact| fact.word() == text)
    }

    pub(super) fn values(self, service: &Service) -> Vec<&str> {
        let one = match self {
            Fact::Tag => return service.tags.iter().map(String::as_str).collect(),
            Fact::Owner => service.owner.as_deref(),
            Fact::Team => service.profile.team.as_deref(),
            Fact::Kind => Some(service.kind.as_str()),
            Fact::Environment => service.profile.environment.as_deref(),
        };
        one.into_iter().collect()
    }

    /// Returns the term that finds services with a value; none for a value that has no term.
    pub(super) fn term(self, value: &str) -> Option<String> {
        let word = self.word();
        match value {
            _ if value.contains('"') => None,
            _ if value.is_empty() || value.contains(char::is_whitespace) => {
                Some(format!("{word}:\"{value}\""))
            }
            _ => Some(format!("{word}:{value}")),
        }
    }

    fn is(self, service: &Service, wanted: &str) -> bool {
        let values = self.values(service);
        if wanted.is_empty() {
            return values.is_empty();
        }
        values.iter().any(|value| value.to_lowercase() == wanted)
    }
}

impl Filter {
    pub(super) fn parse(text: &str) -> Self {
        let mut filter = Self::default();
        for term in terms(&text.to_lowercase()) {
            let fact = term
                .split_once(':')
                .and_then(|(key, value)| Some((Fact::parse(key)?, value.to_owned())));
            let status = term.strip_prefix("status:").map(str::to_owned);
            match (fact, status) {
                (Some(fact), _) => filter.facts.push(fact),
                (None, Some(status)) => match Standing::parse(&status) {
                    Some(standing) => filter.standing = Some(standing),
                    None => filter.no_status = Some(status),
                },
                (None, None) => filter.words.push(term),
            }
        }
        filter
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn without_status(&self) -> Self {
        Self {
            standing: None,
            ..self.clone()
        }
    }

    /// Reports whether a service has all that was asked for but the status.
    pub(super) fn matches(&self, service: &Service) -> bool {
        self.no_status.is_none()
            && self
                .facts
                .iter()
                .all(|(fact, wanted)| fact.is(service, wanted))
            && self.has_words(service)
    }

    /// Every word is in the name, the slug, the type, the address or a tag.
    fn has_words(&self, service: &Service) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let texts = [
            &service.name,
            &service.slug,
            &service.kind,
            &service.base_url,
        ];
        let texts = texts.into_iter().chain(&service.tags);
        let texts: Vec<String> = texts.map(|text| text.to_lowercase()).collect();
        let is_there = |word: &String| texts.iter().any(|text| text.contains(word.as_str()));
        self.words.iter().all(is_there)
    }
}

/// Splits at spaces outside of quotes, which are left out.
fn terms(text: &str) -> Vec<String> {
    let (mut terms, mut term, mut is_quoted) = (Vec::new(), String::new(), false);
    for character in text.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            _ if character.is_whitespace() && !is_quoted => terms.push(std::mem::take(&mut term)),
            _ => term.push(character),
        }
    }
    terms.push(term);
    terms.retain(|term| !term.is_empty());
    terms
}

#[cfg(test)]
mod tests {
    use super::super::testing::service;
    use super::*;

    #[test]
    fn terms_are_words_or_facts_and_all_have_to_match() {
        let pay = service("pay", &["Money", "eu"]);
        for (text, wanted) in [
            ("", true),
            ("pay", true),
            ("PAY example", true),
            ("pay nothing", false),
            ("pay.example:8443", true),
            ("tag:money", true),
            ("tag:mon", false),
            ("tag:money tag:us", false),
            ("owner:\"anna meier\"", true),
            ("owner:anna meier", false),
            ("env:production", true),
            ("environment:staging", false),
            ("type:rest money", true),
            ("team:\"\"", true),
            ("team:", true),
            ("owner:\"\"", false),
            ("status:error", true),
            ("status:nonsense", false),
        ] {
            assert_eq!(Filter::parse(text).matches(&pay), wanted, "{text}");
        }
        let filter = Filter::parse("pay status:degraded");
        assert_eq!(filter.standing, Some(Standing::Degraded));
        assert!(Filter::parse("  ").is_empty());
    }

    #[test]
    fn a_term_finds_what_it_was_made_of() {
        let pay = service("pay", &["Two Words", "one"]);
        for (fact, value, finds) in [
            (Fact::Tag, "Two Words", true),
            (Fact::Tag, "one", true),
            (Fact::Team, "", true),
            (Fact::Owner, "", false),
            (Fact::Environment, "production", true),
        ] {
            let term = fact.term(value).unwrap();
            assert_eq!(Filter::parse(&term).matches(&pay), finds, "{term}");
        }
        assert_eq!(Fact::Tag.term("\""), None);
    }
}
