//! Dependencies between services: when the identity provider is down, nobody needs a hundred messages about what uses it.

use std::collections::{BTreeMap, BTreeSet};

use super::Firing;

/// By slug, what each service depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dependencies(BTreeMap<String, Vec<String>>);

impl Dependencies {
    pub fn new(dependencies: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        Self(dependencies.into_iter().filter(|(_, on)| !on.is_empty()).collect())
    }

    /// The nearest service that this one depends on, directly or not, and that has a critical alert firing. Services that
    /// depend on each other in a circle do not mute each other.
    pub fn down<'a>(&'a self, service: &str, firing: &[Firing]) -> Option<&'a str> {
        let is_down = |slug: &str| firing.iter().any(|alert| alert.is_critical && alert.service == slug);
        let mut seen = BTreeSet::from([service]);
        let mut level: Vec<&'a str> = self.of(service).collect();
        while !level.is_empty() {
            let mut next = Vec::new();
            for slug in level {
                if !seen.insert(slug) {
                    continue;
                }
                if is_down(slug) && !self.reaches(slug, service) {
                    return Some(slug);
                }
                next.extend(self.of(slug));
            }
            level = next;
        }
        None
    }

    fn of(&self, service: &str) -> impl Iterator<Item = &str> {
        self.0.get(service).into_iter().flatten().map(String::as_str)
    }

    fn reaches(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(slug) = open.pop() {
            if !seen.insert(slug) {
                continue;
            }
            if self.of(slug).any(|next| next == to) {
                return true;
            }
            open.extend(self.of(slug));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::labels::Labels;

    fn firing(services: &[&str]) -> Vec<Firing> {
        let alert = |service: &&str| Firing {
            name: "Down".to_owned(),
            service: (*service).to_owned(),
            labels: Labels::default(),
            is_critical: true,
        };
        services.iter().map(alert).collect()
    }

    #[test]
    fn finds_the_nearest_that_is_down() {
        let on = |name: &str, on: &[&str]| (name.to_owned(), on.iter().map(|slug| (*slug).to_owned()).collect());
        let dependencies = Dependencies::new([
            on("shop", &["payments", "login"]),
            on("payments", &["bank"]),
            on("a", &["b"]),
            on("b", &["a", "bank"]),
            on("self", &["self"]),
        ]);
        for (service, down, wanted) in [
            ("shop", &["login"][..], Some("login")),
            ("shop", &["bank"], Some("bank")),
            ("shop", &["bank", "payments"], Some("payments")),
            ("shop", &["shop"], None),
            ("payments", &["shop"], None),
            ("bank", &["bank"], None),
            ("a", &["b"], None),
            ("b", &["a"], None),
            ("a", &["bank"], Some("bank")),
            ("self", &["self"], None),
        ] {
            assert_eq!(dependencies.down(service, &firing(down)), wanted, "{service} while {down:?} are down");
        }
        let warnings: Vec<Firing> =
            firing(&["login"]).into_iter().map(|alert| Firing { is_critical: false, ..alert }).collect();
        assert_eq!(dependencies.down("shop", &warnings), None, "a warning takes nothing down");
    }
}
