#!/bin/sh
# Compiles a crate of ours as `rustc` does, with clippy's lints as errors. Cargo runs it in rustc's place for the
# workspace's own crates (`build.rustc-workspace-wrapper`), so one compilation both lints and makes what the tests run,
# and what we depend on is compiled once, not a second time for `cargo clippy`.
exec clippy-driver "$@" -D warnings
