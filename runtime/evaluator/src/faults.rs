//! What is wrong with an expression whatever its variables are: names that do not exist, quantiles
//! that are none, and operations that no value can take part in.

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::parser::Expression;
use cel::{Context, Env};
use std::sync::Arc;

use crate::{arithmetic, history};

/// What an expression is, as far as its text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Truth,
    Number,
    Text,
    List,
    Map,
    /// Depends on the variables.
    Open,
}

impl Is {
    fn as_str(self) -> &'static str {
        match self {
            Is::Truth => "true or false",
            Is::Number => "a number",
            Is::Text => "a text",
            Is::List => "a list",
            Is::Map => "a map",
            Is::Open => "a value",
        }
    }

    /// May be of the other's kind, or of one that it is compared with.
    fn fits(self, other: Is) -> bool {
        self == other || self == Is::Open || other == Is::Open
    }
}

/// The first fault of an expression.
pub(crate) fn find(
    expression: &Expression,
    env: &Arc<Env>,
    variables: &[String],
) -> Option<String> {
    let mut search = Search {
        env,
        known: variables,
        bound: Vec::new(),
    };
    search.visit(expression).err()
}

pub(crate) fn unknown_function(name: &str) -> String {
    format!(
        "unknown function `{name}`; known are CEL's own and, in rules, {}",
        history::FUNCTIONS.join(", ")
    )
}

struct Search<'a> {
    env: &'a Arc<Env>,
    known: &'a [String],
    /// Names that the expression gives itself: `list.map(item, …)`.
    bound: Vec<&'a str>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, expression: &'a Expression) -> Result<Is, String> {
        match &expression.expr {
            Expr::Literal(literal) => Ok(match literal {
                LiteralValue::Boolean(_) => Is::Truth,
                LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => {
                    Is::Number
                }
                LiteralValue::String(_) => Is::Text,
                LiteralValue::Bytes(_) | LiteralValue::Null => Is::Open,
            }),
            Expr::Ident(name) => self.name(name).map(|()| Is::Open),
            Expr::Select(select) => {
                self.visit(&select.operand)?;
                Ok(if select.test { Is::Truth } else { Is::Open })
            }
            Expr::List(list) => {
                list.elements
                    .iter()
                    .try_for_each(|element| self.visit(element).map(drop))?;
                Ok(Is::List)
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.visit(&entry.key)?;
                        self.visit(&entry.value)?;
                    }
                }
                Ok(Is::Map)
            }
            Expr::Comprehension(parts) => {
                self.visit(&parts.iter_range)?;
                self.visit(&parts.accu_init)?;
                let bound = self.bound.len();
                self.bound
                    .extend([parts.iter_var.as_str(), parts.accu_var.as_str()]);
                self.bound.extend(parts.iter_var2.as_deref());
                for part in [&parts.loop_cond, &parts.loop_step, &parts.result] {
                    self.visit(part)?;
                }
                self.bound.truncate(bound);
                Ok(Is::Open)
            }
            Expr::Call(call) => self.call(call),
            Expr::Struct(made) => Err(format!(
                "`{}` is no type that can be made here; write a map",
                made.type_name
            )),
            Expr::Unspecified => Ok(Is::Open),
        }
    }

    fn name(&self, name: &str) -> Result<(), String> {
        let is_type = || TYPES.contains(&name);
        if self.bound.contains(&name) || self.known.iter().any(|known| known == name) || is_type() {
            return Ok(());
        }
        let near = self
            .known
            .iter()
            .min_by_key(|known| strsim::damerau_levenshtein(known, name));
        let hint = near
            .map(|near| format!("; did you mean `{near}`?"))
            .unwrap_or_default();
        Err(format!(
            "unknown variable `{name}`{hint} known: {}",
            self.known.join(", ")
        ))
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Is, String> {
        let name = call.func_name.as_str();
        // `optional.of(x)`: what stands before the dot is no variable.
        let is_optional = matches!(call.target.as_deref().map(|target| &target.expr), Some(Expr::Ident(ident)) if ident == "optional");
        if let Some(target) = call.target.as_deref().filter(|_| !is_optional) {
            self.visit(target)?;
        }
        let arguments = call
            .args
            .iter()
            .map(|argument| self.visit(argument))
            .collect::<Result<Vec<_>, _>>()?;
        if history::FUNCTIONS.contains(&name) {
            return history_call(call);
        }
        if let Some(operator) =
            arithmetic::operator(name).or((name == operators::MODULO).then_some(operators::MODULO))
        {
            return arithmetic_call(operator, &arguments);
        }
        if let Some(kind) = operator_call(name, &arguments) {
            return kind;
        }
        if name == "size" {
            return Ok(Is::Number);
        }
        if name.starts_with(['_', '@', '-']) || is_optional || self.exists(name) {
            return Ok(Is::Open);
        }
        Err(unknown_function(name))
    }

    /// Nothing but this is public: a name that is taken can't be added.
    fn exists(&self, name: &str) -> bool {
        Context::with_env(self.env.clone())
            .add_function(name, || 0_i64)
            .is_err()
    }
}

