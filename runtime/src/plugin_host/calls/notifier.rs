//! One attempt at one message.

use tokio::time::Instant;

use super::Calls;
use super::account::row_of;
use super::keep::RunSummary;
use crate::domain::{Channel, DeliveryError, Message, PluginKind, Receipt, RunOutcome, now_ms};
use crate::plugin_host::contract::bindings::notifier::exports::external_tracking::plugin::notifiers::{Context, Notification, NotifyError, Receipt as GuestReceipt};
use crate::plugin_host::versions::loader::{Exports, LoadedPlugin, Source};
use crate::plugin_host::policy::mail_scope::MailScope;
use crate::plugin_host::policy::reach::Reach;
use crate::plugin_host::recording::format::Subject;
use crate::plugin_host::run::{RunError, RunUsage};
use crate::plugin_host::policy::secrets;
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::capabilities::access::{Access, NetAccess};
use crate::plugin_host::contract::convert;
use crate::plugin_host::engine::limits;

impl Calls {
    /// One attempt at one message.
    pub(in crate::plugin_host) async fn notify(
        &self,
        channel: &Channel,
        message: &Message,
    ) -> Result<Receipt, DeliveryError> {
        let plugin = self
            .known(PluginKind::Notifier, &channel.plugin)
            .map_err(|error| DeliveryError::Retryable {
                message: format!("{error}; install it and the message will leave"),
                after: None,
            })?;
        let sealed = SealedSettings::new(&channel.settings, &plugin.info.settings_schema);
        let patience = self.patience(&plugin, limits::NOTIFY);
        let context = Context {
            settings: sealed.settings.to_string(),
            timeout_ms: patience.as_millis() as u64,
            attributes: Vec::new(),
        };
        let notification = convert::notification(message);
        let access = Access {
            files: message.files.clone(),
            ..self.channel_access(channel, &plugin, sealed)
        };
        let redact = access.secrets.clone();
        let (ts_ms, deadline) = (now_ms(), Instant::now() + patience);
        let ran = self.run_notifier(&plugin, access, deadline, &context, &notification);
        let (answer, mut usage) = ran.await;
        let (outcome, result) = delivered(&plugin, answer);
        let result = result.map_err(|error| redacted(error, &redact));
        let error = result.as_ref().err().map(ToString::to_string);
        let run_id = self.next_run_id();
        self.keep(&plugin, &mut usage, error.is_some(), || RunSummary {
            run_id,
            ts_ms,
            function: "notify",
            subject: Subject {
                channel: Some(channel.name.clone()),
                ..Subject::default()
            },
            status: None,
            outcome,
            error: error.clone(),
            message: None,
            timeout: patience,
            arguments: vec![Box::new(context), Box::new(notification)],
            result: match &result {
                Ok(receipt) => Box::new(receipt.clone()),
                Err(_) => Box::new(()),
            },
            secrets: redact.redactor(),
        });
        let run = row_of(&plugin, run_id, "notify", None, (outcome, error), &usage);
        self.account(&plugin, run, usage.is_crowded_out);
        result
    }

    /// Runs the guest.
    async fn run_notifier(
        &self,
        plugin: &LoadedPlugin,
        access: Access,
        deadline: Instant,
        context: &Context,
        notification: &Notification,
    ) -> (
        Result<Result<GuestReceipt, NotifyError>, RunError>,
        RunUsage,
    ) {
        self.runner
            .run(
                &plugin.pre,
                plugin.label(None),
                access,
                deadline,
                async |store, instance| {
                    let Exports::Notifier(exports) = &plugin.exports else {
                        unreachable!("looked up as a notifier")
                    };
                    let guest = exports.load(&mut *store, instance)?;
                    guest
                        .external_tracking_plugin_notifiers()
                        .call_notify(&mut *store, context, notification)
                        .await
                },
            )
            .await
    }

    /// Access to the hosts that the channel's settings name, and to those that the operator named
    /// for it.
    fn channel_access(
        &self,
        channel: &Channel,
        plugin: &LoadedPlugin,
        sealed: SealedSettings,
    ) -> Access {
        let schema = &plugin.info.settings_schema;
        let defaults = match plugin.source {
            Source::Bundled(_) => secrets::default_hosts(&channel.settings, schema),
            Source::Stored => Vec::new(),
        };
        let private = self.channel_reach.of(channel);
        let subject = format!("notifier `{}` of channel `{}`", plugin.name, channel.name);
        let Reach { permission, scope } = Reach::of_channel(
            &channel.settings,
            schema,
            &sealed,
            defaults,
            private,
            subject,
        );
        let mail = self
            .has_mail
            .then(|| MailScope::of(&channel.settings, schema));
        let net = NetAccess {
            net: self.net.clone(),
            permission,
            mail,
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

fn redacted(error: DeliveryError, secrets: &SealedSettings) -> DeliveryError {
    match error {
        DeliveryError::Retryable { message, after } => DeliveryError::Retryable {
            message: secrets.redact(&message),
            after,
        },
        DeliveryError::Permanent(message) => DeliveryError::Permanent(secrets.redact(&message)),
    }
}

/// How an attempt ended. A plugin that breaks is worth another attempt.
pub(in crate::plugin_host) fn delivered(
    plugin: &LoadedPlugin,
    answer: Result<Result<GuestReceipt, NotifyError>, RunError>,
) -> (RunOutcome, Result<Receipt, DeliveryError>) {
    match answer {
        Ok(Ok(receipt)) => (RunOutcome::Ok, Ok(convert::receipt(receipt))),
        Ok(Err(error)) => (RunOutcome::Error, Err(convert::delivery_error(error))),
        Err(broken) => {
            let message = format!("plugin `{}` {}", plugin.name, broken.reason);
            (
                broken.outcome,
                Err(DeliveryError::Retryable {
                    message,
                    after: None,
                }),
            )
        }
    }
}
