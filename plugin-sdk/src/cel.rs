//! Conditions in the Common Expression Language, compiled once by the host and kept.

mod error;

use serde_json::Value;

#[cfg(target_arch = "wasm32")]
use crate::wit::cel as wit;

pub use error::CelError;

/// Parses an expression that may use these names: for `check_settings`.
pub fn check(expression: &str, variables: &[&str]) -> Result<(), CelError> {
    let variables: Vec<String> = variables.iter().map(|&name| name.to_owned()).collect();
    #[cfg(target_arch = "wasm32")]
    return wit::check(expression, &variables).map_err(CelError::from);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.cel_check(expression, &variables))
}

/// Evaluates an expression; `variables` is a JSON object. In a rule, `availability('5m')`,
/// `error_rate('5m')`, `latency('5m', 0.95)`, `runs('5m')` and `failures('5m')` read the service's
/// history: percent, percent, milliseconds, numbers of runs.
pub fn evaluate(expression: &str, variables: &Value) -> Result<Value, CelError> {
    #[cfg(target_arch = "wasm32")]
    return match wit::evaluate(expression, &variables.to_string()) {
        Ok(text) => {
            serde_json::from_str(&text).map_err(|error| CelError::Failed(error.to_string()))
        }
        Err(error) => Err(error.into()),
    };
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.cel_evaluate(expression, variables))
}

/// Evaluates an expression that has to be true or false.
pub fn is_true(expression: &str, variables: &Value) -> Result<bool, CelError> {
    match evaluate(expression, variables)? {
        Value::Bool(flag) => Ok(flag),
        other => Err(CelError::Failed(format!(
            "`{expression}` is {other}, wanted true or false"
        ))),
    }
}
