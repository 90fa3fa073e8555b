//! Log lines of guests become log lines of ours, under their plugin's name.

use crate::domain::BudgetKey;
use crate::plugin_host::bindings::imports::log::{Host, Level};
use crate::plugin_host::state::RunState;

/// One line.
const LINE_BYTES: usize = 4 << 10;

impl Host for RunState {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.host_call()?;
        let before = self.account.log_bytes;
        self.account.log_bytes += message.len() as u64;
        let most = self.allowance.budget().log_bytes;
        if before > most {
            return Ok(());
        }
        if self.account.log_bytes > most {
            let exceeded = self.allowance.exceeded(BudgetKey::LogBytes);
            let (plugin, service) = (&*self.label.plugin, self.label.service.as_deref());
            tracing::warn!(target: "extrack::plugin", plugin, service, "{exceeded}; the lines that follow are dropped");
        }
        let cut = message.floor_char_boundary(LINE_BYTES.min(message.len()));
        let message = self.access.secrets.redact(&message[..cut]);
        let (plugin, service) = (&*self.label.plugin, self.label.service.as_deref());
        if level == Level::Error {
            self.account.last_error = Some(message.clone());
        }
        match level {
            Level::Debug => tracing::debug!(target: "extrack::plugin", plugin, service, "{message}"),
            Level::Info => tracing::info!(target: "extrack::plugin", plugin, service, "{message}"),
            Level::Warn => tracing::warn!(target: "extrack::plugin", plugin, service, "{message}"),
            Level::Error => tracing::error!(target: "extrack::plugin", plugin, service, "{message}"),
        }
        Ok(())
    }
}
