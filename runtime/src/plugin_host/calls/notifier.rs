//! One attempt at one message.

use tokio::time::Instant;

use crate::domain::{Channel, DeliveryError, Message, Origin, PluginKind, Receipt, RunOutcome};
use crate::net::{HostRule, Permission};
use crate::plugin_host::bindings::notifier::exports::external_tracking::plugin::notifiers::Context;
use crate::plugin_host::loader::{Exports, Source};
use crate::plugin_host::secrets::{self, SealedSettings};
use crate::plugin_host::state::{Access, NetAccess};
use crate::plugin_host::{PluginHost, convert, limits};

impl PluginHost {
    /// One attempt at one message.
    pub async fn notify(&self, channel: &Channel, message: &Message) -> Result<Receipt, DeliveryError> {
        let plugin = self.known(PluginKind::Notifier, &channel.plugin).map_err(|error| DeliveryError::Retryable {
            message: format!("{error}; install it and the message will leave"),
            after: None,
        })?;
        let sealed = SealedSettings::new(&channel.settings, &plugin.info.settings_schema);
        let patience = self.allowance(&plugin).budget().wall_clock.unwrap_or(limits::NOTIFY);
        let context = Context { settings: sealed.settings.to_string(), timeout_ms: patience.as_millis() as u64 };
        let notification = convert::notification(message);
        let mut hosts = secrets::granted_hosts(&channel.settings, &plugin.info.settings_schema);
        hosts.extend(sealed.hosts());
        if matches!(plugin.source, Source::Bundled(_)) {
            hosts.extend(secrets::default_hosts(&channel.settings, &plugin.info.settings_schema));
        }
        let permission = Permission {
            hosts: hosts.iter().filter_map(|host| HostRule::parse(host).ok()).collect(),
            public_hosts: Vec::new(),
            allow_private: channel.origin == Origin::File,
            subject: format!("notifier `{}` of channel `{}`", plugin.name, channel.name),
            setting: "the settings of the channel".into(),
        };
        let net = NetAccess { net: self.shared.net.clone(), permission, mail: self.shared.has_mail };
        let access = Access { net: Some(net), secrets: sealed, ..Access::default() };
        let redact = access.secrets.clone();
        let deadline = Instant::now() + patience;
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
}
