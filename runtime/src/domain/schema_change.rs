//! What a migration does to a store.

/// Version of a store's schema before and after it was brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaChange {
    pub from: i64,
    pub to: i64,
}
