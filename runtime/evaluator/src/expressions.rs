//! CEL: parsed once and kept, evaluated with variables that come as JSON.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use cel::parser::Expression;
use cel::{Context, Env, ExecutionError, Value};
use serde_json::{Map, Value as Json};

use crate::{Kind, Reply, arithmetic, faults, history};

/// Expressions kept; over it all are dropped, which costs one parse each.
const PROGRAMS: usize = 1_024;

/// Longest expression.
const EXPRESSION_BYTES: usize = 4 << 10;

/// Deepest bracket.
const NESTING: usize = 64;

pub(crate) struct Programs {
    env: Arc<Env>,
    parsed: HashMap<String, Rc<Expression>>,
}

impl Programs {
    pub(crate) fn new() -> Self {
        let mut env = Env::stdlib();
        // Fails only for a name that is there already.
        let added = arithmetic::add(&mut env).and_then(|()| history::add(&mut env));
        debug_assert!(added.is_ok());
        Self {
            env: Arc::new(env),
            parsed: HashMap::new(),
        }
    }

    fn program(&mut self, expression: &str) -> Result<Rc<Expression>, String> {
        if let Some(program) = self.parsed.get(expression) {
            return Ok(program.clone());
        }
        if expression.len() > EXPRESSION_BYTES || nesting(expression) > NESTING {
            return Err(format!(
                "the expression is longer than {EXPRESSION_BYTES} bytes or nested deeper than {NESTING}; split it into several rules"
            ));
        }
        let mut parsed = self
            .env
            .parser()
            .parse(expression)
            .map_err(|errors| errors.to_string().trim().to_owned())?;
        arithmetic::rewrite(&mut parsed);
        if self.parsed.len() >= PROGRAMS {
            self.parsed.clear();
        }
        let program = Rc::new(parsed);
        self.parsed.insert(expression.to_owned(), program.clone());
        Ok(program)
    }

    /// Parses, compares the names in it with `variables` and what is known, and evaluates once:
    /// what takes more than an evaluation may is found now.
    pub(crate) fn check(&mut self, expression: &str, variables: &[String]) -> Reply {
        let program = match self.program(expression) {
            Ok(program) => program,
            Err(fault) => return (Kind::Invalid, fault),
        };
        if let Some(fault) = faults::find(&program, &self.env, variables) {
            return (Kind::Invalid, fault);
        }
        let mut context = Context::with_env(self.env.clone());
        for variable in variables {
            context.add_variable_from_value(variable.as_str(), Value::Null);
        }
        history::begin(false);
        // What fails on empty values is no fault.
        match Value::resolve(&program, &context) {
            Err(ExecutionError::UndeclaredReference(name)) => {
                (Kind::Invalid, faults::unknown_function(&name))
            }
            _ => (Kind::Value, String::new()),
        }
    }

    pub(crate) fn evaluate(&mut self, expression: &str, variables: &[u8]) -> Reply {
        let program = match self.program(expression) {
            Ok(program) => program,
            Err(fault) => return (Kind::Invalid, fault),
        };
        let variables: Map<String, Json> = match serde_json::from_slice(variables) {
            Ok(variables) => variables,
            Err(error) => {
                return (
                    Kind::Failed,
                    format!("variables are not a JSON object: {error}"),
                );
            }
        };
        let mut context = Context::with_env(self.env.clone());
        for (name, value) in variables {
            context.add_variable_from_value(name, to_cel(value));
        }
        match Value::resolve(&program, &context) {
            Ok(value) => match value.json() {
                Ok(json) => (Kind::Value, json.to_string()),
                Err(error) => (Kind::Failed, format!("the result is not JSON: {error}")),
            },
            Err(error) => (Kind::Failed, error.to_string()),
        }
    }
}

/// Every whole number is a CEL `int`, so that `http_status == 200` compares what looks alike; one
/// beyond is a `uint`, as long as it is exact.
fn to_cel(value: Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(whole)) => Value::UInt(whole),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text)),
        Json::Array(items) => Value::List(Arc::new(items.into_iter().map(to_cel).collect())),
        Json::Object(properties) => {
            let map: HashMap<String, Value> = properties
                .into_iter()
                .map(|(name, value)| (name, to_cel(value)))
                .collect();
            Value::Map(map.into())
        }
    }
}

/// Deepest bracket outside of texts; the parser recurses as deep. Signs in a row count, too.
fn nesting(expression: &str) -> usize {
    let (mut depth, mut signs, mut deepest) = (0_usize, 0_usize, 0);
    let mut characters = expression.chars();
    let mut quote = None;
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        signs = match character {
            '!' | '-' if quote.is_none() => signs + 1,
            space if space.is_whitespace() => signs,
            _ => 0,
        };
        deepest = deepest.max(depth + signs);
    }
    deepest
}
