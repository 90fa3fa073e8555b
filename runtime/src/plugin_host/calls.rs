//! The calls other parts make: check a service, evaluate a rule, send a message, look at settings.

use std::sync::Arc;
use std::time::Duration;

use jsonschema::error::ValidationErrorKind;
use serde_json::Value;
use tokio::time::Instant;

use super::loader::{Exports, LoadedPlugin};
use super::run::{Broken, Used};
use super::secrets::{self, SealedSettings, host_name};
use super::state::{Access, NetAccess};
use super::{PluginHost, SettingsFault, convert, limits};
use crate::domain::{
    Channel, DeliveryError, ErrorKind, Failure, History, LOCAL, Message, Observation, Origin, PluginKind, PluginRun,
    Probe, Receipt, RunOutcome, Service, Status, UnixMillis, Verdict, now_ms,
};
use crate::net::{HostRule, Permission};

/// One run of a probe.
pub struct ProbeCall<'a> {
    pub service: &'a Service,
    pub probe: &'a Probe,
    /// When it was due.
    pub ts_ms: UnixMillis,
    pub previous: Option<Arc<Observation>>,
}

/// One evaluation of a rule.
pub struct RuleCall<'a> {
    pub plugin: &'a str,
    pub service: &'a str,
    pub settings: &'a Value,
    pub now_ms: UnixMillis,
    pub history: Arc<dyn History>,
}

/// A plugin gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    #[error("there is no {kind} plugin `{name}`", kind = kind.as_str())]
    Unknown { kind: PluginKind, name: String },
    #[error("plugin `{plugin}` {reason}")]
    Broken { plugin: String, outcome: RunOutcome, reason: String },
}

impl PluginHost {
    /// Runs the probe. Whatever happens is an observation: a plugin that traps, hangs or talks nonsense costs this run only.
    pub async fn check(&self, call: ProbeCall<'_>) -> Observation {
        let run_id = self.next_run_id();
        let mut observation = Observation {
            ts_ms: call.ts_ms,
            service: call.service.slug.clone(),
            probe: call.probe.name.clone(),
            location: LOCAL.into(),
            status: Status::Error,
            latency_us: None,
            phases: Default::default(),
            http_status: None,
            failure: None,
            bytes: 0,
            plugin: call.probe.plugin.clone(),
            plugin_version: String::new(),
            run_id,
            metrics: Vec::new(),
            missed: false,
        };
        let Some(plugin) = self.plugin(PluginKind::Probe, &call.probe.plugin) else {
            observation.failure =
                Some(Failure::new(ErrorKind::Plugin, format!("there is no probe plugin `{}`", call.probe.plugin)));
            return observation;
        };
        observation.plugin_version = plugin.info.version.clone();
        let sealed = SealedSettings::new(&call.probe.settings, &plugin.info.settings_schema);
        let context = super::bindings::probe::exports::external_tracking::plugin::probes::Context {
            service: convert::service(call.service),
            settings: sealed.settings.to_string(),
            timeout_ms: call.probe.timeout.as_millis() as u64,
            previous: call.previous.as_deref().map(convert::previous),
            credentials: call.service.credentials.iter().map(|credential| credential.name.clone()).collect(),
        };
        let access = self.probe_access(&call, &plugin, sealed);
        let deadline = Instant::now() + call.probe.timeout;
        let (answer, used) = self
            .shared
            .runner
            .run(&plugin.pre, plugin.label(Some(&call.service.slug)), access, deadline, async |store, instance| {
                let Exports::Probe(exports) = &plugin.exports else { unreachable!("looked up as a probe") };
                let guest = exports.load(&mut *store, instance)?;
                guest.external_tracking_plugin_probes().call_check(&mut *store, &context).await
            })
            .await;

        observation.phases = used.account.phases;
        observation.bytes = used.account.bytes_in;
        observation.latency_us = used.account.net_us;
        let (outcome, error) = match answer {
            Ok(Ok(found)) => {
                observation.status = convert::status(found.status);
                observation.failure = found.failure.map(convert::failure);
                observation.latency_us = found.latency_us.or(used.account.net_us);
                observation.http_status = found.http_status;
                observation.metrics = convert::metrics(found.metrics);
                (RunOutcome::Ok, None)
            }
            Ok(Err(error)) => {
                use super::bindings::probe::exports::external_tracking::plugin::probes::ProbeError;
                let message = match error {
                    ProbeError::Settings(message) => format!("settings: {message}"),
                    ProbeError::Internal(message) => message,
                };
                observation.failure = Some(Failure::new(ErrorKind::Plugin, message.clone()));
                (RunOutcome::Error, Some(message))
            }
            Err(Broken { outcome, reason }) => {
                // Waiting for the service until the end is the service's time-out, not the plugin's.
                let waited = outcome == RunOutcome::Timeout && used.account.waited * 2 > used.duration;
                let kind = if waited { ErrorKind::Timeout } else { ErrorKind::Plugin };
                observation.failure = Some(Failure::new(kind, format!("plugin `{}` {reason}", plugin.name)));
                (outcome, Some(reason))
            }
        };
        self.account(&plugin, run_id, "check", Some(&call.service.slug), outcome, error, used).await;
        observation
    }

