//! The plugin host behind the ports.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::domain::{AlertRule, Channel, DeliveryError, History, Message, Receipt, UnixMillis, Verdict};
use crate::plugin_host::{PluginHost, RuleCall};

use super::ports::{Notifier, PortError, PortResult, RuleRunner};

impl RuleRunner for PluginHost {
    fn look_back<'a>(&'a self, rule: &'a AlertRule) -> BoxFuture<'a, PortResult<Duration>> {
        async move { self.look_back(&rule.plugin, &rule.settings).await.map_err(PortError::of) }.boxed()
    }

    fn evaluate<'a>(
        &'a self,
        rule: &'a AlertRule,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> BoxFuture<'a, PortResult<Verdict>> {
        async move {
            let call =
                RuleCall { plugin: &rule.plugin, service: &rule.service, settings: &rule.settings, now_ms, history };
            self.evaluate(call).await.map_err(PortError::of)
        }
        .boxed()
    }
}

impl Notifier for PluginHost {
    fn notify<'a>(
        &'a self,
        channel: &'a Channel,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<Receipt, DeliveryError>> {
        self.notify(channel, message).boxed()
    }
}
