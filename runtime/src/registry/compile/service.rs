//! Compiles a service's spec into the service, its probes, its own rules and their channels.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::alert::RuleDraft;
use super::paused::paused;
use super::profile::{self, profile};
use super::routing::is_label;
use super::{Compiler, cost, credential, gateway, heartbeat, rate_limits, target};
use crate::domain::cost::PriceList;
use crate::domain::duration::format_duration;
use crate::domain::fault::{FaultReport, child, list, suggest};
use crate::domain::{
    Channel, HEARTBEAT, Heartbeat, Labels, Mark, Origin, Pause, PluginKind, PrivateReach, Probe,
    Service, ServiceFacts, now_ms, slug, visit_marked,
};
use crate::spec::{DurationSpec, MonitoringSpec, ProbeSpec, ServiceSpec};

/// A service as it was written and as it runs.
pub(crate) struct CompiledService {
    pub(crate) spec: ServiceSpec,
    pub(crate) service: Arc<Service>,
    pub(crate) rules: Vec<RuleDraft>,
    pub(crate) channels: Vec<Arc<Channel>>,
    /// Price list; none: the cost of its calls is unknown.
    pub(crate) prices: Option<Arc<PriceList>>,
    /// None: no job of it calls us.
    pub(crate) heartbeat: Option<Arc<Heartbeat>>,
    /// Pause that the description says, over or not.
    pub(crate) pause: Option<Pause>,
}

/// More is a mistake, and would crowd out the others.
const MAX_PROBES: usize = 32;
const MAX_ALERTS: usize = 64;
const MAX_TAGS: usize = 32;
const MAX_LABELS: usize = 32;
const MAX_DEPENDENCIES: usize = 64;
const MAX_NAME_CHARS: usize = 200;
const MAX_SLUG_CHARS: usize = 100;
/// Parts of paths where a slug stands otherwise.
const RESERVED_SLUGS: [&str; 1] = ["batch"];
const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_TIMEOUT: Duration = Duration::from_secs(600);

