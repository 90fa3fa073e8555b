//! Programs of this machine that the operator lets probes run. Each run is a child of its own: this
//! program once more, which takes limits on itself and then becomes the other one.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Component, Path};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::child::{Limits, Program, Stopped};
use crate::net::NetError;

/// Hidden subcommand that a child is started with.
pub const PROGRAM_SUBCOMMAND: &str = "run-program";

/// The operator's list, for denials.
const SETTING: &str = "`EXTRACK_PROGRAMS`";
const MAX_PROGRAMS: usize = 256;
const MAX_ARGUMENTS: usize = 128;
/// Limit of all arguments together.
const MAX_ARGUMENT_BYTES: usize = 16 << 10;
/// Code of a child that did not become the program: a shell's for one that is not found.
const NOT_STARTED: u8 = 127;
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Programs that probes may run, by their exact paths; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    allowed: Arc<[String]>,
}

/// End of a program, and its output.
#[derive(Debug)]
pub(in crate::plugin_host) struct Finished {
    pub(in crate::plugin_host) code: i32,
    pub(in crate::plugin_host) output: String,
    pub(in crate::plugin_host) errors: String,
    pub(in crate::plugin_host) took: Duration,
}

#[derive(Serialize, Deserialize)]
struct Task {
    limits: Limits,
    program: String,
    arguments: Vec<String>,
}

impl Programs {
    /// Reads absolute paths with commas between them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let paths = text.split(',').map(str::trim);
        let paths: Vec<String> = paths
            .filter(|path| !path.is_empty())
            .map(str::to_owned)
            .collect();
        if paths.len() > MAX_PROGRAMS {
            return Err(format!("must have at most {MAX_PROGRAMS} programs"));
        }
        let is_exact = |path: &&String| {
            let mut parts = Path::new(path.as_str()).components();
            path.starts_with('/') && !parts.any(|part| part == Component::ParentDir)
        };
        match paths.iter().find(|path| !is_exact(path)) {
            Some(wrong) => Err(format!(
                "`{wrong}` is not an absolute path without `..`, such as `/usr/lib/nagios/plugins/check_disk`"
            )),
            None => Ok(Self {
                allowed: paths.into(),
            }),
        }
    }

    /// Returns the paths as they were written.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.allowed.iter().map(Path::new)
    }

    pub(in crate::plugin_host) async fn run(
        &self,
        program: &str,
        arguments: &[String],
        most: Duration,
    ) -> Result<Finished, NetError> {
        if !self.allowed.iter().any(|allowed| allowed == program) {
            return Err(NetError::Denied(format!(
                "the program `{program}` may not be run; to allow it, name its exact path in {SETTING} of the environment or the `.env` file"
            )));
        }
        let bytes: usize = arguments.iter().map(String::len).sum();
        let has_nul = arguments.iter().any(|argument| argument.contains('\0'));
        if arguments.len() > MAX_ARGUMENTS || bytes > MAX_ARGUMENT_BYTES || has_nul {
            return Err(NetError::Protocol(format!(
                "a program takes at most {MAX_ARGUMENTS} arguments, {MAX_ARGUMENT_BYTES} bytes together and none of them 0"
            )));
        }
        let task = Task {
            limits: limits(most),
            program: program.to_owned(),
            arguments: arguments.to_vec(),
        };
        let task = serde_json::to_string(&task);
        let task = task.map_err(|error| NetError::Protocol(error.to_string()))?;
        let child = Program::this(PROGRAM_SUBCOMMAND);
        let child = child.map_err(|error| not_started(program, &error))?;
        let start = Instant::now();
        let ended = child.with([task.into()]).output(most).await;
        let took = start.elapsed();
        match ended {
            Ok(found) => Ok(Finished {
                code: found.code,
                output: String::from_utf8_lossy(&found.output).into_owned(),
                errors: String::from_utf8_lossy(&found.errors).into_owned(),
                took,
            }),
            Err(stopped) => Err(failed(program, most, stopped)),
        }
    }
}

/// Generous for a check, and an end to whatever else it is.
fn limits(most: Duration) -> Limits {
    Limits {
        memory_bytes: 1 << 30,
        cpu: most + Duration::from_secs(1),
        wall_clock: most,
        file_bytes: 16 << 20,
        open_files: Some(256),
        nice: 5,
    }
}

fn not_started(program: &str, error: &std::io::Error) -> NetError {
    NetError::Connect(format!("`{program}` could not be started: {error}"))
}

fn failed(program: &str, most: Duration, stopped: Stopped) -> NetError {
    let why = match stopped {
        Stopped::NotStarted(error) => return not_started(program, &error),
        Stopped::WallClock => {
            return NetError::Timeout(format!(
                "`{program}` did not end within {} ms, and was killed",
                most.as_millis()
            ));
        }
        Stopped::Cpu => "used up its CPU time".to_owned(),
        Stopped::Memory => "used up its memory".to_owned(),
        Stopped::FileSize => "wrote a file that is too large".to_owned(),
        Stopped::Killed => "was killed".to_owned(),
        Stopped::Refused(reason) | Stopped::Crashed(reason) => format!("broke off: {reason}"),
    };
    NetError::Protocol(format!("`{program}` {why}"))
}

/// The whole program of the child: it becomes another one, or says why not.
pub fn program_child(task: &str) -> ExitCode {
    let reason = match serde_json::from_str::<Task>(task) {
        Ok(task) => task.begin(),
        Err(_) => "there is no work here; the program calls this by itself".to_owned(),
    };
    // The caller may be gone.
    let _ = writeln!(std::io::stderr(), "{reason}");
    ExitCode::from(NOT_STARTED)
}

impl Task {
    /// Returns only with the reason why it could not.
    fn begin(&self) -> String {
        if let Err(error) = self.limits.take() {
            return format!("the limits can't be set: {error}");
        }
        // Nothing of our own environment, where secrets may be.
        let error = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .exec();
        format!("`{}` can't be started: {error}", self.program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_absolute_paths_are_taken() {
        let programs = Programs::parse(" /usr/lib/a , /opt/b,").unwrap();
        let paths: Vec<&Path> = programs.paths().collect();
        assert_eq!(paths, [Path::new("/usr/lib/a"), Path::new("/opt/b")]);
        for wrong in ["check_disk", "./a", "/opt/../bin/sh", "~/a"] {
            let reason = Programs::parse(wrong).unwrap_err();
            assert!(reason.contains("absolute path"), "{wrong}: {reason}");
        }
        assert_eq!(Programs::parse("").unwrap(), Programs::default());
    }

    #[tokio::test]
    async fn what_is_not_allowed_by_its_exact_path_is_not_run() {
        let programs = Programs::parse("/bin/true").unwrap();
        for program in ["/bin/sh", "/bin/true ", "/bin//true", "true", ""] {
            let refused = programs.run(program, &[], Duration::from_secs(1)).await;
            let error = refused.unwrap_err();
            assert!(matches!(error, NetError::Denied(_)), "{program}: {error}");
            assert!(error.to_string().contains("EXTRACK_PROGRAMS"), "{error}");
        }
        let refused = Programs::default();
        let refused = refused.run("/bin/true", &[], Duration::from_secs(1)).await;
        assert!(matches!(refused, Err(NetError::Denied(_))));
        let nul = ["a\0b".to_owned()];
        let refused = programs
            .run("/bin/true", &nul, Duration::from_secs(1))
            .await;
        assert!(matches!(refused, Err(NetError::Protocol(_))));
    }
}
