//! Compiles an alert's spec into a rule, for one service or for many, and the channels it names.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Compiler;
use super::channel::ChannelPlace;
use super::scope::Scope;
use crate::domain::fault::{child, list, suggest};
use crate::domain::{AlertOptions, Channel, ChannelId, PluginKind, Service, Severity};
use crate::spec::{
    AlertSpec, DurationSpec, LifecycleSpec, NotificationSpec, PluginSettings, ServiceAlertSpec,
    TemplateUseSpec,
};

/// The rule plugin that an alert with a `condition` and without a `type` means.
const CONDITION: &str = "condition";

/// A rule that does not yet know its service.
#[derive(Clone)]
pub(crate) struct RuleDraft {
    pub(crate) name: String,
    pub(crate) plugin: String,
    pub(crate) settings: Value,
    pub(crate) probes: Option<Vec<String>>,
    pub(crate) duration: Duration,
    pub(crate) options: AlertOptions,
    pub(crate) escalation: Option<String>,
    pub(crate) severity: Severity,
    /// `None`: the default channels.
    pub(crate) channels: Option<Vec<ChannelId>>,
    pub(crate) look_back: Option<Duration>,
}

/// A rule of `alerts.yaml`.
pub(crate) struct SharedRule {
    pub(crate) draft: RuleDraft,
    pub(crate) channels: Vec<Arc<Channel>>,
    pub(crate) services: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    types: Option<Vec<String>>,
    pub(crate) filter: Option<Scope>,
}

impl SharedRule {
    /// Selects without waiting: for rules of files, when the catalog is made.
    pub(crate) fn selects_now(&self, service: &Service) -> bool {
        // What can't be said of a service is not true of it.
        self.names(service)
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.selects_now(service).unwrap_or(false))
    }

    pub(crate) async fn selects(&self, service: &Service) -> bool {
        self.names(service)
            && match &self.filter {
                None => true,
                Some(filter) => filter.selects(service).await.unwrap_or(false),
            }
    }

    fn names(&self, service: &Service) -> bool {
        self.services
            .as_ref()
            .is_none_or(|slugs| slugs.contains(&service.slug))
            && self
                .tags
                .as_ref()
                .is_none_or(|tags| tags.iter().any(|tag| service.tags.contains(tag)))
            && self.types.as_ref().is_none_or(|types| {
                types
                    .iter()
                    .any(|kind| kind.eq_ignore_ascii_case(&service.kind))
            })
    }
}

pub(super) struct RuleParts<'s> {
    /// Slug of the service whose rule it is; none: of `alerts.yaml`.
    pub(super) service: Option<&'s str>,
    pub(super) name: Option<&'s str>,
    pub(super) plugin: Option<&'s str>,
    pub(super) probes: Option<&'s [String]>,
    pub(super) severity: Option<Severity>,
    pub(super) duration: Option<&'s DurationSpec>,
    pub(super) lifecycle: &'s LifecycleSpec,
    pub(super) notifications: Option<&'s [NotificationSpec]>,
    pub(super) settings: &'s PluginSettings,
}