    /// A rule that breaks has said nothing.
    pub async fn evaluate(&self, call: RuleCall<'_>) -> Result<Verdict, PluginError> {
        let plugin = self.known(PluginKind::Rule, call.plugin)?;
        let context = super::bindings::rule::exports::external_tracking::plugin::rules::Context {
            service: call.service.to_owned(),
            settings: call.settings.to_string(),
            now_ms: call.now_ms.max(0) as u64,
        };
        let access = Access { history: Some(call.history), ..Access::default() };
        let deadline = Instant::now() + limits::EVALUATE;
        let (answer, used) = self
            .shared
            .runner
            .run(&plugin.pre, plugin.label(Some(call.service)), access, deadline, async |store, instance| {
                let Exports::Rule(exports) = &plugin.exports else { unreachable!("looked up as a rule") };
                let guest = exports.load(&mut *store, instance)?;
                guest.external_tracking_plugin_rules().call_evaluate(&mut *store, &context).await
            })
            .await;
        let (outcome, result) = match answer {
            Ok(Ok(verdict)) => (RunOutcome::Ok, Ok(convert::verdict(verdict))),
            Ok(Err(error)) => {
                use super::bindings::rule::exports::external_tracking::plugin::rules::RuleError;
                let reason = match error {
                    RuleError::Settings(message) => format!("settings: {message}"),
                    RuleError::Internal(message) => message,
                };
                (RunOutcome::Error, Err(reason))
            }
            Err(broken) => (broken.outcome, Err(broken.reason)),
        };
        let error = result.as_ref().err().cloned();
        let id = self.next_run_id();
        self.account(&plugin, id, "evaluate", Some(call.service), outcome, error, used).await;
        result.map_err(|reason| PluginError::Broken { plugin: call.plugin.to_owned(), outcome, reason })
    }

    /// How much history a rule needs with these settings.
    pub async fn look_back(&self, name: &str, settings: &Value) -> Result<Duration, PluginError> {
        let plugin = self.known(PluginKind::Rule, name)?;
        let settings = settings.to_string();
        let deadline = Instant::now() + limits::DESCRIBE;
        let (answer, used) = self
            .shared
            .runner
            .run(&plugin.pre, plugin.label(None), Access::default(), deadline, async |store, instance| {
                let Exports::Rule(exports) = &plugin.exports else { unreachable!("looked up as a rule") };
                let guest = exports.load(&mut *store, instance)?;
                guest.external_tracking_plugin_rules().call_look_back(&mut *store, &settings).await
            })
            .await;
        let (outcome, error) = end(&answer);
        self.account(&plugin, self.next_run_id(), "look-back", None, outcome, error, used).await;
        answer.map(Duration::from_millis).map_err(|broken| PluginError::Broken {
            plugin: name.to_owned(),
            outcome,
            reason: broken.reason,
        })
    }

