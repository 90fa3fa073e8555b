//! Alertmanager's routing tree: the channels of an alert, the alerts that it is grouped with, and
//! the timing.

use std::time::Duration;

use super::labels::Labels;
use super::matcher::{Matcher, all_match};
use super::{ChannelId, LabelPairs, Timing};

/// One node. What a node leaves out it has from its parent, down to the defaults.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// All have to match; the root's are empty.
    pub matchers: Vec<Matcher>,
    pub channels: Option<Vec<ChannelId>>,
    pub group_by: Option<GroupBy>,
    pub group_wait: Option<Duration>,
    pub group_interval: Option<Duration>,
    pub repeat_interval: Option<Duration>,
    /// Names of times during which this node sends nothing.
    pub mute_times: Vec<String>,
    /// Name of the escalation policy of rules that name none.
    pub escalation: Option<String>,
    /// Whether the siblings that follow are looked at after a match as well.
    pub continues: bool,
    pub routes: Vec<Route>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// Labels; no labels at all put everything into one group.
    Labels(Vec<String>),
    /// `...`: each alert is a group of its own.
    Each,
}

/// Where an alert goes: one match of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The matchers on the way from the root, which is `{}`: stays the same while other nodes come
    /// and go.
    pub path: String,
    pub channels: Vec<ChannelId>,
    pub group_by: GroupBy,
    pub timing: Timing,
    pub mute_times: Vec<String>,
    pub escalation: Option<String>,
}

impl Route {
    /// Returns the tree where none was written: alerts of one name share a message. A network that
    /// fails is one message after ten seconds and one a minute while more is found, not one for
    /// each service.
    pub fn of_defaults(channels: Vec<ChannelId>) -> Self {
        Self {
            channels: Some(channels),
            group_by: Some(GroupBy::Labels(vec!["alertname".to_owned()])),
            group_wait: Some(Duration::from_secs(10)),
            group_interval: Some(Duration::from_secs(60)),
            ..Self::default()
        }
    }

    /// The deepest matching nodes, in order. Empty only if the root itself does not match.
    pub fn destinations(&self, labels: &Labels) -> Vec<Destination> {
        let inherited = Destination {
            path: "{}".to_owned(),
            channels: Vec::new(),
            group_by: GroupBy::Labels(Vec::new()),
            timing: Timing::default(),
            mute_times: Vec::new(),
            escalation: None,
        };
        self.descend(labels, &inherited)
    }

    fn descend(&self, labels: &Labels, inherited: &Destination) -> Vec<Destination> {
        if !all_match(&self.matchers, labels) {
            return Vec::new();
        }
        let own = self.settled(inherited);
        let mut found = Vec::new();
        for (index, child) in self.routes.iter().enumerate() {
            let place = Destination {
                path: format!("{}/{}", own.path, self.child_name(index)),
                ..own.clone()
            };
            let matched = child.descend(labels, &place);
            let is_last = !matched.is_empty() && !child.continues;
            found.extend(matched);
            if is_last {
                break;
            }
        }
        if found.is_empty() { vec![own] } else { found }
    }
}

impl Route {
    /// Returns the destination of this node, with what it inherits from the node above.
    pub fn settled(&self, above: &Destination) -> Destination {
        Destination {
            path: above.path.clone(),
            channels: self
                .channels
                .clone()
                .unwrap_or_else(|| above.channels.clone()),
            group_by: self
                .group_by
                .clone()
                .unwrap_or_else(|| above.group_by.clone()),
            timing: Timing {
                wait: self.group_wait.unwrap_or(above.timing.wait),
                interval: self.group_interval.unwrap_or(above.timing.interval),
                repeat: self.repeat_interval.unwrap_or(above.timing.repeat),
            },
            // As in Alertmanager, a node's own only.
            mute_times: self.mute_times.clone(),
            escalation: self.escalation.clone().or_else(|| above.escalation.clone()),
        }
    }

