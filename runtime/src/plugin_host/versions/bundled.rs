//! The plugins that came with this binary: compiled by `build.rs`, which writes the list.

include!(concat!(env!("OUT_DIR"), "/bundled.rs"));