impl Compiler<'_> {
    pub(crate) async fn shared_rule(&mut self, spec: &AlertSpec, at: &str) -> Option<SharedRule> {
        if spec.template.template.is_none() {
            self.template_check(&spec.template, at);
            return self.whole_shared_rule(spec, at).await;
        }
        let (spec, origin) = self.instantiate(spec, &spec.template, at)?;
        let before = std::mem::take(&mut self.report);
        let rule = self.whole_shared_rule(&spec, at).await;
        let found = std::mem::replace(&mut self.report, before);
        origin.report(found, &mut self.report);
        rule
    }

    /// Compiles a rule of a service.
    pub(super) async fn own_rule(
        &mut self,
        spec: &ServiceAlertSpec,
        service: &str,
        at: &str,
    ) -> Option<(RuleDraft, Vec<Arc<Channel>>)> {
        if spec.template.template.is_none() {
            self.template_check(&spec.template, at);
            return self.rule(own_parts(spec, service), at).await;
        }
        let (spec, origin) = self.instantiate(spec, &spec.template, at)?;
        let before = std::mem::take(&mut self.report);
        let rule = self.rule(own_parts(&spec, service), at).await;
        let found = std::mem::replace(&mut self.report, before);
        origin.report(found, &mut self.report);
        rule
    }

    fn template_check(&mut self, usage: &TemplateUseSpec, at: &str) {
        if usage.with.is_some() {
            self.report
                .fault(child(at, "with"), "has no effect without a `template`");
        }
    }

    async fn whole_shared_rule(&mut self, spec: &AlertSpec, at: &str) -> Option<SharedRule> {
        let parts = RuleParts {
            service: None,
            name: Some(&spec.name),
            plugin: spec.plugin.as_deref(),
            probes: spec.probes.as_deref(),
            severity: spec.severity,
            duration: spec.duration.as_ref(),
            lifecycle: &spec.lifecycle,
            notifications: spec.notifications.as_deref(),
            settings: &spec.settings,
        };
        for (key, selector) in [
            ("services", &spec.services),
            ("tags", &spec.tags),
            ("types", &spec.types),
        ] {
            if selector.as_ref().is_some_and(Vec::is_empty) {
                let message = "selects no service; leave it out to select all";
                self.report.fault(child(at, key), message);
            }
        }
        let filter = match &spec.filter {
            None => None,
            Some(text) => match Scope::parse(text, self.plugins.evaluator()).await {
                Ok(scope) => Some(scope),
                Err(message) => {
                    self.report.fault(child(at, "where"), message);
                    None
                }
            },
        };
        let (draft, channels) = self.rule(parts, at).await?;
        let (services, tags, types) =
            (spec.services.clone(), spec.tags.clone(), spec.types.clone());
        Some(SharedRule {
            draft,
            channels,
            services,
            tags,
            types,
            filter,
        })
    }

    pub(super) async fn rule(
        &mut self,
        parts: RuleParts<'_>,
        at: &str,
    ) -> Option<(RuleDraft, Vec<Arc<Channel>>)> {
        if parts.probes.is_some_and(<[_]>::is_empty) {
            self.report.fault(
                child(at, "probes"),
                "selects nothing to look at; leave it out to select all",
            );
        }
        let (duration, options) = self.options(parts.lifecycle, parts.duration, at);
        self.escalation_check(parts.lifecycle.escalation.as_ref(), at);
        let channels = self.rule_channels(&parts, at).await;
        let plugin = self.rule_plugin(&parts, at)?;
        let name = parts.name.unwrap_or(plugin);
        if let Some(name) = parts.name {
            self.name_check(name, &child(at, "name"));
        }
        let notifies_no_channel = match &channels {
            Some(channels) => {
                channels.is_empty() && parts.notifications.is_some_and(<[_]>::is_empty)
            }
            None => !self.has_default_channels,
        };
        if notifies_no_channel {
            let message = format!(
                "alert `{name}` notifies no one: it has no `notifications`, and neither does the top of alerts.yaml"
            );
            self.report.warn(at, message);
        }
        if !self.plugin_exists(PluginKind::Rule, plugin, &child(at, "type")) {
            return None;
        }
        let settings = Value::Object(parts.settings.0.clone());
        let look_back = self.rule_look_back(&parts, plugin, &settings, at).await;
        let draft = RuleDraft {
            name: name.to_owned(),
            plugin: plugin.to_owned(),
            settings,
            probes: parts.probes.map(<[String]>::to_vec),
            duration,
            options,
            escalation: parts.lifecycle.escalation.clone(),
            severity: parts.severity.unwrap_or(Severity::Warning),
            channels: channels
                .as_ref()
                .map(|channels| channels.iter().map(|channel| channel.id.clone()).collect()),
            look_back,
        };
        Some((draft, channels.unwrap_or_default()))
    }

    /// Compiles the channels that the rule names itself.
    async fn rule_channels(
        &mut self,
        parts: &RuleParts<'_>,
        at: &str,
    ) -> Option<Vec<Arc<Channel>>> {
        let specs = parts.notifications?.iter().enumerate();
        let name = parts.name.or(parts.plugin).unwrap_or(CONDITION);
        let place = ChannelPlace::of_rule(parts.service, name);
        let at = child(at, "notifications");
        Some(self.channels(specs, &at, &place).await)
    }

    /// Returns the rule's plugin, which a `condition` implies.
    fn rule_plugin<'s>(&mut self, parts: &RuleParts<'s>, at: &str) -> Option<&'s str> {
        if let Some(plugin) = parts.plugin {
            return Some(plugin);
        }
        if parts.settings.0.contains_key(CONDITION) {
            return Some(CONDITION);
        }
        let names = self.plugins.names(PluginKind::Rule);
        let names = names.iter().map(String::as_str);
        let rules = list(names.filter(|name| *name != CONDITION));
        let message = format!("has nothing to look for; write a `condition`, or a `type`: {rules}");
        self.report.fault(at, message);
        None
    }

    /// Checks the settings of the rule's plugin and returns how far it looks back.
    async fn rule_look_back(
        &mut self,
        parts: &RuleParts<'_>,
        plugin: &str,
        settings: &Value,
        at: &str,
    ) -> Option<Duration> {
        let keys = match parts.service {
            Some(_) => ServiceAlertSpec::keys(),
            None => AlertSpec::keys(),
        };
        let locate = |pointer: &str| format!("{at}{pointer}");
        let is_sound = self
            .settings_check(PluginKind::Rule, plugin, settings, keys, locate)
            .await;
        if !is_sound {
            return None;
        }
        let look_back = self.look_back(plugin, settings, at).await;
        self.condition_check(parts.settings, at);
        look_back
    }

    fn escalation_check(&mut self, name: Option<&String>, at: &str) {
        let unknown = name.filter(|name| !self.escalation_names.contains(*name));
        if let Some(name) = unknown {
            let known = suggest(name, self.escalation_names.iter().map(String::as_str));
            self.report.fault(
                child(at, "escalation"),
                format!("alerts.yaml has no escalation `{name}`{known}"),
            );
        }
    }

    async fn look_back(&mut self, plugin: &str, settings: &Value, at: &str) -> Option<Duration> {
        match self.plugins.look_back(plugin, settings).await {
            Ok(look_back) => Some(look_back),
            Err(message) => {
                self.report.fault(
                    at,
                    format!(
                        "rule plugin `{plugin}` does not report how far it looks back: {message}"
                    ),
                );
                None
            }
        }
    }

    /// The seed's own example: a service that does not answer at all is `error`, not `unhealthy`.
    fn condition_check(&mut self, settings: &PluginSettings, at: &str) {
        let Some(condition) = settings.0.get(CONDITION).and_then(Value::as_str) else {
            return;
        };
        let text: String = condition
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect::<String>()
            .replace('"', "'");
        let asks_for_unhealthy =
            text.contains("status=='unhealthy'") || text.contains("'unhealthy'==status");
        let asks_for_more = [
            "'error'",
            "consecutive_failures",
            "availability(",
            "error_rate(",
            "error_kind",
        ];
        if asks_for_unhealthy && !asks_for_more.iter().any(|more| text.contains(more)) {
            let message = "never sees a service that does not answer at all, whose status is `error`; \
                           write `status in ['unhealthy', 'error']` to be notified of both";
            self.report.warn(child(at, CONDITION), message);
        }
        if text.contains("error_kind=='plugin'") || text.contains("'plugin'==error_kind") {
            let message = "never holds: rules don't see runs whose check broke; the built-in alert `Plugin failing` reports them";
            self.report.warn(child(at, CONDITION), message);
        }
    }
}

fn own_parts<'s>(alert: &'s ServiceAlertSpec, service: &'s str) -> RuleParts<'s> {
    RuleParts {
        service: Some(service),
        name: alert.name.as_deref(),
        plugin: alert.plugin.as_deref(),
        probes: alert.probes.as_deref(),
        severity: alert.severity,
        duration: alert.duration.as_ref(),
        lifecycle: &alert.lifecycle,
        notifications: alert.notifications.as_deref(),
        settings: &alert.settings,
    }
}
