//! Where the program under test lies.

use std::path::PathBuf;

/// `EXTRACK_BIN`, or `extrack` of the profile these tests were compiled with.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("EXTRACK_BIN") {
        return path.into();
    }
    let tests = std::env::current_exe().expect("a running program has a path");
    // TARGET/PROFILE/deps/TESTS-HASH
    let profile = tests
        .ancestors()
        .nth(2)
        .expect("cargo puts tests two folders deep");
    let path = profile.join("extrack");
    let release = if profile.ends_with("release") {
        " --release"
    } else {
        ""
    };
    assert!(
        path.exists(),
        "`{}` is missing; run `cargo build{release}` first, or name another program with EXTRACK_BIN",
        path.display()
    );
    path
}
