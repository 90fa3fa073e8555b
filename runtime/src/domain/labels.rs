//! The labels that alerts are matched and grouped by.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Service, Severity};

/// Names with their values, in the order in which they are shown.
pub type LabelPairs = Vec<(String, String)>;

/// Names with their values. `tag` may have several, and a name that is missing equals the empty
/// text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, Vec<String>>);

impl Labels {
    /// Labels of an alert: `alertname`, `service`, `severity`, and those of its service: `type`,
    /// `owner`, each `tag`, the labels it was described with, and `team`, `criticality` and
    /// `environment` where it has no labels of its own by these names.
    pub fn of(alertname: &str, slug: &str, severity: Severity, service: Option<&Service>) -> Self {
        let mut labels = Self::of_service(slug, service);
        labels.add("alertname", alertname);
        labels.add("severity", severity.as_str());
        labels
    }

    /// Labels that all alerts of a service share.
    pub fn of_service(slug: &str, service: Option<&Service>) -> Self {
        let mut labels = Self::default();
        labels.add("service", slug);
        if let Some(service) = service {
            service
                .labels
                .iter()
                .for_each(|(name, value)| labels.add(name, value));
            service
                .profile
                .labels()
                .filter(|(name, _)| !service.labels.contains_key(*name))
                .for_each(|(name, value)| labels.add(name, value));
            labels.add("type", &service.kind);
            service
                .owner
                .iter()
                .for_each(|owner| labels.add("owner", owner));
            service.tags.iter().for_each(|tag| labels.add("tag", tag));
        }
        labels
    }

    /// Names that a service's own labels can't have.
    pub const NAMES: [&'static str; 6] =
        ["alertname", "service", "severity", "type", "owner", "tag"];

    pub fn add(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0
                .entry(name.to_owned())
                .or_default()
                .push(value.to_owned());
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Values of a label; none where it is missing.
    pub fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Value of a label as one text, for grouping and for people: several are joined by commas,
    /// and a missing label is the empty text.
    pub fn joined(&self, name: &str) -> String {
        let mut values = self.values(name).to_vec();
        values.sort();
        values.join(",")
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.keys().map(|name| (name.as_str(), self.joined(name)))
    }

    /// Returns each name with its value as one text.
    pub fn to_pairs(&self) -> LabelPairs {
        self.iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Labels {
    fn from(pairs: [(&str, &str); N]) -> Self {
        let mut labels = Self::default();
        pairs
            .iter()
            .for_each(|(name, value)| labels.add(name, value));
        labels
    }
}
