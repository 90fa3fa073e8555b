//! What Linux holds.

mod files;
mod system_calls;

pub(super) use files::{confine_files, has_landlock};
pub(super) use system_calls::confine_calls;

pub(super) fn has_seccomp() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.contains("\nSeccomp:")
}
