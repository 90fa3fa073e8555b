//! Conditions in the Common Expression Language, compiled once by the host and kept.

use std::fmt;

use serde_json::Value;

use crate::wit::cel as wit;

/// Reason why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CelError {
    /// A syntax error, or an unknown variable or function; with its position.
    Invalid(String),
    /// The evaluation failed with these values.
    Failed(String),
    /// `NAME: TEXT`: an error of a later host.
    Other(String),
}

impl fmt::Display for CelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CelError::Invalid(text) | CelError::Failed(text) | CelError::Other(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for CelError {}

impl From<wit::CelError> for CelError {
    fn from(error: wit::CelError) -> Self {
        match error {
            wit::CelError::Invalid(text) => CelError::Invalid(text),
            wit::CelError::Failed(text) => CelError::Failed(text),
            wit::CelError::Other(text) => CelError::Other(text),
        }
    }
}

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