    /// One attempt at one message.
    pub async fn notify(&self, channel: &Channel, message: &Message) -> Result<Receipt, DeliveryError> {
        let plugin = self.known(PluginKind::Notifier, &channel.plugin).map_err(|error| DeliveryError::Retryable {
            message: format!("{error}; install it and the message will leave"),
            after: None,
        })?;
        let sealed = SealedSettings::new(&channel.settings, &plugin.info.settings_schema);
        let context = super::bindings::notifier::exports::external_tracking::plugin::notifiers::Context {
            settings: sealed.settings.to_string(),
            timeout_ms: limits::NOTIFY.as_millis() as u64,
        };
        let notification = convert::notification(message);
        let mut hosts = secrets::granted_hosts(&channel.settings, &plugin.info.settings_schema);
        hosts.extend(sealed.hosts());
        let permission = Permission {
            hosts: hosts.iter().filter_map(|host| HostRule::parse(host).ok()).collect(),
            allow_private: channel.origin == Origin::File,
            subject: format!("notifier `{}` of channel `{}`", plugin.name, channel.name),
            setting: "the channel's address".into(),
        };
        let net = NetAccess { net: self.shared.net.clone(), permission, mail: self.shared.has_mail };
        let access = Access { net: Some(net), secrets: sealed, ..Access::default() };
        let redact = access.secrets.clone();
        let deadline = Instant::now() + limits::NOTIFY;
        let (answer, used) = self
            .shared
            .runner
            .run(&plugin.pre, plugin.label(None), access, deadline, async |store, instance| {
                let Exports::Notifier(exports) = &plugin.exports else { unreachable!("looked up as a notifier") };
                let guest = exports.load(&mut *store, instance)?;
                guest.external_tracking_plugin_notifiers().call_notify(&mut *store, &context, &notification).await
            })
            .await;
        let (outcome, result) = match answer {
            Ok(Ok(receipt)) => (RunOutcome::Ok, Ok(convert::receipt(receipt))),
            Ok(Err(error)) => (RunOutcome::Error, Err(convert::delivery_error(error))),
            Err(broken) => {
                let message = format!("plugin `{}` {}", plugin.name, broken.reason);
                (broken.outcome, Err(DeliveryError::Retryable { message, after: None }))
            }
        };
        let result = result.map_err(|error| match error {
            DeliveryError::Retryable { message, after } => {
                DeliveryError::Retryable { message: redact.redact(&message), after }
            }
            DeliveryError::Permanent(message) => DeliveryError::Permanent(redact.redact(&message)),
        });
        let error = result.as_ref().err().map(ToString::to_string);
        self.account(&plugin, self.next_run_id(), "notify", None, outcome, error, used).await;
        result
    }

    /// The schema first, then the plugin's own word.
    pub async fn check_settings(
        &self,
        kind: PluginKind,
        name: &str,
        settings: &Value,
    ) -> Result<(), Vec<SettingsFault>> {
        match self.known(kind, name) {
            Ok(plugin) => self.check_against(&plugin, settings).await,
            Err(error) => Err(vec![SettingsFault { path: String::new(), message: error.to_string() }]),
        }
    }

    pub(super) async fn check_against(
        &self,
        plugin: &LoadedPlugin,
        settings: &Value,
    ) -> Result<(), Vec<SettingsFault>> {
        let faults = schema_faults(&plugin.schema, settings);
        if !faults.is_empty() {
            return Err(faults);
        }
        let sealed = SealedSettings::new(settings, &plugin.info.settings_schema);
        let text = sealed.settings.to_string();
        let deadline = Instant::now() + limits::DESCRIBE;
        let (answer, used) = self
            .shared
            .runner
            .run(&plugin.pre, plugin.label(None), Access::default(), deadline, async |store, instance| {
                let guest = plugin.description.load(&mut *store, instance)?;
                guest.external_tracking_plugin_description().call_check_settings(&mut *store, &text).await
            })
            .await;
        let (outcome, error) = end(&answer);
        self.account(plugin, self.next_run_id(), "check-settings", None, outcome, error, used).await;
        match answer {
            Ok(Ok(())) => Ok(()),
            Ok(Err(faults)) => Err(faults
                .into_iter()
                .map(|fault| SettingsFault { path: fault.path, message: fault.message })
                .collect()),
            Err(broken) => Err(vec![SettingsFault {
                path: String::new(),
                message: format!("plugin `{}` could not check them: {}", plugin.name, broken.reason),
            }]),
        }
    }

