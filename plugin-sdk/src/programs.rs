//! Programs of the machine that the operator lets bundled probes run.

use std::time::Duration;

use crate::net::NetError;
use crate::time::millis;
use crate::wit::programs as wit;
pub use crate::wit::programs::Finished;

/// Names a program by its absolute path.
pub fn command(program: impl Into<String>) -> Command {
    Command(wit::Command {
        program: program.into(),
        arguments: Vec::new(),
        timeout_ms: None,
        attributes: Vec::new(),
    })
}

/// A program with its arguments, built step by step and then run.
#[derive(Debug, Clone)]
pub struct Command(wit::Command);

impl Command {
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let arguments = arguments.into_iter();
        self.0.arguments.extend(arguments.map(Into::into));
        self
    }

    /// Shorter than what is left of the run.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout_ms = Some(millis(timeout));
        self
    }

    /// Runs it to its end. Whatever code it ends with is no error.
    pub fn run(self) -> Result<Finished, NetError> {
        #[cfg(target_arch = "wasm32")]
        return wit::run(&self.0).map_err(NetError::from);
        #[cfg(not(target_arch = "wasm32"))]
        crate::fake::with(|host| host.program(&self.0))
    }
}
