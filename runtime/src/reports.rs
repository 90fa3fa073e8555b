//! Reports: made on their schedules or by hand, from the same results as pages and SQL, kept, and
//! handed to the outbox. What files own and what the API owns is one list here.

mod handle;

mod keeper;
mod make;

mod output;

mod files;
mod html;
mod pdf;
mod picture;
mod text;

mod figures;
mod gather;
mod markdown;
mod model;

pub use handle::{ReportEntry, ReportError, Reports};
pub(crate) use markdown::{Block, Span, blocks};
pub(crate) use model::{Content, Report, Table, shown};
pub(crate) use picture::drawn;
