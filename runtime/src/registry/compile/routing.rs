//! Compiles the routing tree, inhibitions and windows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Compiler;
use super::channel::ChannelPlace;
use crate::domain::fault::{FaultReport, child, suggest};
use crate::domain::{
    Channel, ChannelId, GroupBy, Inhibition, Labels, Maintenance, Matcher, Recurrence, Route,
    UnixMillis,
};
use crate::spec::{
    DurationSpec, InhibitSpec, MaintenanceSpec, NotificationSpec, RouteSpec, Texts, WindowSpec,
};

/// More is a mistake; every alert that fires is compared with all of them.
const MAX_ROUTES: usize = 1_000;
const MAX_DEPTH: usize = 16;
const MAX_MATCHERS: usize = 32;
const MAX_CHANNELS: usize = 256;
const MAX_INHIBITIONS: usize = 256;
const MAX_WINDOWS: usize = 256;

/// Grouping of each alert by itself, as in Alertmanager.
const EACH: &str = "...";

/// Routing part of `alerts.yaml`: who is notified, beside the rules.
#[derive(Default)]
pub(crate) struct Routing {
    /// Channels by name.
    pub(crate) channels: BTreeMap<String, Arc<Channel>>,
    /// The one of the files, or that of the channels at their top.
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) mute_times: Arc<BTreeMap<String, Recurrence>>,
    pub(crate) inhibitions: Arc<Vec<Inhibition>>,
    pub(crate) maintenance: Vec<Arc<Maintenance>>,
}

/// The keys of `alerts.yaml` that it is made from.
#[derive(Debug, Clone, Default)]
pub struct RoutingEntries {
    pub channels: BTreeMap<String, NotificationSpec>,
    pub route: Option<RouteSpec>,
    pub mute_times: BTreeMap<String, WindowSpec>,
    pub inhibit: Vec<(usize, InhibitSpec)>,
    pub maintenance: Vec<(usize, MaintenanceSpec)>,
}

