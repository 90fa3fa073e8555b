//! One run of a probe: what it may touch, and how its answer or its failure becomes an observation.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::keep::Told;
use crate::domain::{
    ErrorKind, Failure, LOCAL, MetricValue, Observation, PluginKind, Probe, RunOutcome, Service,
    Status, UnixMillis,
};
use crate::plugin_host::PluginHost;
use crate::plugin_host::capabilities::state::{Access, NetAccess};
use crate::plugin_host::contract::bindings::imports::log::Level;
use crate::plugin_host::contract::bindings::probe::exports::external_tracking::plugin::probes::{
    Context, Observation as Found, ProbeError,
};
use crate::plugin_host::contract::convert;
use crate::plugin_host::engine::limits;
use crate::plugin_host::policy::reach::Reach;
use crate::plugin_host::policy::redaction::Redactor;
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::recording::format::Subject;
use crate::plugin_host::run::{Broken, Used};
use crate::plugin_host::versions::loader::{Exports, LoadedPlugin};

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
    /// None in a replay.
    given: Option<Given>,
}

/// What the guest was given, and what it was not.
struct Given {
    context: Context,
    secrets: Redactor,
}

impl Checked {
    /// What a guest says of itself may repeat its placeholders, whose digits are of this run alone.
    fn without_nonces(&mut self, secrets: &Redactor) {
        let stable = |text: &mut String| *text = secrets.stable(std::mem::take(text));
        if let Some(failure) = &mut self.observation.failure {
            stable(&mut failure.message);
        }
        for metric in &mut self.observation.metrics {
            if let MetricValue::Text(text) = &mut metric.value {
                stable(text);
            }
        }
        self.error.iter_mut().for_each(stable);
    }
}

impl ProbeCall<'_> {
    fn unanswered(&self, run_id: i64) -> Observation {
        unanswered(
            self.ts_ms,
            &self.service.slug,
            &self.probe.name,
            &self.probe.plugin,
            run_id,
        )
    }
}

impl PluginHost {
    /// Runs the probe. Whatever happens is an observation: a plugin that traps, hangs or talks
    /// nonsense costs this run only.
    pub async fn check(&self, call: ProbeCall<'_>) -> Observation {
        let run_id = self.next_run_id();
        let Some(plugin) = self.plugin(PluginKind::Probe, &call.probe.plugin) else {
            let message = format!("there is no probe plugin `{}`", call.probe.plugin);
            let failure = Some(Failure::new(ErrorKind::Plugin, message));
            return Observation {
                failure,
                ..call.unanswered(run_id)
            };
        };
        let mut checked = self.check_with(&plugin, &call, run_id).await;
        self.offer_check(&plugin, &call, &checked);
        self.keep_check(&plugin, &call, run_id, &mut checked, true);
        let Checked {
            observation,
            outcome,
            error,
            used,
            ..
        } = checked;
        self.account(
            &plugin,
            run_id,
            "check",
            Some(&call.service.slug),
            outcome,
            error,
            used,
        );
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
        let names = call
            .service
            .credentials
            .iter()
            .map(|credential| &credential.name);
        let context = Context {
            service: convert::service(call.service),
            settings: sealed.settings.to_string(),
            timeout_ms: timeout.as_millis() as u64,
            previous: call.previous.as_deref().map(convert::previous),
            credentials: names
                .filter(|name| allowance.credential(name).is_ok())
                .cloned()
                .collect(),
        };
        let secrets = sealed.redactor();
        let stable = secrets.clone();
        let access = self.probe_access(call, plugin, sealed);
        let deadline = Instant::now() + call.probe.timeout;
        let (answer, used) = self
            .shared
            .runner
            .run(
                &plugin.pre,
                plugin.label(Some(&call.service.slug)),
                access,
                deadline,
                async |store, instance| {
                    let Exports::Probe(exports) = &plugin.exports else {
                        unreachable!("looked up as a probe")
                    };
                    let guest = exports.load(&mut *store, instance)?;
                    let answer = guest
                        .external_tracking_plugin_probes()
                        .call_check(&mut *store, &context)
                        .await?;
                    if let Ok(found) = &answer
                        && found.metrics.len() > limits::METRICS
                    {
                        let (count, kept) = (found.metrics.len(), limits::METRICS);
                        store.data().log.write(
                            Level::Warn,
                            &format!("{count} metrics were answered; the first {kept} are kept"),
                        );
                    }
                    Ok(answer)
                },
            )
            .await;

        let blank = call.unanswered(run_id);
        let mut checked = observed(blank, plugin, answer, used);
        checked.without_nonces(&stable);
        Checked {
            given: Some(Given { context, secrets }),
            ..checked
        }
    }