    /// Returns a name made of its matchers, in a fixed order; a number distinguishes siblings with
    /// the same ones.
    fn child_name(&self, index: usize) -> String {
        let matchers = |route: &Route| {
            let mut matchers: Vec<String> = route.matchers.iter().map(Matcher::in_order).collect();
            matchers.sort();
            format!("{{{}}}", matchers.join(","))
        };
        let name = matchers(&self.routes[index]);
        match self.routes[..index]
            .iter()
            .filter(|before| matchers(before) == name)
            .count()
        {
            0 => name,
            before => format!("{name}#{}", before + 1),
        }
    }
}

impl Destination {
    /// The labels a group is named by.
    pub fn group_labels(&self, labels: &Labels) -> LabelPairs {
        let names: Vec<&str> = match &self.group_by {
            GroupBy::Labels(names) => names.iter().map(String::as_str).collect(),
            // No two open alerts have both in common.
            GroupBy::Each => vec!["alertname", "service"],
        };
        names
            .into_iter()
            .map(|name| (name.to_owned(), labels.joined(name)))
            .collect()
    }

    /// The same for all alerts of a group, and for no other:
    /// `{}/{severity="critical"}:{service="shop-api"}`.
    pub fn group_key(&self, labels: &Labels) -> String {
        let mut pairs: Vec<String> = self
            .group_labels(labels)
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        pairs.sort();
        format!("{}:{{{}}}", self.path, pairs.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(names: &[&str]) -> Option<Vec<ChannelId>> {
        Some(
            names
                .iter()
                .map(|name| ChannelId((*name).to_owned()))
                .collect(),
        )
    }

    fn matchers(texts: &[&str]) -> Vec<Matcher> {
        texts
            .iter()
            .map(|text| Matcher::parse(text).unwrap())
            .collect()
    }

    /// The example that Alertmanager's documentation is built around, in our words.
    fn tree() -> Route {
        Route {
            channels: channels(&["default"]),
            group_by: Some(GroupBy::Labels(vec!["service".to_owned()])),
            group_wait: Some(Duration::from_secs(10)),
            routes: vec![
                Route {
                    matchers: matchers(&["severity=critical"]),
                    channels: channels(&["pager"]),
                    continues: true,
                    repeat_interval: Some(Duration::from_secs(600)),
                    ..Route::default()
                },
                Route {
                    matchers: matchers(&["owner=~\"db-.*\""]),
                    channels: channels(&["database"]),
                    group_by: Some(GroupBy::Labels(vec!["alertname".to_owned()])),
                    routes: vec![Route {
                        matchers: matchers(&["tag=postgres"]),
                        channels: channels(&["postgres"]),
                        ..Route::default()
                    }],
                    ..Route::default()
                },
                Route {
                    matchers: matchers(&["owner=web"]),
                    group_by: Some(GroupBy::Each),
                    ..Route::default()
                },
            ],
            ..Route::default()
        }
    }

    fn told(labels: &Labels) -> Vec<(String, String)> {
        tree()
            .destinations(labels)
            .into_iter()
            .map(|found| {
                (
                    found.path,
                    found
                        .channels
                        .iter()
                        .map(|channel| channel.0.clone())
                        .collect::<Vec<_>>()
                        .join("+"),
                )
            })
            .collect()
    }

    #[test]
    fn the_deepest_match_wins_and_siblings_follow_only_after_continue() {
        for (labels, wanted) in [
            (
                Labels::from([("severity", "info")]),
                vec![("{}", "default")],
            ),
            (
                Labels::from([("severity", "critical")]),
                vec![("{}/{severity=\"critical\"}", "pager")],
            ),
            (
                Labels::from([("severity", "critical"), ("owner", "db-eu")]),
                vec![
                    ("{}/{severity=\"critical\"}", "pager"),
                    ("{}/{owner=~\"db-.*\"}", "database"),
                ],
            ),
            (
                Labels::from([("owner", "db-eu"), ("tag", "postgres")]),
                vec![("{}/{owner=~\"db-.*\"}/{tag=\"postgres\"}", "postgres")],
            ),
            (
                Labels::from([("owner", "web")]),
                vec![("{}/{owner=\"web\"}", "default")],
            ),
        ] {
            let wanted: Vec<_> = wanted
                .into_iter()
                .map(|(path, name)| (path.to_owned(), name.to_owned()))
                .collect();
            assert_eq!(told(&labels), wanted, "{labels:?}");
        }
    }

    #[test]
    fn what_a_node_leaves_out_it_has_from_its_parent() {
        let labels = Labels::from([
            ("severity", "critical"),
            ("owner", "db-eu"),
            ("tag", "postgres"),
        ]);
        let found = tree().destinations(&labels);
        assert_eq!(found[0].timing.repeat, Duration::from_secs(600));
        assert_eq!(found[0].timing.wait, Duration::from_secs(10));
        assert_eq!(found[0].timing.interval, Timing::default().interval);
        assert_eq!(
            found[1].group_by,
            GroupBy::Labels(vec!["alertname".to_owned()])
        );
        assert_eq!(found[1].timing.repeat, Timing::default().repeat);
    }

    #[test]
    fn a_group_has_one_key_and_no_other_has_it() {
        let labels = Labels::from([("service", "a"), ("alertname", "Down")]);
        let other = Labels::from([("service", "a"), ("alertname", "Slow")]);
        let by = |group_by: GroupBy| Destination {
            path: "{}".to_owned(),
            channels: Vec::new(),
            group_by,
            timing: Timing::default(),
            mute_times: Vec::new(),
            escalation: None,
        };
        let names =
            |names: &[&str]| GroupBy::Labels(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(
            by(names(&["service"])).group_key(&labels),
            r#"{}:{service="a"}"#
        );
        assert_eq!(
            by(names(&["service"])).group_key(&other),
            r#"{}:{service="a"}"#
        );
        assert_eq!(by(names(&[])).group_key(&labels), "{}:{}");
        assert_ne!(
            by(GroupBy::Each).group_key(&labels),
            by(GroupBy::Each).group_key(&other)
        );
        let odd = Labels::from([("service", "a\",alertname=\"b")]);
        assert_ne!(
            by(names(&["service"])).group_key(&odd),
            by(names(&["alertname", "service"])).group_key(&labels)
        );
    }

    #[test]
    fn a_group_keeps_its_key_when_matchers_or_their_names_are_put_in_another_order() {
        let key = |texts: &[&str]| {
            let child = Route {
                matchers: matchers(texts),
                ..Route::default()
            };
            let tree = Route {
                channels: channels(&["default"]),
                routes: vec![child],
                ..Route::default()
            };
            let labels = Labels::from([("severity", "critical"), ("service", "b")]);
            let found = tree.destinations(&labels);
            assert_ne!(found[0].path, "{}", "{texts:?}");
            found[0].group_key(&labels)
        };
        assert_eq!(
            key(&["severity=critical", "service=~a|b|c"]),
            key(&["service=~c|b|a", "severity=critical"])
        );
        assert_ne!(key(&["service=~a|b|c"]), key(&["service=~a|b|d"]));
        // The order inside an expression that is more than names may matter.
        assert_ne!(key(&["service=~(x|b)|a"]), key(&["service=~a|(x|b)"]));
    }

    #[test]
    fn siblings_with_the_same_matchers_have_groups_of_their_own() {
        let child = |channel: &str| Route {
            matchers: matchers(&["severity=critical"]),
            channels: channels(&[channel]),
            continues: true,
            ..Route::default()
        };
        let tree = Route {
            channels: channels(&["default"]),
            routes: vec![child("a"), child("b")],
            ..Route::default()
        };
        let found = tree.destinations(&Labels::from([("severity", "critical")]));
        let paths: Vec<&str> = found.iter().map(|found| found.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                r#"{}/{severity="critical"}"#,
                r#"{}/{severity="critical"}#2"#
            ]
        );
    }
}
