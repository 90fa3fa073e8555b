//! One reading of what a vendor bills: the credentials of the service, and bounds for what comes back.

use tokio::time::Instant;

use super::account::row_of;
use super::keep::RunSummary;
use super::request::MeterCall;
use super::{Calls, PluginError};
use crate::domain::{MeterFigure, PluginKind, RunOutcome, now_ms};
use crate::plugin_host::capabilities::access::{Access, NetAccess};
use crate::plugin_host::contract::bindings::meter::exports::external_tracking::plugin::meters::{
    Context, ReadError, Reading,
};
use crate::plugin_host::contract::{convert, figures};
use crate::plugin_host::engine::limits;
use crate::plugin_host::policy::reach::Reach;
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::recording::format::Subject;
use crate::plugin_host::run::RunError;
use crate::plugin_host::versions::loader::{Exports, LoadedPlugin};

impl Calls {
    /// Reads the figures of a span.
    pub(in crate::plugin_host) async fn read_meter(
        &self,
        call: MeterCall<'_>,
    ) -> Result<Vec<MeterFigure>, PluginError> {
        let MeterCall {
            service,
            meter,
            span,
        } = &call;
        let plugin = self.known(PluginKind::Meter, &meter.plugin)?;
        let sealed = SealedSettings::new(&meter.settings, &plugin.info.settings_schema);
        let patience = self.patience(&plugin, limits::READ);
        let grants = self.grants_of(&plugin);
        let names = service.credentials.iter().map(|one| &one.name);
        let context = Context {
            service: convert::service(&service.facts()),
            settings: sealed.settings.to_string(),
            timeout_ms: patience.as_millis() as u64,
            from_ms: span.from_ms.max(0).unsigned_abs(),
            to_ms: span.until_ms.max(0).unsigned_abs(),
            credentials: names
                .filter(|name| grants.credential(name).is_ok())
                .cloned()
                .collect(),
            attributes: Vec::new(),
        };
        let access = self.meter_access(&call, &plugin, sealed);
        let redact = access.secrets.clone();
        let (ts_ms, deadline) = (now_ms(), Instant::now() + patience);
        let (answer, mut usage) = self
            .runner
            .run(
                &plugin.pre,
                plugin.label(Some(&service.slug)),
                access,
                deadline,
                async |store, instance| {
                    let Exports::Meter(exports) = &plugin.exports else {
                        unreachable!("looked up as a meter")
                    };
                    let guest = exports.load(&mut *store, instance)?;
                    guest
                        .external_tracking_plugin_meters()
                        .call_read(&mut *store, &context)
                        .await
                },
            )
            .await;
        let (outcome, result) = metered(&context, answer, &redact);
        let error = result.as_ref().err().cloned();
        let run_id = self.next_run_id();
        self.keep(&plugin, &mut usage, error.is_some(), || RunSummary {
            run_id,
            ts_ms,
            function: "read",
            subject: Subject {
                service: Some(service.slug.clone()),
                meter: Some(meter.name.clone()),
                ..Subject::default()
            },
            status: None,
            outcome,
            error: error.clone(),
            message: None,
            timeout: patience,
            arguments: vec![Box::new(context)],
            result: match &result {
                Ok(figures) => Box::new(figures.clone()),
                Err(_) => Box::new(()),
            },
            secrets: redact.redactor(),
        });
        let end = (outcome, error);
        let run = row_of(&plugin, run_id, "read", Some(&service.slug), end, &usage);
        self.account(&plugin, run, usage.is_crowded_out);
        result.map_err(|reason| PluginError::Broken {
            plugin: plugin.info.name.clone(),
            outcome,
            reason,
        })
    }

    /// A meter reaches its own service with its credentials, and what the operator named for it.
    fn meter_access(
        &self,
        call: &MeterCall<'_>,
        plugin: &LoadedPlugin,
        sealed: SealedSettings,
    ) -> Access {
        let (service, meter) = (call.service, call.meter);
        let subject = format!("meter `{}` of service `{}`", meter.name, service.slug);
        let schema = &plugin.info.settings_schema;
        let Reach { permission, scope } =
            Reach::of_service(service, &meter.settings, schema, &sealed, subject);
        Access {
            net: Some(NetAccess {
                net: self.net.clone(),
                permission,
                mail: None,
            }),
            secrets: sealed,
            credentials: service.credentials.clone(),
            rate_limit_rules: service.rate_limits.clone(),
            scope,
            credential_cache: self.credential_cache.clone(),
            recorder: self.recorder(),
            ..Access::default()
        }
    }
}

/// Turns the guest's answer into figures. A vendor that does not answer is no fault of the plugin.
pub(in crate::plugin_host) fn metered(
    asked: &Context,
    answer: Result<Result<Reading, ReadError>, RunError>,
    secrets: &SealedSettings,
) -> (RunOutcome, Result<Vec<MeterFigure>, String>) {
    let (outcome, result) = match answer {
        Ok(Ok(reading)) => match figures::figures(reading, (asked.from_ms, asked.to_ms), secrets) {
            Ok(figures) => (RunOutcome::Ok, Ok(figures)),
            Err(reason) => (RunOutcome::Limit, Err(reason)),
        },
        Ok(Err(ReadError::Unavailable(text))) => (RunOutcome::Ok, Err(format!("reports: {text}"))),
        Ok(Err(ReadError::Settings(text))) => (
            RunOutcome::Error,
            Err(format!("reports wrong settings: {text}")),
        ),
        Ok(Err(ReadError::Internal(text) | ReadError::Other(text))) => {
            (RunOutcome::Error, Err(format!("reports: {text}")))
        }
        Err(RunError { outcome, reason }) => (outcome, Err(reason)),
    };
    let result = result.map_err(|text| convert::message(secrets.redact(&text)));
    (outcome, result)
}
