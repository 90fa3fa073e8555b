//! Common Expression Language, evaluated by the host's [evaluator](crate::plugin_host::evaluator)
//! at the cost of the run. In a rule, `availability('5m')`, `error_rate('5m')`, `latency('5m',
//! 0.95)`, `runs('5m')` and `failures('5m')` read the service's history.

use std::fmt;

use serde::Serialize;

use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::cel::{CelError, Host};
use crate::plugin_host::evaluator::EvaluationError;

/// Characters of an expression shown in the reason of a run's end.
const SHOWN_CHARACTERS: usize = 100;

/// An expression used up what an evaluation may use, and the run ends with it. Travels as the error
/// of a trap.
#[derive(Debug)]
pub(in crate::plugin_host) struct CostlyExpression {
    expression: String,
    limit: String,
}

impl std::error::Error for CostlyExpression {}

impl fmt::Display for CostlyExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.expression.chars().take(SHOWN_CHARACTERS).collect();
        let more = if shown.len() < self.expression.len() {
            "…"
        } else {
            ""
        };
        write!(
            f,
            "was stopped: the expression `{shown}{more}` {}",
            self.limit
        )
    }
}

#[derive(Clone, Serialize)]
struct Check {
    expression: String,
    variables: Vec<String>,
}

#[derive(Clone, Serialize)]
struct Evaluate {
    expression: String,
    variables: String,
}

impl Host for RunState {
    async fn check(
        &mut self,
        expression: String,
        variables: Vec<String>,
    ) -> wasmtime::Result<Result<(), CelError>> {
        let asked = Check {
            expression,
            variables,
        };
        let call = begin!(self, "cel.check", &asked);
        let checked = self
            .evaluator
            .check(&asked.expression, &asked.variables)
            .await;
        self.charge_cpu(checked.cpu)?;
        let answer = match checked.result {
            Ok(_) => Ok(()),
            Err(EvaluationError::Limit(text)) => {
                Err(CelError::Invalid(format!("the expression {text}")))
            }
            Err(EvaluationError::Invalid(text) | EvaluationError::Failed(text)) => {
                Err(CelError::Invalid(text))
            }
        };
        Ok(self.answered(call, answer))
    }

    async fn evaluate(
        &mut self,
        expression: String,
        variables: String,
    ) -> wasmtime::Result<Result<String, CelError>> {
        let asked = Evaluate {
            expression,
            variables,
        };
        let call = begin!(self, "cel.evaluate", &asked);
        let history = self.access.history.clone();
        let evaluated = self
            .evaluator
            .evaluate(&asked.expression, &asked.variables, history)
            .await;
        self.charge_cpu(evaluated.cpu)?;
        let answer = match evaluated.result {
            Ok(value) => Ok(value),
            Err(EvaluationError::Invalid(text)) => Err(CelError::Invalid(text)),
            Err(EvaluationError::Failed(text)) => Err(CelError::Failed(text)),
            Err(EvaluationError::Limit(limit)) => {
                return Err(CostlyExpression {
                    expression: asked.expression,
                    limit,
                }
                .into());
            }
        };
        Ok(self.answered(call, answer))
    }
}
