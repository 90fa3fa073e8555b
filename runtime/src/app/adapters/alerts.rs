//! Rules and notifiers are plugins: the plugin host runs them.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::alerts::ports::PortResult;
use crate::alerts::{Notifier, PortError, RuleRunner};
use crate::domain::{
    AlertRule, Channel, DeliveryError, History, Message, Receipt, UnixMillis, Verdict,
};
use crate::plugin_host::{PluginError, PluginHost, RuleCall};

fn port(error: PluginError) -> PortError {
    PortError(error.to_string())
}

impl RuleRunner for PluginHost {
    fn swaps(&self) -> u64 {
        self.rule_swaps()
    }

    fn ticks(&self, rule: &AlertRule) -> bool {
        self.rule_ticks(&rule.plugin)
    }

    fn look_back<'a>(&'a self, rule: &'a AlertRule) -> BoxFuture<'a, PortResult<Duration>> {
        async move {
            PluginHost::look_back(self, &rule.plugin, &rule.settings)
                .await
                .map_err(port)
        }
        .boxed()
    }

    fn evaluate<'a>(
        &'a self,
        rule: &'a AlertRule,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> BoxFuture<'a, PortResult<Verdict>> {
        let call = RuleCall {
            plugin: &rule.plugin,
            service: &rule.service,
            settings: &rule.settings,
            now_ms,
            history,
        };
        async move { PluginHost::evaluate(self, call).await.map_err(port) }.boxed()
    }
}

impl Notifier for PluginHost {
    fn notify<'a>(
        &'a self,
        channel: &'a Channel,
        message: &'a Message,
    ) -> BoxFuture<'a, Result<Receipt, DeliveryError>> {
        PluginHost::notify(self, channel, message).boxed()
    }
}
