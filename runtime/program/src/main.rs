//! The `extrack` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    extrack::plugin_host::bundle(extrack::plugin_host::Bundled {
        plugins: extrack_bundled::PLUGINS,
        evaluator: extrack_bundled::EVALUATOR,
    });
    extrack::cli::main()
}