/// Types by their names: `type(x) == int`.
const TYPES: [&str; 11] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
    "optional_type",
];

fn history_call(call: &CallExpr) -> Result<Is, String> {
    let name = call.func_name.as_str();
    let wanted = if name == "latency" { 2 } else { 1 };
    if call.args.len() != wanted || call.target.is_some() {
        let example = if name == "latency" {
            "latency('5m', 0.95)".to_owned()
        } else {
            format!("{name}('5m')")
        };
        return Err(format!("`{name}` is written as in `{example}`"));
    }
    let quantile = match call.args.get(1).map(|argument| &argument.expr) {
        Some(Expr::Literal(LiteralValue::Double(quantile))) => Some(*quantile.inner()),
        Some(Expr::Literal(LiteralValue::Int(quantile))) => Some(*quantile.inner() as f64),
        Some(Expr::Literal(LiteralValue::UInt(quantile))) => Some(*quantile.inner() as f64),
        Some(Expr::Literal(_)) => Some(f64::NAN),
        _ => None,
    };
    match quantile.and_then(history::quantile_fault) {
        Some(fault) => Err(format!("`{name}`: {fault}")),
        None => Ok(Is::Number),
    }
}

/// Texts and lists can be added to their like, and numbers be reckoned with.
fn arithmetic_call(operator: &str, arguments: &[Is]) -> Result<Is, String> {
    let [left, right] = arguments else {
        return Ok(Is::Open);
    };
    let can = |side: &Is| match side {
        Is::Open | Is::Number => true,
        Is::Text | Is::List => operator == operators::ADD,
        Is::Truth | Is::Map => false,
    };
    if !can(left) || !can(right) || !left.fits(*right) {
        return Err(format!(
            "`{}` can't be used with {} and {}",
            sign(operator),
            left.as_str(),
            right.as_str()
        ));
    }
    Ok(if *left == Is::Open { *right } else { *left })
}

/// An operator as people write it.
/// Returns what an operator of logic or comparison gives; none: it is a function, or could be anything.
fn operator_call(name: &str, arguments: &[Is]) -> Option<Result<Is, String>> {
    let wrong = |found: &Is, wanted: Is| Err(wrong_argument(name, *found, wanted));
    Some(match (name, arguments) {
        (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, arguments) => {
            match arguments.iter().find(|argument| !argument.fits(Is::Truth)) {
                Some(found) => wrong(found, Is::Truth),
                None => Ok(Is::Truth),
            }
        }
        (
            operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS,
            [left, right],
        ) if !left.fits(*right) => Err(format!(
            "{} is never compared with {} by `{}`",
            left.as_str(),
            right.as_str(),
            sign(name)
        )),
        (operators::EQUALS | operators::NOT_EQUALS, [left, right]) if !left.fits(*right) => Err(
            format!("{} is never equal to {}", left.as_str(), right.as_str()),
        ),
        (
            operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS,
            [_, _],
        )
        | (
            operators::EQUALS
            | operators::NOT_EQUALS
            | operators::IN
            | operators::NOT_STRICTLY_FALSE,
            _,
        ) => Ok(Is::Truth),
        (operators::NEGATE, [argument]) if !argument.fits(Is::Number) => {
            wrong(argument, Is::Number)
        }
        (operators::CONDITIONAL, [condition, _, _]) if !condition.fits(Is::Truth) => {
            wrong(condition, Is::Truth)
        }
        (operators::CONDITIONAL, [_, then, otherwise]) => {
            Ok(if then == otherwise { *then } else { Is::Open })
        }
        _ => return None,
    })
}

fn wrong_argument(operator: &str, found: Is, wanted: Is) -> String {
    format!(
        "`{}` takes {}, and is given {}",
        sign(operator),
        wanted.as_str(),
        found.as_str()
    )
}

fn sign(operator: &str) -> &str {
    operator.trim_start_matches('@').trim_matches('_')
}