    /// For a candidate beside the active version, runs that went well are not kept.
    pub(in crate::plugin_host) fn keep_check(
        &self,
        plugin: &LoadedPlugin,
        call: &ProbeCall<'_>,
        run_id: i64,
        checked: &mut Checked,
        is_active: bool,
    ) {
        let Checked {
            observation,
            outcome,
            error,
            used,
            given,
        } = checked;
        let failed = *outcome != RunOutcome::Ok || !observation.status.is_available();
        let Some(given) = given.take().filter(|_| failed || is_active) else {
            return;
        };
        self.keep(plugin, used, failed, || Told {
            run_id,
            ts_ms: call.ts_ms,
            function: "check",
            subject: Subject {
                service: Some(call.service.slug.clone()),
                probe: Some(call.probe.name.clone()),
                ..Subject::default()
            },
            status: Some(observation.status),
            outcome: *outcome,
            error: error.clone(),
            message: observation
                .failure
                .as_ref()
                .map(|failure| failure.message.clone()),
            timeout: call.probe.timeout,
            arguments: vec![Box::new(given.context)],
            result: Box::new(observation.clone()),
            secrets: given.secrets,
        });
    }

    /// A probe reaches its own service, and what the operator named for it.
    fn probe_access(
        &self,
        call: &ProbeCall<'_>,
        plugin: &LoadedPlugin,
        sealed: SealedSettings,
    ) -> Access {
        let subject = format!(
            "probe `{}` of service `{}`",
            call.probe.name, call.service.slug
        );
        let schema = &plugin.info.settings_schema;
        let Reach { permission, scope } =
            Reach::of_service(call.service, &call.probe.settings, schema, &sealed, subject);
        Access {
            net: Some(NetAccess {
                net: self.shared.net.clone(),
                permission,
                mail: None,
            }),
            secrets: sealed,
            sent: Default::default(),
            credentials: call.service.credentials.clone(),
            scope,
            wallet: self.shared.wallet.clone(),
            recorder: self.recorder(),
            ..Access::default()
        }
    }
}

/// What the guest's answer, or its failure, says of the service.
pub(in crate::plugin_host) fn observed(
    blank: Observation,
    plugin: &LoadedPlugin,
    answer: Result<Result<Found, ProbeError>, Broken>,
    used: Used,
) -> Checked {
    let mut observation = Observation {
        phases: used.account.phases,
        bytes: used.account.bytes_in,
        latency_us: used.account.net_us,
        rate_limits: used.account.rate_limits.clone(),
        plugin_version: plugin.info.version.clone(),
        ..blank
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
            let failure = Failure::new(ErrorKind::Plugin, message);
            let message = failure.message.clone();
            observation.failure = Some(failure);
            (RunOutcome::Error, Some(message))
        }
        Err(Broken { outcome, reason }) => {
            // Waiting for the service until the end is the service's time-out, not the plugin's.
            let waited = outcome == RunOutcome::Timeout && used.account.waited * 2 > used.duration;
            let kind = if waited {
                ErrorKind::Timeout
            } else {
                ErrorKind::Plugin
            };
            observation.failure = Some(Failure::new(
                kind,
                format!("plugin `{}` {reason}", plugin.name),
            ));
            (outcome, Some(reason))
        }
    };
    Checked {
        observation,
        outcome,
        error,
        used,
        given: None,
    }
}

/// The observation before anything is known.
pub(in crate::plugin_host) fn unanswered(
    ts_ms: UnixMillis,
    service: &str,
    probe: &str,
    plugin: &str,
    run_id: i64,
) -> Observation {
    Observation {
        ts_ms,
        service: service.to_owned(),
        probe: probe.to_owned(),
        location: LOCAL.into(),
        status: Status::Error,
        latency_us: None,
        phases: Default::default(),
        http_status: None,
        failure: None,
        bytes: 0,
        plugin: plugin.to_owned(),
        plugin_version: String::new(),
        run_id,
        metrics: Vec::new(),
        missed: false,
        rate_limits: Vec::new(),
    }
}