    fn known(&self, kind: PluginKind, name: &str) -> Result<Arc<LoadedPlugin>, PluginError> {
        self.plugin(kind, name).ok_or_else(|| PluginError::Unknown { kind, name: name.to_owned() })
    }

    /// A probe reaches its own service's host, and what the operator named in settings marked as hosts.
    fn probe_access(&self, call: &ProbeCall<'_>, plugin: &LoadedPlugin, sealed: SealedSettings) -> Access {
        let own_host = super::secrets::host_of(&call.service.base_url);
        let mut hosts = secrets::granted_hosts(&call.probe.settings, &plugin.info.settings_schema);
        hosts.extend(sealed.hosts());
        // The service's host on any port: its health may be served beside the service itself.
        let own = own_host.as_deref().and_then(|host| HostRule::new(host_name(host), None).ok());
        let permission = Permission {
            hosts: own.into_iter().chain(hosts.iter().filter_map(|host| HostRule::parse(host).ok())).collect(),
            allow_private: call.service.allow_private,
            subject: format!("probe `{}` of service `{}`", call.probe.name, call.service.slug),
            setting: "`baseUrl` of the service".into(),
        };
        Access {
            net: Some(NetAccess { net: self.shared.net.clone(), permission, mail: false }),
            secrets: sealed,
            credentials: call.service.credentials.clone(),
            credential_host: own_host,
            history: None,
        }
    }

    /// Every call is a row, however it ended.
    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    async fn account(
        &self,
        plugin: &LoadedPlugin,
        run_id: i64,
        function: &'static str,
        service: Option<&str>,
        outcome: RunOutcome,
        error: Option<String>,
        used: Used,
    ) {
        let duration_us = used.duration.as_micros() as u64;
        metrics::counter!("extrack_plugin_runs_total", "plugin" => plugin.info.name.clone(), "outcome" => outcome.as_str())
            .increment(1);
        let run = PluginRun {
            run_id,
            ts_ms: now_ms() - used.duration.as_millis() as i64,
            plugin: plugin.info.name.clone(),
            kind: plugin.kind,
            version: plugin.info.version.clone(),
            digest: plugin.digest.clone(),
            function,
            service: service.map(str::to_owned),
            outcome,
            error: error.map(|error| Failure::new(ErrorKind::Plugin, error).message),
            duration_us,
            cpu_us: duration_us.saturating_sub(used.account.waited.as_micros() as u64),
            memory_bytes: used.memory_peak as u64,
            host_calls: used.account.host_calls,
            log_bytes: used.account.log_bytes,
        };
        // Closed only while the program ends, when the row has nowhere to go.
        let _ = self.shared.runs.send(run).await;
    }
}

fn end<T>(answer: &Result<T, Broken>) -> (RunOutcome, Option<String>) {
    match answer {
        Ok(_) => (RunOutcome::Ok, None),
        Err(broken) => (broken.outcome, Some(broken.reason.clone())),
    }
}

/// All at once; values are never repeated, they may be secret.
fn schema_faults(schema: &jsonschema::Validator, settings: &Value) -> Vec<SettingsFault> {
    let mut faults = Vec::new();
    for error in schema.iter_errors(settings) {
        let path = error.instance_path().as_str().to_owned();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                faults.extend(unexpected.iter().map(|name| SettingsFault {
                    path: format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")),
                    message: format!("unknown setting `{name}`"),
                }));
            }
            ValidationErrorKind::Required { property } => faults.push(SettingsFault {
                path,
                message: format!("setting `{}` is missing", property.as_str().unwrap_or_default()),
            }),
            _ => faults.push(SettingsFault { path, message: error.masked().to_string() }),
        }
    }
    faults
}