impl Compiler<'_> {
    /// `None` when nothing can be built from it; its faults are in the report.
    pub(crate) async fn service(
        &mut self,
        spec: &ServiceSpec,
        at: &str,
    ) -> Option<CompiledService> {
        self.name_check(&spec.name, &child(at, "name"));
        let slug = self.service_slug(spec, at);
        self.urls_check(spec, at);
        self.texts_check(spec, at);
        let heartbeat = self.heartbeat(spec, at);
        let credentials = credential::credentials(spec, at, &mut self.report);
        let gateway = gateway::gateway(spec, &credentials, at, &mut self.report);
        let slo = profile::slo(spec, at, &mut self.report);
        let profile = profile(spec, at, &mut self.report);
        let pause = paused(spec.paused.as_ref(), at, now_ms(), &mut self.report);
        let prices = spec.cost.as_ref().and_then(|spec| {
            let list = cost::price_list(spec, &child(at, "cost"), &mut self.report);
            list.map(Arc::new)
        });
        let rate_limits = rate_limits::rules(spec.rate_limits.as_ref(), at, &mut self.report);
        let hosts = credential::hosts(&spec.hosts, at, &mut self.report);
        self.service = Some(ServiceFacts {
            slug: slug.clone().unwrap_or_default(),
            name: spec.name.clone(),
            kind: spec.kind.clone(),
            base_url: spec.base_url.clone(),
            health_endpoint: spec.health_endpoint.clone(),
        });
        let probes = self.probes(spec, at).await;
        let webhooks = self.webhooks(spec, &probes, at).await;
        let meters = self.meters(spec, at).await;
        self.service = None;
        let shortest = probes.iter().map(|probe| probe.interval).min();
        let names = probes
            .iter()
            .map(|probe| probe.name.as_str())
            .chain(webhooks.iter().map(|webhook| webhook.name.as_str()));
        let names: Vec<&str> = names.collect();
        let (rules, channels) = self
            .own_rules(
                spec,
                slug.as_deref().unwrap_or_default(),
                at,
                shortest,
                &names,
            )
            .await;
        let service = Service {
            slug: slug?,
            name: spec.name.clone(),
            kind: spec.kind.clone(),
            base_url: spec.base_url.clone(),
            health_endpoint: spec.health_endpoint.clone(),
            tags: spec.tags.clone(),
            labels: spec.labels.clone(),
            depends_on: spec.depends_on.clone(),
            owner: spec.owner.clone(),
            description: spec.description.clone(),
            profile,
            slo,
            rate_limits,
            origin: self.origin,
            hosts,
            private: match spec.private {
                Some(is_open) => is_open.into(),
                None if self.origin == Origin::File => PrivateReach::as_loaded(),
                None => PrivateReach::Closed,
            },
            credentials,
            probes,
            webhooks,
            meters,
            gateway,
        };
        Some(CompiledService {
            spec: spec.clone(),
            service: Arc::new(service),
            rules,
            channels,
            prices,
            heartbeat,
            pause,
        })
    }

    fn urls_check(&mut self, spec: &ServiceSpec, at: &str) {
        let may_be_missing = spec.heartbeat.is_some() && spec.base_url.is_empty();
        if let Some(message) = target::base_url_fault(&spec.kind, &spec.base_url)
            && !may_be_missing
        {
            self.report.fault(child(at, "baseUrl"), message);
        }
        if let Some(path) = &spec.health_endpoint
            && (!path.starts_with('/')
                || path.contains(|c: char| c.is_whitespace() || c.is_control()))
        {
            let message = "must be a path below the base URL that begins with `/`, e.g. `/health`";
            self.report.fault(child(at, "healthEndpoint"), message);
        }
    }

    pub(super) fn name_check(&mut self, name: &str, at: &str) {
        line_check(name, at, &mut self.report);
    }

    fn service_slug(&mut self, spec: &ServiceSpec, at: &str) -> Option<String> {
        let (text, place) = match &spec.slug {
            Some(text) => (text.clone(), child(at, "slug")),
            None => (slug(&spec.name), child(at, "name")),
        };
        let message = if text.is_empty() && spec.name.trim().is_empty() {
            return None;
        } else if text.is_empty() {
            "has no letter or digit to make an id of; give a `slug`".to_owned()
        } else if text != slug(&text) {
            format!(
                "must be in lower case, words joined by `-`; write `{}`",
                slug(&text)
            )
        } else if RESERVED_SLUGS.contains(&text.as_str()) {
            format!("`{text}` is a word of the API below `/services`; give another `slug`")
        } else if text.chars().count() > MAX_SLUG_CHARS {
            format!("makes an id of more than {MAX_SLUG_CHARS} characters; give a shorter `slug`")
        } else {
            return Some(text);
        };
        self.report.fault(place, message);
        None
    }

    fn texts_check(&mut self, spec: &ServiceSpec, at: &str) {
        const MAX_TEXT_CHARS: usize = 4000;
        for (key, text) in [("owner", &spec.owner), ("description", &spec.description)] {
            if text
                .as_ref()
                .is_some_and(|text| text.chars().count() > MAX_TEXT_CHARS)
            {
                self.report.fault(
                    child(at, key),
                    format!("must have at most {MAX_TEXT_CHARS} characters"),
                );
            }
        }
        let tags = child(at, "tags");
        if spec.tags.len() > MAX_TAGS {
            self.report
                .fault(&tags, format!("must have at most {MAX_TAGS} entries"));
        }
        for (index, tag) in spec.tags.iter().enumerate() {
            self.name_check(tag, &child(&tags, index));
        }
        self.labels_check(spec, at);
        if spec.depends_on.len() > MAX_DEPENDENCIES {
            self.report.fault(
                child(at, "dependsOn"),
                format!("must have at most {MAX_DEPENDENCIES} entries"),
            );
        }
    }

    fn labels_check(&mut self, spec: &ServiceSpec, at: &str) {
        let labels = child(at, "labels");
        if spec.labels.len() > MAX_LABELS {
            self.report
                .fault(&labels, format!("must have at most {MAX_LABELS} entries"));
        }
        for (name, value) in &spec.labels {
            let place = child(&labels, name);
            if Labels::NAMES.contains(&name.as_str()) {
                self.report.fault(
                    &place,
                    format!("every alert has a label `{name}` already; use another name"),
                );
            } else if !is_label(name) {
                self.report.fault(
                    &place,
                    "must be letters, digits and `_`, and not begin with a digit",
                );
            }
            self.name_check(value, &place);
        }
    }

    async fn probes(&mut self, spec: &ServiceSpec, at: &str) -> Vec<Probe> {
        let mut probes = Vec::new();
        let monitoring = spec.monitoring.clone().unwrap_or_default();
        let main_at = child(at, "monitoring");
        let interval = self.interval(
            monitoring.interval.as_ref(),
            self.defaults.interval,
            &main_at,
        );
        let timeout = self.timeout(
            monitoring.timeout.as_ref(),
            self.defaults.timeout,
            interval,
            &main_at,
        );
        if let Some(probe) = self
            .main_probe(spec, &monitoring, at, interval, timeout)
            .await
        {
            probes.push((child(&main_at, "name"), probe));
        }
        if spec.probes.len() > MAX_PROBES {
            self.report.fault(
                child(at, "probes"),
                format!("must have at most {MAX_PROBES} entries"),
            );
        }
        for (index, more) in spec.probes.iter().take(MAX_PROBES).enumerate() {
            let probe_at = child(&child(at, "probes"), index);
            let interval = self.interval(more.interval.as_ref(), interval, &probe_at);
            let timeout = self.timeout(more.timeout.as_ref(), timeout, interval, &probe_at);
            if let Some(probe) = self.more_probe(more, &probe_at, interval, timeout).await {
                probes.push((child(&probe_at, "name"), probe));
            }
        }
        let mut names = BTreeSet::new();
        for (name_at, probe) in &probes {
            self.name_check(&probe.name, name_at);
            if spec.heartbeat.is_some() && probe.name == HEARTBEAT {
                let message = format!(
                    "`{HEARTBEAT}` is the name under which the service's heartbeat is observed; give this probe another `name`"
                );
                self.report.fault(name_at, message);
            } else if !names.insert(probe.name.as_str()) {
                let message = format!(
                    "another probe of this service is named `{}`; give this one another `name`",
                    probe.name
                );
                self.report.fault(name_at, message);
            }
        }
        let heartbeat = spec.heartbeat.as_ref();
        let heartbeat = heartbeat.map(|_| heartbeat::probe(interval, timeout));
        let probes = probes.into_iter().map(|(_, probe)| probe);
        probes.chain(heartbeat).collect()
    }

    async fn main_probe(
        &mut self,
        spec: &ServiceSpec,
        monitoring: &MonitoringSpec,
        at: &str,
        interval: Duration,
        timeout: Duration,
    ) -> Option<Probe> {
        if heartbeat::is_only_called(spec) {
            return None;
        }
        let main_at = child(at, "monitoring");
        let plugin = self.main_plugin(spec, monitoring, at)?;
        let mut settings = monitoring.settings.0.clone();
        let status_outside =
            monitoring.expected_status.is_some() && !settings.contains_key("expectedStatus");
        if let Some(expected) = &monitoring.expected_status {
            if !status_outside {
                let message = "is given twice, here and in `settings`; remove one";
                self.report
                    .fault(child(&main_at, "expectedStatus"), message);
            }
            settings.insert("expectedStatus".to_owned(), expected.clone());
        }
        let settings = Value::Object(settings);
        let locate = |pointer: &str| {
            if status_outside && pointer.starts_with("/expectedStatus") {
                format!("{main_at}{pointer}")
            } else {
                format!("{main_at}/settings{pointer}")
            }
        };
        self.settings_check(PluginKind::Probe, &plugin, &settings, &[], locate)
            .await;
        self.secret_headers_check(&plugin, &settings, &child(&main_at, "settings"));
        let name = monitoring.name.clone().unwrap_or_else(|| plugin.clone());
        let retry = self.retry(
            monitoring.retries,
            monitoring.retry_interval.as_ref(),
            interval,
            &main_at,
        );
        Some(Probe {
            name,
            plugin,
            settings,
            interval,
            timeout,
            retry,
        })
    }

    /// Returns the plugin of the main probe, which the service's type implies.
    fn main_plugin(
        &mut self,
        spec: &ServiceSpec,
        monitoring: &MonitoringSpec,
        at: &str,
    ) -> Option<String> {
        let type_at = child(at, "type");
        let (plugin, plugin_at) = match (&monitoring.probe, target::default_probe(&spec.kind)) {
            (Some(plugin), _) => (plugin.clone(), child(&child(at, "monitoring"), "probe")),
            (None, Some(plugin)) => (plugin.to_owned(), type_at),
            (None, None) => {
                let kinds = target::kinds().chain([heartbeat::KIND]);
                let nearest = suggest(&spec.kind, kinds);
                let message = format!(
                    "no probe is known for the type `{}`{nearest}; or set `monitoring.probe`",
                    spec.kind
                );
                self.report.fault(type_at, message);
                return None;
            }
        };
        self.plugin_exists(PluginKind::Probe, &plugin, &plugin_at)
            .then_some(plugin)
    }

    async fn more_probe(
        &mut self,
        spec: &ProbeSpec,
        at: &str,
        interval: Duration,
        timeout: Duration,
    ) -> Option<Probe> {
        if !self.plugin_exists(PluginKind::Probe, &spec.plugin, &child(at, "plugin")) {
            return None;
        }
        let settings = Value::Object(spec.settings.0.clone());
        let locate = |pointer: &str| format!("{at}/settings{pointer}");
        self.settings_check(PluginKind::Probe, &spec.plugin, &settings, &[], locate)
            .await;
        self.secret_headers_check(&spec.plugin, &settings, &child(at, "settings"));
        let name = spec.name.clone().unwrap_or_else(|| spec.plugin.clone());
        let retry = self.retry(spec.retries, spec.retry_interval.as_ref(), interval, at);
        Some(Probe {
            name,
            plugin: spec.plugin.clone(),
            settings,
            interval,
            timeout,
            retry,
        })
    }

    /// A secret among the headers of a probe is kept as one, but is better written as a credential:
    /// it goes where a credential goes, and may stand in a file of its own.
    fn secret_headers_check(&mut self, plugin: &str, settings: &Value, at: &str) {
        let Some(info) = self.plugins.info(PluginKind::Probe, plugin) else {
            return;
        };
        let mut headers = Vec::new();
        visit_marked(
            &mut settings.clone(),
            &info.settings_schema,
            Mark::Secret,
            |marked| {
                headers.extend(
                    marked
                        .pointer
                        .starts_with("/headers/")
                        .then(|| marked.pointer.to_owned()),
                );
            },
        );
        for pointer in headers {
            let message = "is a secret among other settings; write it as `authentication` or under `credentials` of the \
                           service (`type: api_key` with `header` and `value`, or `valueFile`), and name that in `auth`";
            self.report.warn(format!("{at}{pointer}"), message);
        }
    }

    fn interval(&mut self, spec: Option<&DurationSpec>, default: Duration, at: &str) -> Duration {
        let place = child(at, "interval");
        let interval = self.duration(spec, 1_000, &place).unwrap_or(default);
        if interval < MIN_INTERVAL {
            self.report.fault(place, "must be at least 1s");
        }
        interval
    }

    /// A default gives way to a shorter interval; a timeout that was asked for is kept, and warned
    /// about.
    fn timeout(
        &mut self,
        spec: Option<&DurationSpec>,
        default: Duration,
        interval: Duration,
        at: &str,
    ) -> Duration {
        let place = child(at, "timeout");
        let Some(timeout) = self.duration(spec, 1, &place) else {
            return default.min(interval);
        };
        if timeout.is_zero() || timeout > MAX_TIMEOUT {
            self.report.fault(
                place,
                format!("must be between 1ms and {}", format_duration(MAX_TIMEOUT)),
            );
        } else if timeout > interval {
            let message = format!(
                "is longer than the interval ({} against {}), so a run that hangs makes the next ones missed",
                format_duration(timeout),
                format_duration(interval)
            );
            self.report.warn(place, message);
        }
        timeout
    }

    pub(super) fn duration(
        &mut self,
        spec: Option<&DurationSpec>,
        unit_ms: u32,
        at: &str,
    ) -> Option<Duration> {
        match spec?.resolve(unit_ms) {
            Ok(duration) => Some(duration),
            Err(message) => {
                self.report.fault(at, message);
                None
            }
        }
    }

    async fn own_rules(
        &mut self,
        spec: &ServiceSpec,
        slug: &str,
        at: &str,
        shortest_interval: Option<Duration>,
        known_probes: &[&str],
    ) -> (Vec<RuleDraft>, Vec<Arc<Channel>>) {
        let (mut rules, mut channels, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        let alerts_at = child(at, "alerts");
        if spec.alerts.len() > MAX_ALERTS {
            self.report.fault(
                &alerts_at,
                format!("must have at most {MAX_ALERTS} entries"),
            );
        }
        for (index, alert) in spec.alerts.iter().take(MAX_ALERTS).enumerate() {
            let alert_at = child(&alerts_at, index);
            let Some((draft, mut own)) = self.own_rule(alert, slug, &alert_at).await else {
                continue;
            };
            for (index, name) in draft.probes.iter().flatten().enumerate() {
                if !known_probes.contains(&name.as_str()) {
                    let nearest = suggest(name, known_probes.iter().copied());
                    let message = format!("the service has no probe or webhook `{name}`{nearest}");
                    self.report
                        .fault(child(&child(&alert_at, "probes"), index), message);
                }
            }
            if !names.insert(draft.name.clone()) {
                let message = format!(
                    "another alert of this service is named `{}`; give this one a `name`",
                    draft.name
                );
                self.report.fault(child(&alert_at, "name"), message);
            }
            if let Some(interval) = shortest_interval {
                self.look_back_check(&draft, interval, &spec.name, &alert_at);
            }
            channels.append(&mut own);
            rules.push(draft);
        }
        (rules, channels)
    }

    /// Warns of a window in which no run falls: it is always empty.
    pub(crate) fn look_back_check(
        &mut self,
        draft: &RuleDraft,
        interval: Duration,
        service: &str,
        at: &str,
    ) {
        if draft
            .look_back
            .is_some_and(|look_back| !look_back.is_zero() && look_back < interval)
        {
            let message = format!(
                "looks back {}, but `{service}` is only checked every {}, so most of the time there is nothing to judge",
                format_duration(draft.look_back.unwrap_or_default()),
                format_duration(interval)
            );
            self.report.warn(at, message);
        }
    }

    /// Two services of one slug; `seen` are those before.
    pub(crate) fn duplicate_check(
        &mut self,
        spec: &ServiceSpec,
        slug: &str,
        seen: Option<&ServiceSpec>,
        at: &str,
    ) {
        let Some(seen) = seen else { return };
        let place = child(at, if spec.slug.is_some() { "slug" } else { "name" });
        let message = if seen.name == spec.name {
            format!(
                "another service is named `{}`; names have to be unique, or each needs a `slug` of its own",
                spec.name
            )
        } else {
            format!(
                "`{slug}` is already the slug of {}; give this one a `slug` of its own",
                list([seen.name.as_str()])
            )
        };
        self.report.fault(place, message);
    }
}

/// Reports a text that is no line for people.
pub(super) fn line_check(text: &str, at: &str, report: &mut FaultReport) {
    if text.trim().is_empty() {
        report.fault(at, "must not be empty");
    } else if text.chars().count() > MAX_NAME_CHARS || text.chars().any(char::is_control) {
        report.fault(
            at,
            format!("must be one line of at most {MAX_NAME_CHARS} characters"),
        );
    }
}
