//! Reports: which there are, what they said, and a builder of plain forms. Built on the operations of
//! the API, so that both do the same.

mod builder;
mod form;
mod list;
mod one;
mod view;

pub(super) use builder::{build, page as builder};
pub(super) use list::page as list;
pub(super) use one::{delete, make, page as one, preview, resend, run};
