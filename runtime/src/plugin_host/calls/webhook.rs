//! One delivery: what the plugin may see of it, and what its answer counts.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Calls;
use super::account::row_of;
use super::request::WebhookCall;
use super::keep::RunSummary;
use crate::domain::{PluginKind, Reception, RunOutcome, WebhookRequest, now_ms};
use crate::plugin_host::contract::bindings::webhook::exports::external_tracking::plugin::webhooks::{Context, Reception as Answered, Reject};
use crate::plugin_host::versions::loader::{Exports, LoadedPlugin};
use crate::plugin_host::policy::reach::Reach;
use crate::plugin_host::recording::format::Subject;
use crate::plugin_host::run::{RunError, RunUsage};
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::recording::sent::SentParts;
use crate::plugin_host::capabilities::access::{Access, NetAccess};
use crate::plugin_host::contract::convert;
use crate::plugin_host::engine::limits;

/// A delivery without events. The texts are for the operator: a sender may be anybody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    #[error("unauthenticated: {0}")]
    Unauthenticated(String),
    #[error("malformed: {0}")]
    Malformed(String),
    /// The sender is not to blame, and may come again.
    #[error("{0}")]
    Broken(String),
}

/// A delivery after its plugin looked at it.
pub struct DeliveredCall {
    pub result: Result<Reception, ReceiveError>,
    /// The delivery, with `***` in the place of the secrets that were sent; none: no plugin looked at
    /// it.
    pub request: Option<WebhookRequest>,
    /// A signature was right.
    pub is_proven: bool,
}

impl Calls {
    /// Takes in a delivery. A failure of the plugin or the host is [`ReceiveError::Broken`].
    pub(in crate::plugin_host) async fn receive(&self, call: WebhookCall<'_>) -> DeliveredCall {
        let plugin = match self.known(PluginKind::Webhook, &call.webhook.plugin) {
            Ok(plugin) => plugin,
            Err(error) => {
                return DeliveredCall {
                    result: Err(ReceiveError::Broken(error.to_string())),
                    request: None,
                    is_proven: false,
                };
            }
        };
        let run_id = self.next_run_id();
        let service = call.service.slug.clone();
        let is_unsigned = call.webhook.unsigned;
        let sealed = SealedSettings::new(&call.webhook.settings, &plugin.info.settings_schema);
        let patience = self.patience(&plugin, limits::RECEIVE);
        let context = Context {
            service: service.clone(),
            settings: sealed.settings.to_string(),
            timeout_ms: patience.as_millis() as u64,
            attributes: Vec::new(),
        };
        let mut access = self.webhook_access(&call, &plugin, sealed);
        let mut request = call.request;
        access.sent = SentParts::take_out(&mut request, &access.secrets);
        access.is_proven = call.is_proven;
        let kept = request.clone();
        let redact = access.secrets.clone();
        let request = convert::webhook_request(request);
        let (ts_ms, deadline) = (now_ms(), Instant::now() + patience);
        let (answer, mut usage) = self
            .runner
            .run(
                &plugin.pre,
                plugin.label(Some(&service)),
                access,
                deadline,
                async |store, instance| {
                    let Exports::Webhook(exports) = &plugin.exports else {
                        unreachable!("looked up as a webhook")
                    };
                    let guest = exports.load(&mut *store, instance)?;
                    guest
                        .external_tracking_plugin_webhooks()
                        .call_receive(&mut *store, &context, &request)
                        .await
                },
            )
            .await;
        let (outcome, result) = received(&plugin, answer, &usage, is_unsigned, run_id, &redact);
        let error = result.as_ref().err().map(ToString::to_string);
        // Anybody can be turned away, as often as he likes: that would push out what is worth
        // keeping.
        if !matches!(result, Err(ReceiveError::Unauthenticated(_))) {
            self.keep(&plugin, &mut usage, result.is_err(), || RunSummary {
                run_id,
                ts_ms,
                function: "receive",
                subject: Subject {
                    service: Some(service.clone()),
                    webhook: Some(call.webhook.name.clone()),
                    ..Subject::default()
                },
                status: None,
                outcome,
                error: error.clone(),
                message: None,
                timeout: patience,
                arguments: vec![
                    Box::new(context),
                    Box::new(request),
                    Box::new(WebhookInput {
                        unsigned: is_unsigned,
                    }),
                ],
                result: match &result {
                    Ok(reception) => Box::new(reception.clone()),
                    Err(_) => Box::new(()),
                },
                secrets: redact.redactor(),
            });
        }
        let end = (outcome, error);
        let is_proven = usage.account.is_verified;
        let run = row_of(&plugin, run_id, "receive", Some(&service), end, &usage);
        self.account(&plugin, run, usage.is_crowded_out);
        DeliveredCall {
            result,
            request: Some(kept),
            is_proven,
        }
    }

