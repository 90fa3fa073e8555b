//! Work in a process of its own: this program once more, under limits of the kernel, for what no
//! budget inside a process bounds. Whatever such work does, it ends, and nothing else ends with it.

mod limits;
mod output;
mod sandbox;

use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

pub use limits::Limits;
pub use output::Output;
pub use sandbox::Sandbox;

/// A child ends with this code when it has said why on its standard error.
pub const REFUSED: u8 = 2;

/// Limit of what is kept of a child's last words.
const WORDS_BYTES: u64 = 16 << 10;

/// Variables of this process that a child gets: where its shared libraries are, and where it may
/// write.
const VARIABLES: [&str; 3] = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"];

/// How the program is started as a child.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

/// Why a child did not do its work.
#[derive(Debug)]
pub enum Stopped {
    /// The child rejected the work; the reason in its own words.
    Refused(String),
    Cpu,
    WallClock,
    Memory,
    FileSize,
    /// Somebody else killed it: the kernel for want of memory, or a person.
    Killed,
    /// The child ended in another way; what is known of it.
    Crashed(String),
    NotStarted(std::io::Error),
}

impl Program {
    pub fn new(path: PathBuf, arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            path,
            arguments: arguments.into_iter().collect(),
        }
    }

    /// The very file that is running, even after an upgrade has put another one in its place.
    pub fn this(subcommand: &str) -> std::io::Result<Self> {
        let path = if cfg!(target_os = "linux") {
            PathBuf::from("/proc/self/exe")
        } else {
            std::env::current_exe()?
        };
        Ok(Self::new(path, [subcommand.into()]))
    }

    /// Runs the child to its end, with this as its standard input. Dropped before, it kills the
    /// child.
    pub async fn run(
        &self,
        limits: &Limits,
        input: File,
        variables: &[(&str, String)],
    ) -> Result<(), Stopped> {
        let mut child = self
            .command(variables)
            .stdin(input)
            .stdout(Stdio::null())
            .spawn()
            .map_err(Stopped::NotStarted)?;
        let mut words = Vec::new();
        let mut stderr = child.stderr.take();
        let reading = async {
            if let Some(stderr) = &mut stderr {
                // What it said until it went is what counts.
                let _ = stderr.take(WORDS_BYTES).read_to_end(&mut words).await;
            }
            // Output beyond the limit is not read.
            drop(stderr.take());
        };
        let ended = tokio::time::timeout(limits.wall_clock, async {
            tokio::join!(child.wait(), reading).0
        })
        .await;
        match ended {
            Err(_) => Err(Stopped::WallClock),
            Ok(Err(error)) => Err(Stopped::NotStarted(error)),
            Ok(Ok(status)) => judge(status, String::from_utf8_lossy(&words).trim()),
        }
    }

    /// Starts a child that is given its work and answers while it runs.
    pub fn start(&self, variables: &[(&str, String)]) -> Result<Conversation, Stopped> {
        let mut child = self
            .command(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Stopped::NotStarted)?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Conversation {
                child,
                input,
                output,
            }),
            _ => Err(Stopped::NotStarted(ErrorKind::BrokenPipe.into())),
        }
    }

    /// Nothing of the environment but what is named, which holds no secrets.
    fn command(&self, variables: &[(&str, String)]) -> Command {
        let kept = VARIABLES
            .iter()
            .filter_map(|name| Some((*name, std::env::var_os(name)?)));
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(kept)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// A child under way. Dropped, it is killed.
pub struct Conversation {
    child: Child,
    /// Stays open as long as the child is wanted.
    pub input: ChildStdin,
    pub output: ChildStdout,
}

impl Conversation {
    /// Waits until the child ends by itself, and returns why.
    pub async fn ended(&mut self) -> Result<(), Stopped> {
        let status = self.child.wait().await.map_err(Stopped::NotStarted)?;
        let mut words = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            // What it said until it went is what counts.
            let _ = stderr.take(WORDS_BYTES).read_to_end(&mut words).await;
        }
        judge(status, String::from_utf8_lossy(&words).trim())
    }

    /// Returns once the child is gone, whatever it was doing.
    pub async fn kill(&mut self) {
        let is_gone = self.child.id().is_none();
        if !is_gone && let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "a child process can't be killed");
        }
    }
}

fn judge(status: ExitStatus, words: &str) -> Result<(), Stopped> {
    if status.success() {
        return Ok(());
    }
    let is_out_of_memory = [
        "memory allocation of",
        "Cannot allocate memory",
        "failed to spawn thread",
        "os error 11",
    ]
    .iter()
    .any(|sign| words.contains(sign));
    match (status.code(), status.signal()) {
        (_, Some(signal)) if signal == rustix::process::Signal::XCPU.as_raw() => Err(Stopped::Cpu),
        (_, Some(signal)) if signal == rustix::process::Signal::XFSZ.as_raw() => {
            Err(Stopped::FileSize)
        }
        (_, Some(signal)) if signal == rustix::process::Signal::KILL.as_raw() => {
            Err(Stopped::Killed)
        }
        _ if is_out_of_memory => Err(Stopped::Memory),
        (Some(code), _) if code == i32::from(REFUSED) => Err(Stopped::Refused(words.to_owned())),
        _ if words.contains("overflowed its stack") => {
            Err(Stopped::Crashed("its stack was not enough".to_owned()))
        }
        _ => {
            let first = words
                .lines()
                .find(|line| !line.trim().is_empty())
                .unwrap_or_default();
            let first: String = first.chars().take(300).collect();
            Err(Stopped::Crashed(if first.is_empty() {
                status.to_string()
            } else {
                format!("{status}: {first}")
            }))
        }
    }
}