impl Compiler<'_> {
    /// `defaults`: the channels at the top of `alerts.yaml`.
    pub(crate) async fn routing(
        &mut self,
        entries: &RoutingEntries,
        defaults: &[Arc<Channel>],
    ) -> Routing {
        let channels = self.named_channels(&entries.channels).await;
        let mute_times = self.mute_times(&entries.mute_times);
        let route = entries.route.as_ref().map(|spec| {
            let mut tree = Tree {
                channels: &channels,
                mute_times: &mute_times,
                escalations: &self.escalation_names,
                nodes: 0,
                report: &mut self.report,
            };
            let mut route = tree.node(spec, "/route", 0);
            if route.channels.is_none() {
                let ids = defaults.iter().map(|channel| channel.id.clone()).collect::<Vec<_>>();
                if ids.is_empty() {
                    let message = "names no channel; write a `receiver`, or `notifications` at the top of alerts.yaml";
                    self.report.fault("/route", message);
                }
                route.channels = Some(ids);
            }
            Arc::new(route)
        });
        let by_default = || {
            let ids: Vec<ChannelId> = defaults.iter().map(|channel| channel.id.clone()).collect();
            (!ids.is_empty()).then(|| Arc::new(Route::of_defaults(ids)))
        };
        let route = route.or_else(by_default);
        let inhibitions = Arc::new(self.inhibitions(&entries.inhibit));
        let maintenance = self.windows(&entries.maintenance);
        Routing {
            channels,
            route,
            mute_times: Arc::new(mute_times),
            inhibitions,
            maintenance,
        }
    }

    async fn named_channels(
        &mut self,
        specs: &BTreeMap<String, NotificationSpec>,
    ) -> BTreeMap<String, Arc<Channel>> {
        if specs.len() > MAX_CHANNELS {
            self.report.fault(
                "/channels",
                format!("must have at most {MAX_CHANNELS} entries"),
            );
        }
        let mut channels = BTreeMap::new();
        for (name, spec) in specs.iter().take(MAX_CHANNELS) {
            let at = child("/channels", name);
            self.name_check(name, &at);
            if spec.name.is_some() {
                self.report.fault(
                    child(&at, "name"),
                    format!("is `{name}`, by the key of the channel; leave this out"),
                );
            }
            let named = NotificationSpec {
                name: Some(name.clone()),
                ..spec.clone()
            };
            channels.extend(
                self.channel(&named, &at, &ChannelPlace::NAMED, 0)
                    .await
                    .map(|channel| (name.clone(), channel)),
            );
        }
        channels
    }

    fn mute_times(&mut self, specs: &BTreeMap<String, WindowSpec>) -> BTreeMap<String, Recurrence> {
        if specs.len() > MAX_WINDOWS {
            self.report.fault(
                "/muteTimes",
                format!("must have at most {MAX_WINDOWS} entries"),
            );
        }
        let mut times = BTreeMap::new();
        for (name, spec) in specs.iter().take(MAX_WINDOWS) {
            let at = child("/muteTimes", name);
            times.extend(recurrence(spec, &at, &mut self.report).map(|time| (name.clone(), time)));
        }
        times
    }

    fn inhibitions(&mut self, specs: &[(usize, InhibitSpec)]) -> Vec<Inhibition> {
        if specs.len() > MAX_INHIBITIONS {
            self.report.fault(
                "/inhibit",
                format!("must have at most {MAX_INHIBITIONS} entries"),
            );
        }
        let mut inhibitions = Vec::new();
        for (index, spec) in specs.iter().take(MAX_INHIBITIONS) {
            let at = child("/inhibit", index);
            let mut side = |key: &str, texts: &Texts| {
                let side_at = child(&at, key);
                if texts.as_slice().is_empty() {
                    self.report
                        .fault(&side_at, "matches every alert; write at least one matcher");
                }
                matchers(Some(texts), &side_at, &mut self.report)
            };
            let (source, target) = (side("source", &spec.source), side("target", &spec.target));
            inhibitions.push(Inhibition {
                source,
                target,
                equal: spec.equal.clone(),
            });
        }
        inhibitions
    }

    fn windows(&mut self, specs: &[(usize, MaintenanceSpec)]) -> Vec<Arc<Maintenance>> {
        if specs.len() > MAX_WINDOWS {
            self.report.fault(
                "/maintenance",
                format!("must have at most {MAX_WINDOWS} entries"),
            );
        }
        let mut names = BTreeSet::new();
        let mut windows = Vec::new();
        for (index, spec) in specs.iter().take(MAX_WINDOWS) {
            let at = child("/maintenance", index);
            if !names.insert(spec.name.as_str()) {
                let message = format!(
                    "another window is named `{}`; give this one another name",
                    spec.name
                );
                self.report.fault(child(&at, "name"), message);
            }
            windows.extend(maintenance_compile(spec, &at, &mut self.report).map(Arc::new));
        }
        windows
    }
}

/// Also what the API makes a window from. `None` where the report has a fault more.
pub fn maintenance_compile(
    spec: &MaintenanceSpec,
    at: &str,
    report: &mut FaultReport,
) -> Option<Maintenance> {
    let name = spec.name.trim();
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        report.fault(child(at, "name"), "must be one line of 1 to 200 characters");
    }
    let matchers = matchers(spec.matchers.as_ref(), &child(at, "match"), report);
    let recurrence = recurrence(&spec.window(), at, report)?;
    Some(Maintenance {
        name: name.to_owned(),
        matchers,
        recurrence,
    })
}

