//! The port through which probes run: in this process, or later on another machine.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::domain::{CheckDone, CheckJob};
use crate::plugin_host::PluginHost;

/// Runs probes, and accounts their runs.
pub(super) trait CheckRunner: Send + Sync {
    fn run(&self, job: CheckJob) -> BoxFuture<'_, CheckDone>;
}

impl CheckRunner for PluginHost {
    fn run(&self, job: CheckJob) -> BoxFuture<'_, CheckDone> {
        async move {
            let done = self.check(&job).await;
            self.check_done(&job, &done);
            done
        }
        .boxed()
    }
}
