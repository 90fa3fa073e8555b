//! Vendors as data: the catalog in the program and the operator's own entries on top of it, what a
//! service of a vendor looks like, and whether a vendor answers as the catalog expects.

mod catalog;
mod check;
mod files;
mod service;
mod yaml;

pub use catalog::{Entry, VendorCatalog, VendorError};
pub use check::{Checked, Found, VendorCheck};
pub use service::{Draft, Options, Secrets};
pub use yaml::{
    append_service, escape_variables, service_entry, service_yaml, stored_service, yaml_of,
};