/// Also what the API reads matchers with.
pub fn matchers(texts: Option<&Texts>, at: &str, report: &mut FaultReport) -> Vec<Matcher> {
    let Some(texts) = texts else {
        return Vec::new();
    };
    let list = texts.as_slice();
    if list.len() > MAX_MATCHERS {
        report.fault(at, format!("must have at most {MAX_MATCHERS} entries"));
    }
    let mut parsed = Vec::new();
    for (index, text) in list.iter().take(MAX_MATCHERS).enumerate() {
        let place = if matches!(texts, Texts::One(_)) {
            at.to_owned()
        } else {
            child(at, index)
        };
        match Matcher::parse_list(text) {
            Ok(matchers) => parsed.extend(matchers),
            Err(message) => report.fault(place, message),
        }
    }
    if list.len() <= MAX_MATCHERS && parsed.len() > MAX_MATCHERS {
        report.fault(at, format!("must have at most {MAX_MATCHERS} matchers"));
    }
    parsed
}

fn recurrence(spec: &WindowSpec, at: &str, report: &mut FaultReport) -> Option<Recurrence> {
    let WindowSpec {
        start,
        end,
        cron,
        duration,
        timezone,
    } = spec;
    let built = match (cron, start, end) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            report.fault(
                at,
                "has both a `cron` and a `start` or `end`; leave one of them out",
            );
            return None;
        }
        (Some(cron), None, None) => {
            let Some(duration) = duration else {
                report.fault(
                    child(at, "duration"),
                    "is missing: how long the window lasts, e.g. `2h`",
                );
                return None;
            };
            let duration = resolve(duration, &child(at, "duration"), report)?;
            Recurrence::cron(cron, timezone.as_deref().unwrap_or("UTC"), duration)
        }
        (None, Some(start), Some(end)) => {
            let start = moment(start, &child(at, "start"), report);
            let end = moment(end, &child(at, "end"), report);
            for (key, is_given) in [
                ("duration", duration.is_some()),
                ("timezone", timezone.is_some()),
            ] {
                if is_given {
                    report.fault(
                        child(at, key),
                        "goes with `cron` only; `start` and `end` are enough",
                    );
                }
            }
            Recurrence::once(start?, end?)
        }
        (None, ..) => {
            report.fault(
                at,
                "has no time: write a `start` and an `end`, or a `cron` and a `duration`",
            );
            return None;
        }
    };
    built.map_err(|fault| report.add(fault.under(at))).ok()
}

pub(super) fn moment(text: &str, at: &str, report: &mut FaultReport) -> Option<UnixMillis> {
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => Some(moment.as_millisecond()),
        Err(_) => {
            report.fault(
                at,
                format!(
                    "`{text}` is not a moment with an offset; write e.g. `2026-11-23T22:00:00Z`"
                ),
            );
            None
        }
    }
}

fn resolve(spec: &DurationSpec, at: &str, report: &mut FaultReport) -> Option<Duration> {
    spec.resolve(1_000)
        .map_err(|message| report.fault(at, message))
        .ok()
}

/// State of a walk over the routing tree.
struct Tree<'t> {
    channels: &'t BTreeMap<String, Arc<Channel>>,
    mute_times: &'t BTreeMap<String, Recurrence>,
    escalations: &'t BTreeSet<String>,
    nodes: usize,
    report: &'t mut FaultReport,
}

