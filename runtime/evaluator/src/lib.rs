//! Evaluates CEL expressions and renders message templates. Runs inside the host's sandbox: it may
//! use up its fuel or its memory, or trap, and nothing but the one evaluation ends. Knows nothing
//! of services, plugins or channels.
//!
//! The host writes a request to where [`request`] says and calls a function with its length. What
//! that returns says where the reply lies: the address in the upper and the length in the lower 32
//! bits. The first byte of a reply is its [`Kind`].

mod arithmetic;
#[path = "../../src/domain/duration.rs"]
mod duration;
mod expressions;
mod faults;
mod history;
mod template;

use std::cell::RefCell;

use serde::Deserialize;

use expressions::Programs;

/// What a reply holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// The value as JSON, or the text.
    Value = 0,
    /// Why the expression or the template can't be right.
    Invalid = 1,
    /// Why it has no value for these variables.
    Failed = 2,
}

pub(crate) type Reply = (Kind, String);

#[derive(Deserialize)]
struct Check {
    expression: String,
    variables: Vec<String>,
}

thread_local! {
    static REQUEST: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static REPLY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static PROGRAMS: RefCell<Programs> = RefCell::new(Programs::new());
}

/// Returns where the host may write this many bytes, until it asks for more.
#[unsafe(no_mangle)]
pub extern "C" fn request(bytes: u32) -> u32 {
    REQUEST.with_borrow_mut(|request| {
        request.clear();
        request.resize(bytes as usize, 0);
        request.as_ptr() as u32
    })
}

/// Checks an expression: `{"expression", "variables": [name]}`.
#[unsafe(no_mangle)]
pub extern "C" fn check(bytes: u32) -> u64 {
    answer(bytes, |request| {
        let Ok(Check {
            expression,
            variables,
        }) = serde_json::from_slice(request)
        else {
            return malformed();
        };
        PROGRAMS.with_borrow_mut(|programs| programs.check(&expression, &variables))
    })
}

/// Evaluates an expression: the request is its text, of so many bytes, and then the variables as a
/// JSON object.
#[unsafe(no_mangle)]
pub extern "C" fn evaluate(bytes: u32, expression_bytes: u32, has_history: u32) -> u64 {
    answer(bytes, |request| {
        let Some((expression, variables)) = request.split_at_checked(expression_bytes as usize)
        else {
            return malformed();
        };
        let Ok(expression) = std::str::from_utf8(expression) else {
            return malformed();
        };
        history::begin(has_history != 0);
        PROGRAMS.with_borrow_mut(|programs| programs.evaluate(expression, variables))
    })
}

/// Renders a template: `{"field", "source", "view"}`.
#[unsafe(no_mangle)]
pub extern "C" fn render(bytes: u32) -> u64 {
    answer(bytes, template::render)
}

fn malformed() -> Reply {
    (
        Kind::Failed,
        "the request of the host is not understood".to_owned(),
    )
}

fn answer(bytes: u32, work: impl FnOnce(&[u8]) -> Reply) -> u64 {
    let (kind, text) =
        REQUEST.with_borrow(|request| request.get(..bytes as usize).map_or_else(malformed, work));
    REPLY.with_borrow_mut(|reply| {
        reply.clear();
        reply.push(kind as u8);
        reply.extend_from_slice(text.as_bytes());
        (u64::from(reply.as_ptr() as u32) << 32) | reply.len() as u64
    })
}
