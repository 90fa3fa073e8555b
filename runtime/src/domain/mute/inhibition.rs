//! Inhibition: while one alert fires, others are muted.

use std::collections::HashMap;

use crate::domain::Labels;
use crate::domain::matcher::{Matcher, all_match};

use super::Firing;

#[derive(Debug, Clone, PartialEq)]
pub struct Inhibition {
    pub source: Vec<Matcher>,
    pub target: Vec<Matcher>,
    /// Labels that have to be the same in both; missing in both counts as the same.
    pub equal: Vec<String>,
}

impl Inhibition {
    /// Indexes the alerts that fire and count by the labels that have to be the same.
    pub(crate) fn while_firing<'a>(
        &'a self,
        firing: &'a [Firing],
        counts: impl Fn(&Firing) -> bool,
    ) -> ActiveInhibition<'a> {
        let mut sources: HashMap<Vec<String>, Sources<'a>> = HashMap::new();
        for (place, alert) in firing
            .iter()
            .enumerate()
            .filter(|(_, alert)| counts(alert) && all_match(&self.source, &alert.labels))
        {
            let sources = sources.entry(self.key(&alert.labels)).or_default();
            let first = if all_match(&self.target, &alert.labels) {
                &mut sources.first_target_itself
            } else {
                &mut sources.first
            };
            first.get_or_insert((place, alert));
        }
        ActiveInhibition {
            inhibition: self,
            sources,
        }
    }

    fn key(&self, labels: &Labels) -> Vec<String> {
        self.equal.iter().map(|name| labels.joined(name)).collect()
    }
}

/// An inhibition while some alerts fire.
#[derive(Debug)]
pub(crate) struct ActiveInhibition<'a> {
    inhibition: &'a Inhibition,
    sources: HashMap<Vec<String>, Sources<'a>>,
}

/// The first alerts, with their places among those that fire, that mute others with the same
/// labels.
#[derive(Debug, Default)]
struct Sources<'a> {
    first: Option<(usize, &'a Firing)>,
    /// The first source that is a target as well.
    first_target_itself: Option<(usize, &'a Firing)>,
}

impl<'a> ActiveInhibition<'a> {
    /// The firing alert that mutes this one. An alert that fits both sides is not muted by others
    /// that do as well, so that two alerts never mute each other, and none itself.
    pub(crate) fn source(&self, alert: &Firing) -> Option<&'a Firing> {
        let Inhibition { source, target, .. } = self.inhibition;
        if self.sources.is_empty() || !all_match(target, &alert.labels) {
            return None;
        }
        let sources = self.sources.get(&self.inhibition.key(&alert.labels))?;
        let fits_both = all_match(source, &alert.labels);
        let of_both = sources.first_target_itself.filter(|_| !fits_both);
        sources
            .first
            .into_iter()
            .chain(of_both)
            .min_by_key(|(place, _)| *place)
            .map(|(_, source)| source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Severity;

    fn inhibition(source: &[&str], target: &[&str], equal: &[&str]) -> Inhibition {
        let matchers = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| Matcher::parse(text).unwrap())
                .collect()
        };
        Inhibition {
            source: matchers(source),
            target: matchers(target),
            equal: equal.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn firing(name: &str, service: &str, severity: &str) -> Firing {
        let labels = Labels::from([
            ("alertname", name),
            ("service", service),
            ("severity", severity),
        ]);
        let severity = Severity::parse(severity).unwrap();
        Firing {
            name: name.to_owned(),
            service: service.to_owned(),
            labels,
            severity,
        }
    }

    #[test]
    fn mutes_as_the_table_says() {
        let by_service = inhibition(
            &["severity=critical"],
            &["severity=~\"warning|info\""],
            &["service"],
        );
        let down = firing("Down", "shop", "critical");
        let slow = firing("Slow", "shop", "warning");
        let elsewhere = firing("Slow", "mail", "warning");
        for (name, target, others, wanted) in [
            (
                "a warning beside a critical alert of its service",
                &slow,
                vec![&down],
                true,
            ),
            ("another service's", &elsewhere, vec![&down], false),
            ("the critical one itself", &down, vec![&down, &slow], false),
            ("nothing fires", &slow, vec![&slow], false),
        ] {
            let others: Vec<Firing> = others.into_iter().cloned().collect();
            assert_eq!(
                by_service
                    .while_firing(&others, |_| true)
                    .source(target)
                    .is_some(),
                wanted,
                "{name}"
            );
        }
    }

    #[test]
    fn two_alerts_that_fit_both_sides_do_not_mute_each_other() {
        let rule = inhibition(&["alertname=~\"A|B\""], &["alertname=~\"A|B|C\""], &[]);
        let all = [
            firing("A", "s", "critical"),
            firing("B", "s", "critical"),
            firing("C", "s", "critical"),
        ];
        let muted: Vec<&str> = all
            .iter()
            .filter(|alert| rule.while_firing(&all, |_| true).source(alert).is_some())
            .map(|alert| alert.name.as_str())
            .collect();
        assert_eq!(muted, ["C"]);
    }

    #[test]
    fn a_label_that_both_lack_is_equal() {
        let rule = inhibition(&["alertname=A"], &["alertname=B"], &["owner"]);
        let (a, b) = (firing("A", "s", "critical"), firing("B", "t", "critical"));
        assert!(rule.while_firing(&[a], |_| true).source(&b).is_some());
    }
}
