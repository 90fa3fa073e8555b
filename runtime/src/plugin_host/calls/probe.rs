//! One run of a probe: what it may touch, and how its answer or its failure becomes an observation.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{
    ErrorKind, Failure, LOCAL, Observation, PluginKind, Probe, RunOutcome, Service, Status, UnixMillis,
};
use crate::net::{HostRule, Permission};
use crate::plugin_host::bindings::probe::exports::external_tracking::plugin::probes::{Context, ProbeError};
use crate::plugin_host::loader::{Exports, LoadedPlugin};
use crate::plugin_host::run::{Broken, Used};
use crate::plugin_host::secrets::{self, SealedSettings, host_name};
use crate::plugin_host::state::{Access, NetAccess};
use crate::plugin_host::{PluginHost, convert};

/// One run of a probe.
pub struct ProbeCall<'a> {
    pub service: &'a Service,
    pub probe: &'a Probe,
    /// When it was due.
    pub ts_ms: UnixMillis,
    pub previous: Option<Arc<Observation>>,
}

/// What one run of a probe came to.
pub(in crate::plugin_host) struct Checked {
    pub(in crate::plugin_host) observation: Observation,
    pub(in crate::plugin_host) outcome: RunOutcome,
    pub(in crate::plugin_host) error: Option<String>,
    pub(in crate::plugin_host) used: Used,
}

impl PluginHost {
    /// Runs the probe. Whatever happens is an observation: a plugin that traps, hangs or talks nonsense costs this run only.
    pub async fn check(&self, call: ProbeCall<'_>) -> Observation {
        let run_id = self.next_run_id();
        let Some(plugin) = self.plugin(PluginKind::Probe, &call.probe.plugin) else {
            let message = format!("there is no probe plugin `{}`", call.probe.plugin);
            let failure = Some(Failure::new(ErrorKind::Plugin, message));
            return Observation { failure, ..unanswered(&call, run_id) };
        };
        let checked = self.check_with(&plugin, &call, run_id).await;
        self.offer_check(&plugin, &call, &checked);
        let Checked { observation, outcome, error, used } = checked;
        self.account(&plugin, run_id, "check", Some(&call.service.slug), outcome, error, used).await;
        observation
    }

    /// Runs this version of the probe, whichever is active.
    pub(in crate::plugin_host) async fn check_with(
        &self,
        plugin: &LoadedPlugin,
        call: &ProbeCall<'_>,
        run_id: i64,
    ) -> Checked {
        let sealed = SealedSettings::new(&call.probe.settings, &plugin.info.settings_schema);
        let allowance = self.allowance(plugin);
        let most = allowance.budget().wall_clock.unwrap_or(Duration::MAX);
        let timeout = call.probe.timeout.min(most);
        let names = call.service.credentials.iter().map(|credential| &credential.name);
        let context = Context {
            service: convert::service(call.service),
            settings: sealed.settings.to_string(),
            timeout_ms: timeout.as_millis() as u64,
            previous: call.previous.as_deref().map(convert::previous),
            credentials: names.filter(|name| allowance.credential(name).is_ok()).cloned().collect(),
        };
        let access = self.probe_access(call, plugin, sealed);
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

        let mut observation = Observation {
            phases: used.account.phases,
            bytes: used.account.bytes_in,
            latency_us: used.account.net_us,
            plugin_version: plugin.info.version.clone(),
            ..unanswered(call, run_id)
        };
        let (outcome, error) = match answer {
            Ok(Ok(found)) => {
                observation.status = convert::status(found.status);
                observation.failure = found.failure.map(convert::failure).or_else(|| {
                    // A guest whose language hides why a request failed says only that it did.
                    let unsaid = observation.status == Status::Error;
                    used.account.last_failure.clone().filter(|_| unsaid)
                });
                observation.latency_us = found.latency_us.or(used.account.net_us);
                observation.http_status = found.http_status;
                observation.metrics = convert::metrics(found.metrics);
                (RunOutcome::Ok, None)
            }
            Ok(Err(error)) => {
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
        Checked { observation, outcome, error, used }
    }

    /// A probe reaches its own service's host, and what the operator named in settings marked as hosts.
    fn probe_access(&self, call: &ProbeCall<'_>, plugin: &LoadedPlugin, sealed: SealedSettings) -> Access {
        let own_host = secrets::host_of(&call.service.base_url);
        let mut hosts = secrets::granted_hosts(&call.probe.settings, &plugin.info.settings_schema);
        hosts.extend(sealed.hosts());
        // The service's host on any port: its health may be served beside the service itself.
        let own = own_host.as_deref().and_then(|host| HostRule::new(host_name(host), None).ok());
        let permission = Permission {
            hosts: own.into_iter().chain(hosts.iter().filter_map(|host| HostRule::parse(host).ok())).collect(),
            public_hosts: Vec::new(),
            allow_private: call.service.allow_private,
            subject: format!("probe `{}` of service `{}`", call.probe.name, call.service.slug),
            setting: "`baseUrl` of the service".into(),
        };
        Access {
            net: Some(NetAccess { net: self.shared.net.clone(), permission, mail: false }),
            secrets: sealed,
            sent: Default::default(),
            credentials: call.service.credentials.clone(),
            credential_host: own_host,
            credential_tls: call.service.base_url.starts_with("https:"),
            wallet: self.shared.wallet.clone(),
            ..Access::default()
        }
    }
}

/// The observation before anything is known.
fn unanswered(call: &ProbeCall<'_>, run_id: i64) -> Observation {
    Observation {
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
    }
}
