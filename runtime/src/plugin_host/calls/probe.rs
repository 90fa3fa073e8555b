//! One run of a probe: what it may touch, and how its answer or its failure becomes an observation.

use std::time::Duration;

use tokio::time::Instant;

use super::Calls;
use super::account::row_of;
use super::keep::RunSummary;
use crate::domain::{
    CheckDone, CheckJob, ErrorKind, Failure, LOCAL, Observation, PluginKind, RunOutcome, Status,
    UnixMillis, VendorClaim,
};
use crate::net::HostRule;
use crate::plugin_host::capabilities::access::{Access, NetAccess};
use crate::plugin_host::contract::bindings::imports::log::Level;
use crate::plugin_host::contract::bindings::probe::exports::external_tracking::plugin::probes::{
    Context, Observation as Found, ProbeError,
};
use crate::plugin_host::contract::{claims, convert};
use crate::plugin_host::engine::limits;
use crate::plugin_host::policy::reach::Reach;
use crate::plugin_host::policy::redaction::Redactor;
use crate::plugin_host::policy::secrets::{self, SealedSettings};
use crate::plugin_host::programs::Programs;
use crate::plugin_host::recording::format::Subject;
use crate::plugin_host::run::{RunError, RunUsage};
use crate::plugin_host::versions::loader::{Exports, LoadedPlugin, Source};

/// The result of one run of a probe.
pub(in crate::plugin_host) struct Checked {
    pub(in crate::plugin_host) observation: Observation,
    pub(in crate::plugin_host) outcome: RunOutcome,
    pub(in crate::plugin_host) error: Option<String>,
    pub(in crate::plugin_host) usage: RunUsage,
    /// Incidents that it read on a vendor's page.
    claims: Option<Vec<VendorClaim>>,
    /// `None` in a replay.
    input: Option<RunInput>,
}

/// Input of the guest, and the secrets it does not contain.
struct RunInput {
    context: Context,
    secrets: Redactor,
}

impl Calls {
    /// Runs a probe. Whatever happens is an observation: a plugin that traps, hangs or answers
    /// nonsense costs this run only.
    pub(in crate::plugin_host) async fn check(&self, job: &CheckJob) -> CheckDone {
        let Some(plugin) = self.active.of_kind(PluginKind::Probe, &job.probe.plugin) else {
            let message = format!("there is no probe plugin `{}`", job.probe.plugin);
            let observation = Observation {
                failure: Some(Failure::new(ErrorKind::Plugin, message)),
                ..blank(job)
            };
            return CheckDone::new(observation, None, false);
        };
        let mut checked = self.check_with(&plugin, job).await;
        self.keep_check(&plugin, job, &mut checked, true);
        let Checked {
            observation,
            outcome,
            error,
            usage,
            claims,
            ..
        } = checked;
        let (service, end) = (job.service.slug.as_str(), (outcome, error));
        let run = row_of(&plugin, job.run_id, "check", Some(service), end, &usage);
        CheckDone::new(observation, Some(run), usage.is_crowded_out).with_claims(claims)
    }

    /// Accounts a run, and offers it to the candidate. A version that was replaced meanwhile is
    /// accounted by its row alone.
    pub(in crate::plugin_host) fn check_done(&self, job: &CheckJob, done: &CheckDone) {
        let Some(run) = &done.run else { return };
        let active = self.active.of_kind(PluginKind::Probe, &run.plugin);
        match active.filter(|active| active.digest == run.digest) {
            Some(plugin) => {
                let observation = done.observation();
                self.shadows.offer_check(&plugin, job, observation, run);
                self.account(&plugin, run.clone(), done.is_crowded_out);
            }
            None => self.hand_over(run.clone()),
        }
    }

