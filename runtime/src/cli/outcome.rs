//! How a command ends: with an exit code, or with an error that is printed.

use std::process::ExitCode;

/// Result of a command: its exit code, or the error that is printed with its causes.
pub(super) type Outcome = anyhow::Result<ExitCode>;

/// Exit code for faults in the configuration: `EX_USAGE`.
pub(super) const EXIT_USAGE: u8 = 64;

/// Prints an error with all its causes.
#[expect(clippy::print_stderr, reason = "an error of the command")]
pub(super) fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  caused by: {cause}");
    }
    ExitCode::FAILURE
}
