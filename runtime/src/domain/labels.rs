//! What alerts are matched and grouped by.

use std::collections::BTreeMap;

use super::{Service, Severity};

/// Names with their values. `tag` may have several, and a name that is missing equals the empty
/// text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, Vec<String>>);

impl Labels {
    /// Of an alert: `alertname`, `service`, `severity`, and of the service `type`, `owner`, its
    /// `tag`s and its own labels.
    pub fn of(alertname: &str, slug: &str, severity: Severity, service: Option<&Service>) -> Self {
        let mut labels = Self::default();
        labels.add("alertname", alertname);
        labels.add("service", slug);
        labels.add("severity", severity.as_str());
        if let Some(service) = service {
            service
                .labels
                .iter()
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

    /// No value at all where the label is missing.
    pub fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// One text for grouping and for people: several values joined by commas, nothing where the
    /// label is missing.
    pub fn joined(&self, name: &str) -> String {
        let mut values = self.values(name).to_vec();
        values.sort();
        values.join(",")
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.keys().map(|name| (name.as_str(), self.joined(name)))
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