    /// Runs this version of the probe, whichever is active.
    pub(in crate::plugin_host) async fn check_with(
        &self,
        plugin: &LoadedPlugin,
        job: &CheckJob,
    ) -> Checked {
        let sealed = SealedSettings::new(&job.probe.settings, &plugin.info.settings_schema);
        let grants = self.grants_of(plugin);
        let most = grants.budget().wall_clock.unwrap_or(Duration::MAX);
        let timeout = job.probe.timeout.min(most);
        let names = job
            .service
            .credentials
            .iter()
            .map(|credential| &credential.name);
        let context = Context {
            service: convert::service(&job.service.facts()),
            settings: sealed.settings.to_string(),
            timeout_ms: timeout.as_millis() as u64,
            previous: job.previous.as_deref().map(convert::previous),
            credentials: names
                .filter(|name| grants.credential(name).is_ok())
                .cloned()
                .collect(),
            attributes: Vec::new(),
        };
        let secrets = sealed.redactor();
        let access = self.probe_access(job, plugin, sealed);
        let deadline = Instant::now() + job.probe.timeout;
        let (answer, usage) = self
            .runner
            .run(
                &plugin.pre,
                plugin.label(Some(&job.service.slug)),
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

        let checked = observed(blank(job), plugin, answer, usage);
        Checked {
            input: Some(RunInput { context, secrets }),
            ..checked
        }
    }

    /// Keeps a recording. Good runs of a candidate are not kept.
    pub(in crate::plugin_host) fn keep_check(
        &self,
        plugin: &LoadedPlugin,
        job: &CheckJob,
        checked: &mut Checked,
        is_active: bool,
    ) {
        let Checked {
            observation,
            outcome,
            error,
            usage,
            input,
            claims: _,
        } = checked;
        let failed = *outcome != RunOutcome::Ok || !observation.status.is_available();
        let Some(input) = input.take().filter(|_| failed || is_active) else {
            return;
        };
        self.keep(plugin, usage, failed, || RunSummary {
            run_id: job.run_id,
            ts_ms: job.ts_ms,
            function: "check",
            subject: Subject {
                service: Some(job.service.slug.clone()),
                probe: Some(job.probe.name.clone()),
                ..Subject::default()
            },
            status: Some(observation.status),
            outcome: *outcome,
            error: error.clone(),
            message: observation
                .failure
                .as_ref()
                .map(|failure| failure.message.clone()),
            timeout: job.probe.timeout,
            arguments: vec![Box::new(input.context)],
            result: Box::new(observation.clone()),
            secrets: input.secrets,
        });
    }

    /// A probe reaches its own service, and what the operator named for it.
    fn probe_access(
        &self,
        job: &CheckJob,
        plugin: &LoadedPlugin,
        sealed: SealedSettings,
    ) -> Access {
        let subject = format!(
            "probe `{}` of service `{}`",
            job.probe.name, job.service.slug
        );
        let schema = &plugin.info.settings_schema;
        let Reach {
            mut permission,
            scope,
        } = Reach::of_service(&job.service, &job.probe.settings, schema, &sealed, subject);
        let mut programs = Programs::default();
        // Of a plugin that is part of this binary, whose defaults are ours.
        if matches!(plugin.source, Source::Bundled(_)) {
            programs = self.programs.clone();
            let defaults = secrets::default_hosts(&job.probe.settings, schema);
            let hosts = defaults.iter().filter_map(|host| secrets::host_of(host));
            let rules = hosts.filter_map(|host| HostRule::parse(&host).ok());
            permission.public_hosts.extend(rules);
        }
        Access {
            net: Some(NetAccess {
                net: self.net.clone(),
                permission,
                mail: None,
            }),
            secrets: sealed,
            sent: Default::default(),
            credentials: job.service.credentials.clone(),
            rate_limit_rules: job.service.rate_limits.clone(),
            scope,
            credential_cache: self.credential_cache.clone(),
            recorder: self.recorder(),
            programs,
            ..Access::default()
        }
    }
}

/// Turns the guest's answer, or its failure, into an observation of the service.
pub(in crate::plugin_host) fn observed(
    blank: Observation,
    plugin: &LoadedPlugin,
    answer: Result<Result<Found, ProbeError>, RunError>,
    usage: RunUsage,
) -> Checked {
    let mut observation = Observation {
        phases: usage.account.phases,
        bytes: usage.account.bytes_in,
        latency_us: usage.account.net_us,
        rate_limits: usage.account.rate_limits.clone(),
        plugin_version: plugin.info.version.clone(),
        ..blank
    };
    let mut said = None;
    let (outcome, error) = match answer {
        Ok(Ok(found)) => {
            said = claims::claims(&found.attributes);
            observation.status = convert::status(found.status);
            observation.failure = found.failure.map(convert::failure).or_else(|| {
                // A guest whose language hides why a request failed reports only that it did.
                let unsaid = observation.status == Status::Error;
                usage.account.last_failure.clone().filter(|_| unsaid)
            });
            observation.latency_us = found.latency_us.or(usage.account.net_us);
            observation.http_status = found.http_status;
            observation.metrics = convert::metrics(found.metrics);
            (RunOutcome::Ok, None)
        }
        Ok(Err(error)) => {
            let message = match error {
                ProbeError::Settings(message) => format!("settings: {message}"),
                ProbeError::Internal(message) | ProbeError::Other(message) => message,
            };
            let failure = Failure::new(ErrorKind::Plugin, message);
            let message = failure.message.clone();
            observation.failure = Some(failure);
            (RunOutcome::Error, Some(message))
        }
        Err(RunError { outcome, reason }) => {
            // Waiting for the service until the end is the service's time-out, not the plugin's.
            let waited =
                outcome == RunOutcome::Timeout && usage.account.waited * 2 > usage.duration;
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
        usage,
        claims: said,
        input: None,
    }
}

fn blank(job: &CheckJob) -> Observation {
    Observation {
        location: job.location.clone(),
        ..unanswered(
            job.ts_ms,
            &job.service.slug,
            &job.probe.name,
            &job.probe.plugin,
            job.run_id,
        )
    }
}

/// Returns the observation before anything is known.
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
        excluded: None,
        rate_limits: Vec::new(),
    }
}
