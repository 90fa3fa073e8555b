//! Arithmetic between whole numbers and those with a fraction, which CEL does not define: it
//! computes as people mean it, in `double`, as the comparisons do.

use cel::common::ast::{EntryExpr, Expr, LiteralValue, operators};
use cel::common::types::{CelDouble, CelInt, CelUInt, DYN_TYPE};
use cel::common::value::{CowVal, Val};
use cel::parser::Expression;
use cel::{DeclarationError, Env, ExecutionError, Value};

/// CEL's operator, and the function in its place.
const OPERATIONS: [(&str, &str); 4] = [
    (operators::ADD, "@add"),
    (operators::SUBSTRACT, "@subtract"),
    (operators::MULTIPLY, "@multiply"),
    (operators::DIVIDE, "@divide"),
];

pub(crate) fn add(env: &mut Env) -> Result<(), DeclarationError> {
    let functions: [cel::common::functions::Function; 4] = [sum, difference, product, quotient];
    for ((_, name), function) in OPERATIONS.iter().zip(functions) {
        env.add_overload(name, name, vec![DYN_TYPE, DYN_TYPE], function)?;
    }
    Ok(())
}

/// The name of a call as it stands in the text.
pub(crate) fn operator(name: &str) -> Option<&'static str> {
    OPERATIONS
        .iter()
        .find(|(operator, function)| [*operator, *function].contains(&name))
        .map(|(operator, _)| *operator)
}

/// Puts these functions in place of the operators, wherever a number may be on both sides.
pub(crate) fn rewrite(expression: &mut Expression) {
    match &mut expression.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| rewrite(target));
            call.args.iter_mut().for_each(rewrite);
            let is_of_numbers = call.args.len() == 2 && call.args.iter().all(may_be_a_number);
            if let Some((_, function)) = OPERATIONS
                .iter()
                .find(|(name, _)| *name == call.func_name && is_of_numbers)
            {
                call.func_name = (*function).to_owned();
            }
        }
        Expr::Comprehension(comprehension) => {
            for part in [
                &mut comprehension.iter_range,
                &mut comprehension.accu_init,
                &mut comprehension.loop_cond,
                &mut comprehension.loop_step,
                &mut comprehension.result,
            ] {
                rewrite(part);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(rewrite),
        Expr::Map(map) => map
            .entries
            .iter_mut()
            .for_each(|entry| match &mut entry.expr {
                EntryExpr::StructField(field) => rewrite(&mut field.value),
                EntryExpr::MapEntry(entry) => {
                    rewrite(&mut entry.key);
                    rewrite(&mut entry.value);
                }
            }),
        Expr::Select(select) => rewrite(&mut select.operand),
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

/// The sums of lists that `map` and `filter` are made of stay as they are.
fn may_be_a_number(expression: &Expression) -> bool {
    !matches!(
        expression.expr,
        Expr::List(_)
            | Expr::Map(_)
            | Expr::Literal(LiteralValue::String(_) | LiteralValue::Bytes(_))
    )
}

type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

fn sum<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let (left, right) = both(&arguments)?;
    match mixed(left, right) {
        Some((left, right)) => double(left + right),
        None => Ok(CowVal::Owned(
            left.as_adder()
                .ok_or_else(|| unsupported("add", left, right))?
                .add(right)?
                .into_owned(),
        )),
    }
}

fn difference<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let (left, right) = both(&arguments)?;
    match mixed(left, right) {
        Some((left, right)) => double(left - right),
        None => Ok(CowVal::Owned(
            left.as_subtractor()
                .ok_or_else(|| unsupported("sub", left, right))?
                .sub(right)?
                .into_owned(),
        )),
    }
}

fn product<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let (left, right) = both(&arguments)?;
    match mixed(left, right) {
        Some((left, right)) => double(left * right),
        None => Ok(CowVal::Owned(
            left.as_multiplier()
                .ok_or_else(|| unsupported("mul", left, right))?
                .mul(right)?
                .into_owned(),
        )),
    }
}

fn quotient<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let (left, right) = both(&arguments)?;
    match mixed(left, right) {
        Some((left, right)) => double(left / right),
        None => Ok(CowVal::Owned(
            left.as_divider()
                .ok_or_else(|| unsupported("div", left, right))?
                .div(right)?
                .into_owned(),
        )),
    }
}

fn both<'a, 'v>(
    arguments: &'a [CowVal<'_, 'v>],
) -> Result<(&'a (dyn Val + 'v), &'a (dyn Val + 'v)), ExecutionError> {
    match arguments {
        [left, right] => Ok((left.as_ref(), right.as_ref())),
        _ => Err(ExecutionError::invalid_argument_count(2, arguments.len())),
    }
}

/// Both as numbers, when one has a fraction and the other is whole.
fn mixed(left: &dyn Val, right: &dyn Val) -> Option<(f64, f64)> {
    match (
        left.downcast_ref::<CelDouble>(),
        right.downcast_ref::<CelDouble>(),
    ) {
        (Some(left), None) => Some((*left.inner(), whole(right)?)),
        (None, Some(right)) => Some((whole(left)?, *right.inner())),
        _ => None,
    }
}

fn whole(value: &dyn Val) -> Option<f64> {
    let signed = value
        .downcast_ref::<CelInt>()
        .map(|value| *value.inner() as f64);
    signed.or_else(|| {
        value
            .downcast_ref::<CelUInt>()
            .map(|value| *value.inner() as f64)
    })
}

fn double<'b, 'v>(value: f64) -> Answer<'b, 'v> {
    Ok(CowVal::owned(CelDouble::from(value)))
}

fn unsupported(name: &'static str, left: &dyn Val, right: &dyn Val) -> ExecutionError {
    let value = |value: &dyn Val| Value::try_from(value).unwrap_or(Value::Null);
    ExecutionError::UnsupportedBinaryOperator(name, value(left), value(right))
}