    /// Access to the webhook's own service, to verify a delivery, and to what the operator named
    /// for it.
    fn webhook_access(
        &self,
        call: &WebhookCall<'_>,
        plugin: &LoadedPlugin,
        sealed: SealedSettings,
    ) -> Access {
        let subject = format!(
            "webhook `{}` of service `{}`",
            call.webhook.name, call.service.slug
        );
        let schema = &plugin.info.settings_schema;
        let Reach { permission, scope } = Reach::of_service(
            call.service,
            &call.webhook.settings,
            schema,
            &sealed,
            subject,
        );
        let net = NetAccess {
            net: self.net.clone(),
            permission,
            mail: None,
        };
        Access {
            net: Some(net),
            secrets: sealed,
            scope,
            recorder: self.recorder(),
            ..Access::default()
        }
    }
}

/// Settings that decide beside the guest; the third argument of a recording.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::plugin_host) struct WebhookInput {
    /// Deliveries need no signature.
    pub(in crate::plugin_host) unsigned: bool,
}

/// Turns the guest's answer into a result. A plugin that rejects a sender has done its work: that
/// is no fault of its own.
pub(in crate::plugin_host) fn received(
    plugin: &LoadedPlugin,
    answer: Result<Result<Answered, Reject>, RunError>,
    usage: &RunUsage,
    is_unsigned: bool,
    run_id: i64,
    secrets: &SealedSettings,
) -> (RunOutcome, Result<Reception, ReceiveError>) {
    let (outcome, result) = match answer {
        Ok(Ok(_)) if !usage.account.is_verified && !is_unsigned => {
            let reason = "the plugin answered without a signature having been right; `unsigned: true` in the \
                          webhook takes such deliveries";
            (
                RunOutcome::Error,
                Err(ReceiveError::Unauthenticated(reason.to_owned())),
            )
        }
        Ok(Ok(reception)) => {
            match convert::reception(reception, run_id, &plugin.info.version, secrets) {
                Ok(reception) => (RunOutcome::Ok, Ok(reception)),
                Err(reason) => (RunOutcome::Limit, Err(ReceiveError::Broken(reason))),
            }
        }
        Ok(Err(Reject::Unauthenticated(text))) => {
            (RunOutcome::Ok, Err(ReceiveError::Unauthenticated(text)))
        }
        Ok(Err(Reject::Malformed(text))) => (RunOutcome::Ok, Err(ReceiveError::Malformed(text))),
        Ok(Err(Reject::Settings(text))) => (
            RunOutcome::Error,
            Err(ReceiveError::Broken(format!("settings: {text}"))),
        ),
        Ok(Err(Reject::Internal(text) | Reject::Other(text))) => {
            (RunOutcome::Error, Err(ReceiveError::Broken(text)))
        }
        Err(broken) => (
            broken.outcome,
            Err(ReceiveError::Broken(format!(
                "plugin `{}` {}",
                plugin.name, broken.reason
            ))),
        ),
    };
    let result = result.map_err(|error| match error {
        ReceiveError::Unauthenticated(text) => {
            ReceiveError::Unauthenticated(convert::message(secrets.redact(&text)))
        }
        ReceiveError::Malformed(text) => {
            ReceiveError::Malformed(convert::message(secrets.redact(&text)))
        }
        ReceiveError::Broken(text) => ReceiveError::Broken(convert::message(secrets.redact(&text))),
    });
    (outcome, result)
}
