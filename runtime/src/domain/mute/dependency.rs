//! Dependencies between services: when the identity provider is down, a hundred messages about what
//! uses it help no one.

use std::collections::{BTreeMap, BTreeSet};

/// Slugs that each service depends on, by its slug.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dependencies(BTreeMap<String, Vec<String>>);

impl Dependencies {
    pub fn new(dependencies: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        Self(
            dependencies
                .into_iter()
                .filter(|(_, on)| !on.is_empty())
                .collect(),
        )
    }

    /// The nearest service that this one depends on, directly or not, and that is down: that has an
    /// alert firing as severe as the one in question at least, since a slow database is no
    /// reason to be silent about a shop that is down. Services that depend on each other in a
    /// circle do not mute each other.
    pub fn down<'a>(&'a self, service: &str, is_down: impl Fn(&str) -> bool) -> Option<&'a str> {
        if !self.0.contains_key(service) {
            return None;
        }
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

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The services on a circle, in order and beginning with the first of their names, for each
    /// circle found.
    pub fn circles(&self) -> Vec<Vec<&str>> {
        let mut circles: Vec<Vec<&str>> = Vec::new();
        let mut done: BTreeSet<&str> = BTreeSet::new();
        for start in self.0.keys().map(String::as_str) {
            if done.contains(start) || !self.reaches(start, start) {
                continue;
            }
            // The shortest way back.
            let mut ways: Vec<Vec<&str>> = vec![vec![start]];
            let mut seen = BTreeSet::new();
            let circle = 'found: loop {
                let mut longer = Vec::new();
                for way in &ways {
                    for next in self.of(way.last().unwrap_or(&start)) {
                        if next == start {
                            break 'found way.clone();
                        }
                        if seen.insert(next) {
                            longer.push([way.as_slice(), &[next]].concat());
                        }
                    }
                }
                ways = longer;
            };
            done.extend(&circle);
            circles.push(circle);
        }
        circles
    }

    fn of(&self, service: &str) -> impl Iterator<Item = &str> {
        self.0
            .get(service)
            .into_iter()
            .flatten()
            .map(String::as_str)
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

    #[test]
    fn finds_the_nearest_that_is_down() {
        let on = |name: &str, on: &[&str]| {
            (
                name.to_owned(),
                on.iter().map(|slug| (*slug).to_owned()).collect(),
            )
        };
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
            let is_down = |slug: &str| down.contains(&slug);
            assert_eq!(
                dependencies.down(service, is_down),
                wanted,
                "{service} while {down:?} are down"
            );
        }
        assert_eq!(dependencies.circles(), [vec!["a", "b"], vec!["self"]]);
    }
}
