//! Threads of their own for everything that is served over HTTP: load from outside takes none from
//! the timers of probes, the rules and the writer.

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// Niceness of the threads: probes go first where there is not enough processor for both.
const NICENESS: i32 = 5;

/// The runtime of the faces. Dropping it ends what still runs there, and waits for nothing.
pub(super) struct Edge {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Edge {
    pub(super) fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("edge")
            .on_thread_start(|| {
                // A thread that may not is as good as the others.
                let _ = rustix::process::nice(NICENESS);
            })
            .enable_all()
            .build()
            .context("the threads of the HTTP server can't be started")?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
