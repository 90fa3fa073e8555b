//! Inhibition: while one alert fires, others say nothing new.

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
    /// The firing alert that mutes this one. An alert that fits both sides is not muted by others that do as well, so that two
    /// alerts never mute each other.
    pub fn source<'a>(&self, service: &str, labels: &Labels, firing: &'a [Firing]) -> Option<&'a Firing> {
        if !all_match(&self.target, labels) {
            return None;
        }
        let is_source_itself = all_match(&self.source, labels);
        firing.iter().find(|other| {
            let is_same = other.service == service && other.labels == *labels;
            !is_same
                && all_match(&self.source, &other.labels)
                && self.equal.iter().all(|name| other.labels.joined(name) == labels.joined(name))
                && !(is_source_itself && all_match(&self.target, &other.labels))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Severity;

    fn inhibition(source: &[&str], target: &[&str], equal: &[&str]) -> Inhibition {
        let matchers = |texts: &[&str]| texts.iter().map(|text| Matcher::parse(text).unwrap()).collect();
        Inhibition {
            source: matchers(source),
            target: matchers(target),
            equal: equal.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn firing(name: &str, service: &str, severity: &str) -> Firing {
        let labels = Labels::from([("alertname", name), ("service", service), ("severity", severity)]);
        let severity = Severity::parse(severity).unwrap();
        Firing { name: name.to_owned(), service: service.to_owned(), labels, severity }
    }

    #[test]
    fn mutes_as_the_table_says() {
        let by_service = inhibition(&["severity=critical"], &["severity=~\"warning|info\""], &["service"]);
        let down = firing("Down", "shop", "critical");
        let slow = firing("Slow", "shop", "warning");
        let elsewhere = firing("Slow", "mail", "warning");
        for (name, target, others, wanted) in [
            ("a warning beside a critical alert of its service", &slow, vec![&down], true),
            ("another service's", &elsewhere, vec![&down], false),
            ("the critical one itself", &down, vec![&down, &slow], false),
            ("nothing fires", &slow, vec![&slow], false),
        ] {
            let others: Vec<Firing> = others.into_iter().cloned().collect();
            let found = by_service.source(&target.service, &target.labels, &others);
            assert_eq!(found.is_some(), wanted, "{name}");
        }
    }

    #[test]
    fn two_alerts_that_fit_both_sides_do_not_mute_each_other() {
        let rule = inhibition(&["alertname=~\"A|B\""], &["alertname=~\"A|B|C\""], &[]);
        let all = [firing("A", "s", "critical"), firing("B", "s", "critical"), firing("C", "s", "critical")];
        let muted: Vec<&str> = all
            .iter()
            .filter(|alert| rule.source(&alert.service, &alert.labels, &all).is_some())
            .map(|alert| alert.name.as_str())
            .collect();
        assert_eq!(muted, ["C"]);
    }

    #[test]
    fn a_label_that_both_lack_is_equal() {
        let rule = inhibition(&["alertname=A"], &["alertname=B"], &["owner"]);
        let (a, b) = (firing("A", "s", "critical"), firing("B", "t", "critical"));
        assert!(rule.source(&b.service, &b.labels, &[a]).is_some());
    }
}
