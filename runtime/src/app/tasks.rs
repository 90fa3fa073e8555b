//! The program's long-running parts, by the stage in which they stop. One that ends before its
//! stage was stopped is a fault that stops the program.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Stages in the order of stopping: what makes work stops before what takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// HTTP, watchers of files.
    Faces,
    Monitoring,
    Alerting,
    Delivery,
    Recording,
}

const STAGES: [Stage; 5] = [
    Stage::Faces,
    Stage::Monitoring,
    Stage::Alerting,
    Stage::Delivery,
    Stage::Recording,
];

/// Returns how long a stage may take to stop when so much of the whole is used up: all that is left
/// but a little for each later stage, and a quarter of the whole for the last one, which flushes.
fn stage_grace(stage: Stage, whole: Duration, used: Duration) -> Duration {
    let (flush, least) = (whole / 4, whole / 12);
    let kept = match stage {
        Stage::Faces => flush + least * 3,
        Stage::Monitoring => flush + least * 2,
        Stage::Alerting => flush + least,
        Stage::Delivery => flush,
        Stage::Recording => Duration::ZERO,
    };
    let least = if stage == Stage::Recording {
        flush
    } else {
        least
    };
    whole.saturating_sub(used + kept).max(least)
}

/// How a part may end: with nothing to report, or with a result.
pub(super) trait TaskOutput {
    fn into_result(self) -> Result<()>;
}

impl TaskOutput for () {
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl TaskOutput for Result<()> {
    fn into_result(self) -> Result<()> {
        self
    }
}

/// Tasks that run, with their stages and names.
pub(super) struct Tasks {
    running: JoinSet<(Stage, &'static str, Result<()>)>,
    names: Vec<(tokio::task::Id, Stage, &'static str)>,
    stops: [CancellationToken; STAGES.len()],
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self {
            running: JoinSet::new(),
            names: Vec::new(),
            stops: std::array::from_fn(|_| CancellationToken::new()),
        }
    }

    /// Returns the token that is cancelled when a stage stops.
    pub(super) fn stop(&self, stage: Stage) -> CancellationToken {
        self.stops[stage as usize].clone()
    }

    /// Starts a part, which gets the token that stops it.
    pub(super) fn spawn<F>(
        &mut self,
        stage: Stage,
        name: &'static str,
        part: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output: TaskOutput> + Send + 'static,
    {
        let part = part(self.stop(stage));
        let handle = self
            .running
            .spawn(async move { (stage, name, part.await.into_result()) });
        self.names.push((handle.id(), stage, name));
    }

    /// Runs until the shutdown, or until a part ends on its own, which is returned as an error
    /// after the others were stopped. All stages together take at most `grace`, of which the last
    /// one, which flushes, always has its share.
    pub(super) async fn run(mut self, shutdown: CancellationToken, grace: Duration) -> Result<()> {
        let early = tokio::select! {
            () = shutdown.cancelled() => None,
            ended = self.running.join_next_with_id() => Some(match ended {
                Some(Ok((id, (_, name, result)))) => {
                    self.forget(id);
                    match result {
                        Ok(()) => anyhow!("`{name}` ended on its own"),
                        Err(error) => error.context(format!("`{name}` failed")),
                    }
                }
                Some(Err(error)) => {
                    let name = self.forget(error.id());
                    anyhow!("`{name}` panicked: {error}")
                }
                None => anyhow!("nothing is running"),
            }),
        };
        match &early {
            Some(error) => {
                tracing::error!(error = format!("{error:#}"), "a part ended early; stopping")
            }
            None => tracing::info!("stopping"),
        }
        let begun = Instant::now();
        for stage in STAGES {
            self.stops[stage as usize].cancel();
            let stopped = tokio::time::timeout(
                stage_grace(stage, grace, begun.elapsed()),
                self.stage_ended(stage),
            )
            .await;
            if stopped.is_err() {
                let late: Vec<&str> = self
                    .names
                    .iter()
                    .filter(|(_, of, _)| *of == stage)
                    .map(|(_, _, name)| *name)
                    .collect();
                tracing::warn!(
                    parts = late.join(", "),
                    "did not stop within the grace period and is cut off"
                );
            }
        }
        match early {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    async fn stage_ended(&mut self, stage: Stage) {
        while self.names.iter().any(|(_, of, _)| *of == stage) {
            match self.running.join_next_with_id().await {
                Some(Ok((id, (_, name, result)))) => {
                    self.forget(id);
                    if let Err(error) = result {
                        tracing::error!(
                            part = name,
                            error = format!("{error:#}"),
                            "failed while stopping"
                        );
                    }
                }
                Some(Err(error)) => {
                    let name = self.forget(error.id());
                    tracing::error!(part = name, %error, "panicked while stopping");
                }
                None => return,
            }
        }
    }

    fn forget(&mut self, id: tokio::task::Id) -> &'static str {
        match self.names.iter().position(|(known, _, _)| *known == id) {
            Some(index) => self.names.swap_remove(index).2,
            None => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn parts_stop_stage_by_stage() {
        let mut tasks = Tasks::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        for (stage, name) in [
            (Stage::Recording, "writer"),
            (Stage::Faces, "http"),
            (Stage::Monitoring, "schedule"),
        ] {
            let order = order.clone();
            tasks.spawn(stage, name, |stop| async move {
                stop.cancelled().await;
                order.lock().unwrap().push(name);
            });
        }
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        tasks.run(shutdown, Duration::from_secs(5)).await.unwrap();
        assert_eq!(*order.lock().unwrap(), ["http", "schedule", "writer"]);
    }

    #[tokio::test(start_paused = true)]
    async fn parts_that_do_not_stop_leave_time_for_the_flush() {
        let mut tasks = Tasks::new();
        for stage in [
            Stage::Faces,
            Stage::Monitoring,
            Stage::Alerting,
            Stage::Delivery,
        ] {
            tasks.spawn(stage, "stuck", |_| std::future::pending::<()>());
        }
        let flushed = Arc::new(Mutex::new(false));
        let done = flushed.clone();
        tasks.spawn(Stage::Recording, "writer", |stop| async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(14)).await;
            *done.lock().unwrap() = true;
        });
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let begun = Instant::now();
        tasks.run(shutdown, Duration::from_secs(60)).await.unwrap();
        assert!(*flushed.lock().unwrap());
        assert!(
            begun.elapsed() <= Duration::from_secs(60),
            "{:?}",
            begun.elapsed()
        );
    }

    #[tokio::test]
    async fn a_part_that_ends_on_its_own_stops_the_program_and_is_named() {
        let mut tasks = Tasks::new();
        tasks.spawn(Stage::Faces, "http", |stop| async move {
            stop.cancelled().await;
        });
        tasks.spawn(Stage::Alerting, "alerts", |_| async {
            Err::<(), _>(anyhow!("no disk"))
        });
        let error = tasks
            .run(CancellationToken::new(), Duration::from_secs(5))
            .await
            .unwrap_err();
        assert_eq!(format!("{error:#}"), "`alerts` failed: no disk");
    }
}
