//! Evaluates what people write into settings, CEL expressions and message templates, in a guest of
//! our own (`runtime/evaluator`): its steps, its memory and its stack are bounded, whatever an
//! expression makes out of itself. Steps are counted and not timed, so the same expression over the
//! same values always ends in the same way, on a busy machine too.

mod compiled;
mod instance;
mod scope;
mod template;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;

use crate::domain::History;
use compiled::Machine;
use instance::{End, Instance, Job, Work};

/// Evaluations under way at once, each with at most [`instance::MEMORY_BYTES`]: some more than
/// cores, because those that take long give way to the others.
const AT_ONCE: usize = 6;

/// Steps of one evaluation: about 100 ms of one core. One over some variables takes 30,000 to
/// 50,000; to parse 1,000 bytes of an expression takes 30 million.
const EVALUATION_STEPS: u64 = 300_000_000;

/// Steps for each byte of the variables or of a message: reading JSON takes a part of them.
const STEPS_PER_BYTE: u64 = 200;

/// Steps that count as a millisecond of CPU time.
const STEPS_PER_MS: u64 = 3_000_000;

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// Does not parse, or can't be right whatever the values are.
    #[error("{0}")]
    Invalid(String),
    /// Has no value for these variables.
    #[error("{0}")]
    Failed(String),
    /// Used up what one evaluation may use.
    #[error("{0}")]
    Limit(String),
}

/// The result of an evaluation, and the CPU time it counts as.
pub(super) struct Evaluated {
    pub(super) result: Result<String, EvaluationError>,
    pub(super) cpu: Duration,
}

/// A handle; clones share instances.
#[derive(Clone)]
pub struct Evaluator(Arc<Shared>);

struct Shared {
    machine: Arc<Machine>,
    /// Instances that ended their last evaluation in order. They keep parsed expressions; no
    /// expression reads what is left of the values of another.
    warm: Mutex<Vec<Instance>>,
    turns: Semaphore,
}

#[derive(Serialize)]
struct Check<'a> {
    expression: &'a str,
    variables: &'a [String],
}

impl Evaluator {
    /// Keeps its compiled code in `folder`. Starts with the first evaluation, or when it is
    /// [prepared](Self::prepare).
    pub fn new(folder: &Path) -> Self {
        Self::with(Arc::new(Machine::new(folder.to_owned())))
    }

    fn with(machine: Arc<Machine>) -> Self {
        Self(Arc::new(Shared {
            machine,
            warm: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }))
    }

    /// The same machine with turns of its own, for what must not wait behind the expressions of
    /// others.
    pub fn apart(&self) -> Self {
        Self::with(self.0.machine.clone())
    }

    /// Compiles, or loads what was compiled before. Takes CPU time.
    pub(super) async fn prepare(&self) -> Result<(), String> {
        let machine = self.0.machine.clone();
        match tokio::task::spawn_blocking(move || machine.ready().map(drop)).await {
            Ok(prepared) => prepared,
            Err(error) => Err(format!("the evaluator can't start: {error}")),
        }
    }

    /// Looks for what is wrong with an expression that may use these variables.
    pub(super) async fn check(&self, expression: &str, variables: &[String]) -> Evaluated {
        let request = serde_json::to_vec(&Check {
            expression,
            variables,
        })
        .unwrap_or_default();
        self.evaluated(Job {
            request: [&request, &[]],
            work: Work::Check,
            steps: EVALUATION_STEPS,
            history: None,
        })
        .await
    }

    /// Evaluates an expression over variables, a JSON object. The value is JSON.
    pub(super) async fn evaluate(
        &self,
        expression: &str,
        variables: &str,
        history: Option<Arc<dyn History>>,
    ) -> Evaluated {
        let request = [expression.as_bytes(), variables.as_bytes()];
        self.evaluated(Job {
            request,
            work: Work::Evaluate,
            steps: EVALUATION_STEPS,
            history,
        })
        .await
    }

    async fn evaluated(&self, job: Job<'_>) -> Evaluated {
        if !self.0.machine.is_ready()
            && let Err(error) = self.prepare().await
        {
            return Evaluated {
                result: Err(EvaluationError::Failed(error)),
                cpu: Duration::ZERO,
            };
        }
        // Never closed.
        let _turn = self.0.turns.acquire().await;
        self.run(job).await
    }

    /// Runs a job without waiting for a permit.
    async fn run(&self, mut job: Job<'_>) -> Evaluated {
        job.steps += job.bytes() as u64 * STEPS_PER_BYTE;
        let warm = self.warm().pop();
        let instance = match (warm, self.0.machine.ready()) {
            (Some(instance), _) => Ok(instance),
            (None, Ok(ready)) => Instance::new(ready)
                .await
                .map_err(|error| format!("the evaluator can't start: {error:#}")),
            (None, Err(error)) => Err(error),
        };
        let mut instance = match instance {
            Ok(instance) => instance,
            Err(error) => {
                return Evaluated {
                    result: Err(EvaluationError::Failed(error)),
                    cpu: Duration::ZERO,
                };
            }
        };
        let ended = instance.run(&job).await;
        let cpu = Duration::from_micros(instance.steps_taken(job.steps) / (STEPS_PER_MS / 1_000));
        let result = match ended {
            Ok(result) => {
                if instance.is_lean() {
                    let mut warm = self.warm();
                    if warm.len() < AT_ONCE {
                        warm.push(instance);
                    }
                }
                result
            }
            Err(End::Limit(limit)) => Err(EvaluationError::Limit(limit)),
            Err(End::Broken) => Err(EvaluationError::Failed(
                "can't be evaluated; write it in another way".to_owned(),
            )),
        };
        Evaluated { result, cpu }
    }

    fn warm(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        self.0.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
