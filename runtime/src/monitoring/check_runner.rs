//! The port through which probes run: in this process, or later on other machines.

use crate::domain::{CheckDone, CheckJob};
use crate::plugin_host::PluginHost;

/// Runs probes, and accounts their runs. What goes in and what comes out can be serialised.
pub(super) struct CheckRunner {
    host: PluginHost,
}

impl CheckRunner {
    pub(super) fn new(host: PluginHost) -> Self {
        Self { host }
    }

    pub(super) async fn run(&self, job: CheckJob) -> CheckDone {
        let done = self.host.check(&job).await;
        self.host.check_done(&job, &done);
        done
    }
}
