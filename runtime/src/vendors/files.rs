//! The files of the catalog, as the build lists them.

include!(concat!(env!("OUT_DIR"), "/vendors.rs"));
