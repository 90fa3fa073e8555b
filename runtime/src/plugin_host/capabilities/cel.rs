//! Common Expression Language: compiled once, kept, evaluated natively. In a rule, `availability('5m')`,
//! `error_rate('5m')`, `latency('5m', 0.95)`, `runs('5m')` and `failures('5m')` read the service's history.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cel::{Context, Env, ExecutionError, Program};
use serde::Serialize;
use serde_json::Value;

use crate::domain::duration::parse_duration;
use crate::domain::{Bucket, History, Observation, RateLimitReading, Span, Summary};
use crate::plugin_host::bindings::imports::cel::{CelError, Host};
use crate::plugin_host::recorder::begin;
use crate::plugin_host::state::RunState;

/// Programs kept; over it the whole cache is dropped, which costs one parse each.
const PROGRAMS: usize = 4_096;

/// Longest expression; also keeps the recursive parser's depth in bounds.
const EXPRESSION_BYTES: usize = 4 << 10;

const HISTORY_FUNCTIONS: [&str; 5] = ["availability", "error_rate", "latency", "runs", "failures"];

pub(in crate::plugin_host) struct CelPrograms {
    env: Arc<Env>,
    programs: Mutex<HashMap<String, Arc<Program>>>,
}

impl CelPrograms {
    pub(in crate::plugin_host) fn new() -> Self {
        Self { env: Arc::new(Env::stdlib()), programs: Mutex::default() }
    }

    fn program(&self, expression: &str) -> Result<Arc<Program>, CelError> {
        if let Some(program) = self.lock().get(expression) {
            return Ok(program.clone());
        }
        if expression.len() > EXPRESSION_BYTES || nesting(expression) > 64 {
            return Err(CelError::Invalid(format!(
                "the expression is longer than {EXPRESSION_BYTES} bytes or nested deeper than 64; split it into several rules"
            )));
        }
        // The parser is somebody else's code and its input anybody's: a panic in it is a fault of the expression.
        let parsed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.env.compile(expression)));
        let program = match parsed {
            Ok(Ok(program)) => Arc::new(program),
            Ok(Err(error)) => return Err(CelError::Invalid(error.to_string().trim().to_owned())),
            Err(_) => return Err(CelError::Invalid("the expression can't be parsed".into())),
        };
        let mut programs = self.lock();
        if programs.len() >= PROGRAMS {
            programs.clear();
        }
        programs.insert(expression.to_owned(), program.clone());
        Ok(program)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Program>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parses, and holds the names in it against `variables`.
    fn check(&self, expression: &str, variables: &[String]) -> Result<(), CelError> {
        let program = self.program(expression)?;
        let references = program.references();
        for name in references.variables() {
            if !variables.iter().any(|variable| variable == name) {
                let near = variables.iter().min_by_key(|variable| strsim::damerau_levenshtein(variable, name));
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                return Err(CelError::Invalid(format!(
                    "unknown variable `{name}`{hint} known: {}",
                    variables.join(", ")
                )));
            }
        }
        // A function that does not exist shows when it is called; what else fails on empty values is no fault.
        let mut context = Context::with_env(self.env.clone());
        for variable in variables {
            context.add_variable_from_value(variable.as_str(), cel::Value::Null);
        }
        add_history(&mut context, Arc::new(NoHistory));
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| program.execute(&context))) {
            Ok(Err(ExecutionError::UndeclaredReference(name))) => Err(CelError::Invalid(format!(
                "unknown function `{name}`; known are CEL's own and, in rules, {}",
                HISTORY_FUNCTIONS.join(", ")
            ))),
            _ => Ok(()),
        }
    }

    fn evaluate(
        &self,
        expression: &str,
        variables: &str,
        history: Option<Arc<dyn History>>,
    ) -> Result<String, CelError> {
        let program = self.program(expression)?;
        let variables: serde_json::Map<String, Value> = serde_json::from_str(variables)
            .map_err(|error| CelError::Failed(format!("variables are not a JSON object: {error}")))?;
        let mut context = Context::with_env(self.env.clone());
        for (name, value) in &variables {
            context.add_variable_from_value(name.as_str(), to_cel(value));
        }
        if let Some(history) = history {
            add_history(&mut context, history);
        }
        let value = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| program.execute(&context)))
            .map_err(|_| CelError::Failed("the expression can't be evaluated".into()))?
            .map_err(|error| CelError::Failed(error.to_string()))?;
        let json = value.json().map_err(|error| CelError::Failed(format!("the result is not JSON: {error}")))?;
        Ok(json.to_string())
    }
}

/// For checking an expression: there are no runs.
struct NoHistory;

impl History for NoHistory {
    fn latest(&self) -> Option<Arc<Observation>> {
        None
    }

    fn samples(&self, _last: usize) -> Vec<Arc<Observation>> {
        Vec::new()
    }

    fn summary(&self, _window: Duration) -> Summary {
        Summary::default()
    }

    fn latency(&self, _window: Duration, _quantile: f64) -> Option<u64> {
        None
    }

    fn consecutive_failures(&self) -> u32 {
        0
    }

    fn latest_by_probe(&self) -> Vec<Arc<Observation>> {
        Vec::new()
    }

    fn buckets(&self, _span: Span) -> Vec<Bucket> {
        Vec::new()
    }

    fn rate_limits(&self) -> Vec<RateLimitReading> {
        Vec::new()
    }

    fn watched(&self) -> Duration {
        Duration::ZERO
    }
}

