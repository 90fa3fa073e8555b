//! Parts of a configuration, and whether another one in its place would take away so much of it
//! that it looks like an accident: a file that is gone, emptied or cut off in its middle.

use std::collections::{BTreeMap, BTreeSet};

use super::files::NAMES;
use crate::domain::slug;
use crate::registry::FileEntries;
use crate::spec::{ServiceAlertSpec, ServiceSpec};

/// Number of entries below which more than half may be removed on purpose. Removing all of them
/// counts with any number.
const MIN_ENTRIES: usize = 4;

/// The rule plugin of an alert that names none.
const CONDITION: &str = "condition";

/// Names alone, nothing secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    files: BTreeMap<&'static str, FileState>,
    /// Slugs of the services.
    services: BTreeSet<String>,
    /// Alerts of `alerts.yaml`, by name.
    alerts: BTreeSet<String>,
    /// Alerts of services, as `SLUG/NAME`.
    service_alerts: BTreeSet<String>,
    /// Channels at the top of `alerts.yaml`, and those with names.
    channels: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileState {
    Absent,
    /// Empty but for comments and keys without a value.
    Empty,
    Filled,
}

impl Outline {
    pub(super) fn new(files: BTreeMap<&'static str, FileState>, entries: &FileEntries) -> Self {
        let services = || entries.services.iter().map(|(_, spec)| spec);
        let service_alerts = services().flat_map(|spec| {
            let slug = slug_of(spec);
            spec.alerts
                .iter()
                .map(move |alert| format!("{slug}/{}", name_of(alert)))
        });
        Self {
            files,
            services: services().map(slug_of).collect(),
            alerts: entries
                .alerts
                .iter()
                .map(|(_, spec)| spec.name.clone())
                .collect(),
            service_alerts: service_alerts.collect(),
            channels: entries.notifications.len() + entries.routing.channels.len(),
        }
    }

    /// Returns why `next` should not take the place of this one unconfirmed. Empty: it may.
    pub fn losses(&self, next: &Self) -> Vec<String> {
        let mut losses = Vec::new();
        for name in NAMES {
            let state = |outline: &Self| {
                outline
                    .files
                    .get(name)
                    .copied()
                    .unwrap_or(FileState::Absent)
            };
            match (state(self), state(next)) {
                (FileState::Filled, FileState::Absent) => {
                    losses.push(format!("`{name}` was there and is gone"))
                }
                (FileState::Filled, FileState::Empty) => {
                    losses.push(format!("`{name}` is empty and was not before"))
                }
                _ => {}
            }
        }
        let kinds = [
            ("services", &self.services, &next.services),
            ("alerts of `alerts.yaml`", &self.alerts, &next.alerts),
            (
                "alerts of services",
                &self.service_alerts,
                &next.service_alerts,
            ),
        ];
        for (noun, before, after) in kinds {
            let (all, lost) = (before.len(), before.difference(after).count());
            if all > 0 && after.is_empty() || all >= MIN_ENTRIES && lost * 2 > all {
                losses.push(format!("{lost} of {all} {noun} would be removed"));
            }
        }
        if self.channels > 0 && next.channels == 0 {
            losses.push(format!(
                "all {} channels of `alerts.yaml` would be removed",
                self.channels
            ));
        }
        losses
    }
}

fn slug_of(spec: &ServiceSpec) -> String {
    spec.slug.clone().unwrap_or_else(|| slug(&spec.name))
}

fn name_of(alert: &ServiceAlertSpec) -> &str {
    alert
        .name
        .as_deref()
        .or(alert.plugin.as_deref())
        .unwrap_or(CONDITION)
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigFiles, Environment, parse};
    use super::*;

    fn outline(services: Option<&str>, alerts: Option<&str>) -> Outline {
        let folder = tempfile::tempdir().unwrap();
        let texts = [("services.yaml", services), ("alerts.yaml", alerts)];
        let texts = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text?.to_owned())));
        let draft = parse(
            folder.path(),
            ConfigFiles::of(texts.collect()),
            &Environment::default(),
        );
        assert!(draft.is_sound());
        draft.outline().clone()
    }

    fn services(names: &[&str]) -> String {
        let entry = |name: &&str| format!("\n  - {{name: {name}, baseUrl: \"https://a.example\"}}");
        format!("services:{}\n", names.iter().map(entry).collect::<String>())
    }

    #[test]
    fn what_looks_like_an_accident_has_to_be_confirmed() {
        let five = services(&["a", "b", "c", "d", "e"]);
        let three = services(&["a", "b", "c"]);
        for (before, after, wanted) in [
            (Some(five.as_str()), Some(five.as_str()), vec![]),
            // Grows, or is new.
            (Some(&three), Some(&five), vec![]),
            (None, Some(&five), vec![]),
            (None, None, vec![]),
            (Some("# nothing yet\n"), None, vec![]),
            // A few less.
            (Some(&five), Some(&three), vec![]),
            (Some(&five), Some(&services(&["a", "b", "d"])), vec![]),
            (Some(&three), Some(&services(&["a"])), vec![]),
            // Another one in place of the only one.
            (Some(&services(&["a"])), Some(&services(&["b"])), vec![]),
            // Cut off, or other ones.
            (
                Some(&five),
                Some(&services(&["a", "b"])),
                vec!["3 of 5 services would be removed"],
            ),
            (
                Some(&five),
                Some(&services(&["a", "b", "x", "y", "z"])),
                vec!["3 of 5 services would be removed"],
            ),
            (
                Some(&five),
                None,
                vec![
                    "`services.yaml` was there and is gone",
                    "5 of 5 services would be removed",
                ],
            ),
            (
                Some(&three),
                Some(""),
                vec![
                    "`services.yaml` is empty and was not before",
                    "3 of 3 services would be removed",
                ],
            ),
            (
                Some(&three),
                Some("services:\n  # - name: a\n"),
                vec![
                    "`services.yaml` is empty and was not before",
                    "3 of 3 services would be removed",
                ],
            ),
            (
                Some(&three),
                Some("services: []\n"),
                vec!["3 of 3 services would be removed"],
            ),
        ] {
            let losses = outline(before, None).losses(&outline(after, None));
            assert_eq!(losses, wanted, "{before:?} -> {after:?}");
        }
    }

    #[test]
    fn rules_and_channels_count_as_services_do() {
        let whole = "alerts:\n  - {name: A, condition: \"true\"}\n  - {name: B, condition: \"true\"}\n  \
                     - {name: C, condition: \"true\"}\n  - {name: D, condition: \"true\"}\n\
                     notifications: [{channel: email, recipients: [a@b.example]}]\n";
        let cut = "alerts:\n  - {name: A, condition: \"true\"}\n";
        assert_eq!(
            outline(None, Some(whole)).losses(&outline(None, Some(cut))),
            [
                "3 of 4 alerts of `alerts.yaml` would be removed",
                "all 1 channels of `alerts.yaml` would be removed"
            ]
        );
        let own = |count: usize| {
            let alerts: Vec<String> = (0..count)
                .map(|n| format!("{{name: n{n}, condition: \"true\"}}"))
                .collect();
            format!(
                "services: [{{name: a, baseUrl: \"https://a.example\", alerts: [{}]}}]\n",
                alerts.join(", ")
            )
        };
        assert_eq!(
            outline(Some(&own(4)), None).losses(&outline(Some(&own(1)), None)),
            ["3 of 4 alerts of services would be removed"]
        );
        assert_eq!(
            outline(Some(&own(4)), None).losses(&outline(Some(&own(2)), None)),
            [""; 0]
        );
    }
}