impl Tree<'_> {
    fn node(&mut self, spec: &RouteSpec, at: &str, depth: usize) -> Route {
        self.nodes += 1;
        if self.nodes == MAX_ROUTES + 1 {
            self.report
                .fault("/route", format!("must have at most {MAX_ROUTES} nodes"));
        }
        if depth > MAX_DEPTH {
            self.report
                .fault(at, format!("is more than {MAX_DEPTH} nodes deep"));
            return Route::default();
        }
        let matchers = matchers(spec.matchers.as_ref(), &child(at, "match"), self.report);
        if depth == 0 {
            self.top_check(spec, at);
        }
        let receivers = spec
            .receiver
            .as_ref()
            .map(|names| self.receivers(names, &child(at, "receiver")));
        let group_wait = self.interval(spec.group_wait.as_ref(), &child(at, "groupWait"), true);
        let group_interval = self.interval(
            spec.group_interval.as_ref(),
            &child(at, "groupInterval"),
            false,
        );
        let repeat_interval = self.interval(
            spec.repeat_interval.as_ref(),
            &child(at, "repeatInterval"),
            false,
        );
        self.names_check(spec, at);
        let group_by = spec
            .group_by
            .as_ref()
            .map(|names| self.group_by(names, &child(at, "groupBy")));
        let below = child(at, "routes");
        let routes = spec
            .routes
            .iter()
            .enumerate()
            .map(|(index, spec)| self.node(spec, &child(&below, index), depth + 1));
        let routes = routes.collect();
        Route {
            matchers,
            channels: receivers,
            group_by,
            group_wait,
            group_interval,
            repeat_interval,
            mute_times: spec.mute_times.clone(),
            escalation: spec.escalation.clone(),
            continues: spec.continues,
            routes,
        }
    }

    /// Reports what means nothing at the top of the tree.
    fn top_check(&mut self, spec: &RouteSpec, at: &str) {
        if spec.matchers.is_some() {
            self.report.fault(
                child(at, "match"),
                "the top of the tree takes every alert; move this into `routes`",
            );
        }
        if spec.continues {
            self.report.fault(
                child(at, "continue"),
                "nothing follows the top of the tree; leave this out",
            );
        }
    }

    fn interval(
        &mut self,
        spec: Option<&DurationSpec>,
        at: &str,
        may_be_zero: bool,
    ) -> Option<Duration> {
        let duration = resolve(spec?, at, self.report)?;
        if duration < Duration::from_secs(1) && !(may_be_zero && duration.is_zero()) {
            self.report.fault(at, "has to be a second at least");
        }
        Some(duration)
    }

    /// Checks the names of mute times and of the escalation.
    fn names_check(&mut self, spec: &RouteSpec, at: &str) {
        for (index, name) in spec.mute_times.iter().enumerate() {
            if !self.mute_times.contains_key(name) {
                let nearest = suggest(name, self.mute_times.keys().map(String::as_str));
                let message = format!("`muteTimes` has no entry `{name}`{nearest}");
                self.report
                    .fault(child(&child(at, "muteTimes"), index), message);
            }
        }
        let unknown = |name: &&String| !self.escalations.contains(*name);
        if let Some(name) = spec.escalation.as_ref().filter(unknown) {
            let nearest = suggest(name, self.escalations.iter().map(String::as_str));
            self.report.fault(
                child(at, "escalation"),
                format!("alerts.yaml has no escalation `{name}`{nearest}"),
            );
        }
    }

    fn receivers(&mut self, names: &Texts, at: &str) -> Vec<ChannelId> {
        let mut ids = Vec::new();
        for (index, name) in names.as_slice().iter().enumerate() {
            match self.channels.get(name) {
                Some(channel) => ids.push(channel.id.clone()),
                None => {
                    let place = if matches!(names, Texts::One(_)) {
                        at.to_owned()
                    } else {
                        child(at, index)
                    };
                    let nearest = suggest(name, self.channels.keys().map(String::as_str));
                    self.report
                        .fault(place, format!("`channels` has no entry `{name}`{nearest}"));
                }
            }
        }
        ids
    }

    fn group_by(&mut self, names: &[String], at: &str) -> GroupBy {
        if names.iter().any(|name| name == EACH) {
            if names.len() > 1 {
                self.report.fault(
                    at,
                    format!("`{EACH}` stands for all labels; leave the others out"),
                );
            }
            return GroupBy::Each;
        }
        for (index, name) in names.iter().enumerate() {
            if !is_label(name) {
                let message = format!(
                    "`{name}` is not the name of a label; known beside those of `labels`: {}",
                    crate::domain::fault::list(Labels::NAMES)
                );
                self.report.fault(child(at, index), message);
            }
        }
        GroupBy::Labels(names.to_vec())
    }
}

pub(super) fn is_label(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
