//! Systems that hold nothing of it.

use std::path::Path;

pub(super) fn has_landlock() -> bool {
    false
}

pub(super) fn has_seccomp() -> bool {
    false
}

pub(super) fn confine_files<'a>(
    _readable: impl Iterator<Item = &'a Path>,
    _writable: &Path,
) -> Result<(), String> {
    Err("this system has no Landlock".to_owned())
}

pub(super) fn confine_calls() -> Result<(), String> {
    Err("this system has no seccomp".to_owned())
}
