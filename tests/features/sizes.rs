//! Sizes of components: a server compiles what an author sends, and each call maps it.

use extrack_tests::components::guest;

/// Prints what it measures: `--no-capture` shows it.
#[test]
fn a_small_probe_with_settings_of_every_kind_is_below_150_kb() {
    const MAX_BYTES: usize = 150_000;
    for name in ["empty", "every-setting"] {
        let bytes = guest(name).len();
        println!("{name}: {bytes} bytes");
        assert!(bytes < MAX_BYTES, "`{name}` has {bytes} bytes");
    }
}