/// Every whole number is a CEL `int`, so that `http_status == 200` compares what looks alike.
fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => cel::Value::Int(whole),
            None => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(properties) => {
            let map: HashMap<String, cel::Value> =
                properties.iter().map(|(name, value)| (name.clone(), to_cel(value))).collect();
            cel::Value::Map(map.into())
        }
    }
}

/// Deepest bracket; the parser recurses as deep.
fn nesting(expression: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for character in expression.chars() {
        match character {
            '(' | '[' | '{' | '!' | '-' | '?' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn add_history(context: &mut Context<'_, '_>, history: Arc<dyn History>) {
    let failed = |function: &str, message: String| ExecutionError::function_error(function, message);
    let of = history.clone();
    let added =
        context.add_function("availability", move |window: Arc<String>| -> Result<cel::Value, ExecutionError> {
            let window = parse_duration(&window).map_err(|error| failed("availability", error.to_string()))?;
            Ok(number(of.summary(window).availability()))
        });
    debug_assert!(added.is_ok());
    let of = history.clone();
    let added = context.add_function("error_rate", move |window: Arc<String>| -> Result<cel::Value, ExecutionError> {
        let window = parse_duration(&window).map_err(|error| failed("error_rate", error.to_string()))?;
        Ok(number(of.summary(window).error_rate()))
    });
    debug_assert!(added.is_ok());
    type Counts = [(&'static str, fn(Summary) -> u64); 2];
    let counts: Counts =
        [("runs", |summary| summary.count), ("failures", |summary| summary.unhealthy + summary.errors)];
    for (name, count) in counts {
        let of = history.clone();
        let added = context.add_function(name, move |window: Arc<String>| -> Result<cel::Value, ExecutionError> {
            let window = parse_duration(&window).map_err(|error| failed(name, error.to_string()))?;
            Ok(cel::Value::Int(i64::try_from(count(of.summary(window))).unwrap_or(i64::MAX)))
        });
        debug_assert!(added.is_ok());
    }
    let added = context.add_function(
        "latency",
        move |window: Arc<String>, quantile: f64| -> Result<cel::Value, ExecutionError> {
            let window = parse_duration(&window).map_err(|error| failed("latency", error.to_string()))?;
            Ok(number(history.latency(window, quantile).map(|us| us as f64 / 1_000.0)))
        },
    );
    debug_assert!(added.is_ok());
}

/// A window without runs is null; comparing null with a number fails, and a rule that fails has no opinion.
fn number(value: Option<f64>) -> cel::Value {
    value.map_or(cel::Value::Null, cel::Value::Float)
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
    fn check(&mut self, expression: String, variables: Vec<String>) -> wasmtime::Result<Result<(), CelError>> {
        let asked = Check { expression, variables };
        let call = begin!(self, "cel.check", &asked);
        let answer = self.cel.check(&asked.expression, &asked.variables);
        Ok(self.answered(call, answer))
    }

    fn evaluate(&mut self, expression: String, variables: String) -> wasmtime::Result<Result<String, CelError>> {
        let asked = Evaluate { expression, variables };
        let call = begin!(self, "cel.evaluate", &asked);
        let answer = self.cel.evaluate(&asked.expression, &asked.variables, self.access.history.clone());
        Ok(self.answered(call, answer))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluate(expression: &str) -> Result<String, CelError> {
        let variables = json!({
            "status": "error", "latency_ms": 812.5, "http_status": 503, "error": null,
            "metrics": {"certificate_days_left": 6}, "consecutive_failures": 3,
        });
        CelPrograms::new().evaluate(expression, &variables.to_string(), Some(Arc::new(NoHistory)))
    }

    #[test]
    fn conditions_compare_what_looks_alike() {
        for (expression, wanted) in [
            ("status == 'error'", "true"),
            ("status in ['unhealthy', 'error']", "true"),
            ("latency_ms > 500", "true"),
            ("latency_ms > 500.5", "true"),
            ("http_status >= 500 && http_status != 501", "true"),
            ("metrics.certificate_days_left < 7", "true"),
            ("consecutive_failures == 3", "true"),
            ("error == null", "true"),
            ("has(metrics.queue) && metrics.queue > 5", "false"),
            ("availability('5m') == null", "true"),
        ] {
            match evaluate(expression) {
                Ok(answer) => assert_eq!(answer, wanted, "{expression}"),
                Err(error) => panic!("{expression}: {error:?}"),
            }
        }
    }

    #[test]
    fn what_can_not_be_answered_fails_and_does_not_lie() {
        for expression in ["availability('5m') < 99", "latency('never', 0.5) == null", "metrics.queue > 5"] {
            assert!(matches!(evaluate(expression), Err(CelError::Failed(_))), "{expression}");
        }
    }

    #[test]
    fn faults_are_found_when_an_expression_is_saved() {
        let variables = ["status".to_owned(), "latency_ms".to_owned()];
        let fault = |expression: &str| match CelPrograms::new().check(expression, &variables) {
            Err(CelError::Invalid(text)) => text,
            other => panic!("{expression}: {other:?}"),
        };
        assert!(fault("stats == 'x'").contains("did you mean `status`?"));
        assert!(fault("availabilty('5m') < 99").contains("unknown function `availabilty`"));
        assert!(!fault("status ==").is_empty());
        assert!(fault(&"(".repeat(5_000)).contains("split it"));
        assert!(fault(&format!("{}true", "!".repeat(500))).contains("split it"));
        assert!(CelPrograms::new().check("availability('5m') < 99.5 || latency_ms > 100", &variables).is_ok());
    }
}
