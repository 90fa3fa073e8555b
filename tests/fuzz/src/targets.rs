//! One function a target, which reads an input as the program does.

pub(crate) mod calls;
pub(crate) mod configuration;
pub(crate) mod dns;
pub(crate) mod headers;
pub(crate) mod http;
pub(crate) mod plugins;
pub(crate) mod recordings;
pub(crate) mod sql;
pub(crate) mod texts;

use std::borrow::Cow;

fn text(input: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(input)
}

/// What the first byte selects, and the rest.
fn split<'a, T>(input: &'a [u8], choices: &'a [T]) -> (&'a T, &'a [u8]) {
    let (first, rest) = input.split_first().unwrap_or((&0, &[]));
    (&choices[usize::from(*first) % choices.len()], rest)
}
