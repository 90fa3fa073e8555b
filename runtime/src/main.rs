//! The `extrack` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    extrack::cli::main()
}
