//! Lists: `{"items": […], "next": cursor or null}`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One page of a list. `next` is the `cursor` of the following page, null on the last one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}
