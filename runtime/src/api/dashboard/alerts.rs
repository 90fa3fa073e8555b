//! Alerts: who is needed, what happened, and what one may do about it. Built on the operations of
//! the API, so that both do the same.

mod list;
mod one;

pub(super) use list::page;
pub(super) use one::{
    acknowledge, lengths, matchers, page as one_page, resolve, silence, unacknowledge,
};
