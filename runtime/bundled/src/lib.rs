//! The bundled plugins and the evaluator of expressions and templates as WebAssembly, compiled by
//! `build.rs`. Only the program links this crate: the host's own code needs no WebAssembly target.

include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// Core module that evaluates CEL expressions and renders message templates.
pub const EVALUATOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/evaluator.wasm"));
