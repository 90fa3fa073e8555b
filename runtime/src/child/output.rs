//! A child whose output and whose code are its answer.

use std::ffi::OsString;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Program, Stopped, WORDS_BYTES, judge};

/// Limit of what is kept of a child's output.
const OUTPUT_BYTES: u64 = 64 << 10;
/// Time in which what was written until the child's end is read.
const GRACE: Duration = Duration::from_millis(500);

/// End of a child, and its output.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub output: Vec<u8>,
    pub errors: Vec<u8>,
}

impl Program {
    /// Returns the program with more arguments behind its own.
    pub fn with(mut self, arguments: impl IntoIterator<Item = OsString>) -> Self {
        self.arguments.extend(arguments);
        self
    }

    /// Runs the child to its end, without input. What it started ends with it, also when the time is
    /// over and when this is dropped before.
    pub async fn output(&self, wall_clock: Duration) -> Result<Output, Stopped> {
        let mut command = self.command(&[]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(Stopped::NotStarted)?;
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let group = Group(group.and_then(Pid::from_raw));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let status = {
            let mut reading = pin!(async {
                tokio::join!(
                    keep(stdout, OUTPUT_BYTES, &mut output),
                    keep(stderr, WORDS_BYTES, &mut errors)
                )
            });
            let mut is_read = false;
            let ended = tokio::time::timeout(wall_clock, async {
                loop {
                    tokio::select! {
                        status = child.wait() => return status,
                        _ = &mut reading, if !is_read => is_read = true,
                    }
                }
            });
            let status = ended.await.map_err(|_| Stopped::WallClock)?;
            // What it left behind may hold its output open, and ends now.
            drop(group);
            if !is_read {
                // Something that left the group may still hold it: then what came is what counts.
                let _ = tokio::time::timeout(GRACE, reading).await;
            }
            status.map_err(Stopped::NotStarted)?
        };
        match status.code() {
            Some(code) => Ok(Output {
                code,
                output,
                errors,
            }),
            None => {
                judge(status, String::from_utf8_lossy(&errors).trim())?;
                Err(Stopped::Crashed(status.to_string()))
            }
        }
    }
}

/// Reads what fits, and the rest to nowhere: a program that can't write would end by that.
async fn keep(from: Option<impl AsyncRead + Unpin>, most: u64, bytes: &mut Vec<u8>) {
    let Some(from) = from else {
        return;
    };
    let mut first = from.take(most);
    // What was written until it went is what counts.
    while let Ok(1..) = first.read_buf(bytes).await {}
    let _ = tokio::io::copy(&mut first.into_inner(), &mut tokio::io::sink()).await;
}

/// Programs that a child has started, and itself; they are killed when this is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    async fn shell(script: &str) -> Output {
        let program = Program::new("/bin/sh".into(), ["-c".into(), script.into()]);
        program.output(PATIENCE).await.unwrap()
    }

    #[tokio::test]
    async fn a_child_that_ended_is_not_waited_for_though_it_left_one_that_holds_its_output() {
        let found = shell("sleep 600 & echo done; echo words >&2; exit 3").await;
        assert_eq!(found.code, 3);
        assert_eq!(found.output, b"done\n");
        assert_eq!(found.errors, b"words\n");
    }

    #[tokio::test]
    async fn what_a_child_left_behind_ends_with_it() {
        let found = shell("sleep 600 >/dev/null 2>&1 & echo $!").await;
        let number = String::from_utf8(found.output).unwrap();
        let line = format!("/proc/{}/cmdline", number.trim());
        // An ended process has no command line, even before its exit code is read.
        let runs = || std::fs::read(&line).is_ok_and(|line| !line.is_empty());
        let ended = async {
            while runs() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, ended).await;
        assert!(ended.is_ok(), "{line} is still there");
    }

    #[tokio::test]
    async fn output_beyond_the_limit_is_read_to_nowhere() {
        let found = shell("head -c 200000 /dev/zero").await;
        assert_eq!((found.code, found.output.len()), (0, 64 << 10));
    }
}
