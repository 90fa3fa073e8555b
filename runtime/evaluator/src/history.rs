//! `availability('5m')`, `error_rate('5m')`, `latency('5m', 0.95)`, `runs('5m')` and
//! `failures('5m')`: the history of the service, which the host knows.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use cel::common::types::{
    CelDouble, CelInt, CelNull, CelString, CelUInt, DOUBLE_TYPE, INT_TYPE, STRING_TYPE, UINT_TYPE,
};
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError};

use crate::duration::parse_duration;

pub(crate) const FUNCTIONS: [&str; 5] =
    ["availability", "error_rate", "latency", "runs", "failures"];

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// The value of one of [`FUNCTIONS`] over a window; NaN without runs.
    #[link_name = "history"]
    safe fn history(function: u32, window_ms: u64, quantile: f64) -> f64;
}

thread_local! {
    static HAS_HISTORY: Cell<bool> = const { Cell::new(false) };
    /// The history does not change during one evaluation, so the host is asked once for each.
    static ANSWERS: RefCell<HashMap<(usize, u64, u64), f64>> = RefCell::default();
}

/// Begins an evaluation. Without a history, as in a check, there were no runs.
pub(crate) fn begin(has_history: bool) {
    HAS_HISTORY.set(has_history);
    ANSWERS.with_borrow_mut(HashMap::clear);
}

pub(crate) fn add(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(
        "availability",
        "availability",
        vec![STRING_TYPE],
        |arguments| share(0, &arguments),
    )?;
    env.add_overload("error_rate", "error_rate", vec![STRING_TYPE], |arguments| {
        share(1, &arguments)
    })?;
    for (id, quantile) in [
        ("latency_double", DOUBLE_TYPE),
        ("latency_int", INT_TYPE),
        ("latency_uint", UINT_TYPE),
    ] {
        env.add_overload("latency", id, vec![STRING_TYPE, quantile], |arguments| {
            share(2, &arguments)
        })?;
    }
    env.add_overload("runs", "runs", vec![STRING_TYPE], |arguments| {
        count(3, &arguments)
    })?;
    env.add_overload("failures", "failures", vec![STRING_TYPE], |arguments| {
        count(4, &arguments)
    })
}

/// A window without runs is null; comparing null with a number fails, and a rule that fails has no
/// opinion.
fn share<'b, 'v>(
    function: usize,
    arguments: &[CowVal<'b, 'v>],
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = ask(function, arguments)?;
    Ok(if value.is_nan() {
        CowVal::owned(CelNull)
    } else {
        CowVal::owned(CelDouble::from(value))
    })
}

fn count<'b, 'v>(
    function: usize,
    arguments: &[CowVal<'b, 'v>],
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = ask(function, arguments)?;
    Ok(CowVal::owned(CelInt::from(if value.is_nan() {
        0
    } else {
        value as i64
    })))
}

fn ask(function: usize, arguments: &[CowVal<'_, '_>]) -> Result<f64, ExecutionError> {
    let failed = |message: String| ExecutionError::function_error(FUNCTIONS[function], message);
    let window = arguments
        .first()
        .and_then(|window| window.downcast_ref::<CelString>());
    let window = parse_duration(window.map_or("", |window| window.inner()))
        .map_err(|error| failed(error.to_string()))?;
    let quantile = match arguments.get(1) {
        None => 0.0,
        Some(quantile) => {
            let double = quantile
                .downcast_ref::<CelDouble>()
                .map(|quantile| *quantile.inner());
            let signed = || {
                quantile
                    .downcast_ref::<CelInt>()
                    .map(|quantile| *quantile.inner() as f64)
            };
            let unsigned = || {
                quantile
                    .downcast_ref::<CelUInt>()
                    .map(|quantile| *quantile.inner() as f64)
            };
            double.or_else(signed).or_else(unsigned).unwrap_or(f64::NAN)
        }
    };
    if let Some(fault) = quantile_fault(quantile) {
        return Err(failed(fault));
    }
    if !HAS_HISTORY.get() {
        return Ok(f64::NAN);
    }
    let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let asked = (function, window_ms, quantile.to_bits());
    if let Some(known) = ANSWERS.with_borrow(|answers| answers.get(&asked).copied()) {
        return Ok(known);
    }
    let value = history(function as u32, window_ms, quantile);
    ANSWERS.with_borrow_mut(|answers| answers.insert(asked, value));
    Ok(value)
}

/// What is wrong with a quantile.
pub(crate) fn quantile_fault(quantile: f64) -> Option<String> {
    if (0.0..=1.0).contains(&quantile) {
        return None;
    }
    // Without the digits that a division in binary adds.
    let share = (quantile * 1e7).round() / 1e9;
    let hint = if (0.0..=1.0).contains(&share) {
        format!("; write `{share}`")
    } else {
        String::new()
    };
    Some(format!(
        "{quantile} is no quantile, which lies between 0 and 1{hint}"
    ))
}
