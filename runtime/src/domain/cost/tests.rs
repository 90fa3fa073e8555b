//! Tests of the whole cost model: worked amounts, a month by hand, and properties.

mod examples;
mod golden;
mod lists;
mod meter;
mod properties;
