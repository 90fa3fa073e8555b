//! One run of a program that writes a secret: no shell, no input, a bounded output, an end in time,
//! and of the environment only where programs and the user's files are.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use secrecy::SecretString;

/// Longest output.
const OUTPUT_BYTES: u64 = 64 << 10;
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Time to count the messages of a program that has ended.
const MESSAGES_WITHIN: Duration = Duration::from_secs(1);
/// Interval of the checks whether a program that closed its output has ended.
const POLL: Duration = Duration::from_millis(5);

/// Returns what the program wrote, without the line break at its end. The error repeats nothing of
/// it, and nothing of its messages: they may hold the secret.
pub(super) fn run(words: &[String], timeout: Duration) -> Result<SecretString, String> {
    let deadline = Instant::now() + timeout;
    let late = || format!("did not end within {} ms", timeout.as_millis());
    let (program, arguments) = words.split_first().ok_or("has no program")?;
    let mut child = Running::start(program, arguments)?;
    let (output, errors) = (child.0.stdout.take(), child.0.stderr.take());
    let (sender, written) = channel();
    let (count, counted) = channel();
    std::thread::spawn(move || {
        let read = errors.map(|mut errors| std::io::copy(&mut errors, &mut std::io::sink()));
        // The one who waits may have given up.
        let _ = count.send(read.and_then(Result::ok).unwrap_or_default());
    });
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.map(|output| output.take(OUTPUT_BYTES + 1).read_to_end(&mut bytes));
        // The one who waits may have given up.
        let _ = sender.send(read.unwrap_or(Ok(0)).map(|_| bytes));
    });
    let wait = deadline.saturating_duration_since(Instant::now());
    let bytes = match written.recv_timeout(wait) {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(format!("can't be read: {error}")),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Err(late()),
    };
    if bytes.len() as u64 > OUTPUT_BYTES {
        return Err(format!("writes more than {OUTPUT_BYTES} bytes"));
    }
    let status = child.wait(deadline)?.ok_or_else(late)?;
    if !status.success() {
        drop(child);
        // What it started in a session of its own may hold the pipe for ever.
        let errors = counted.recv_timeout(MESSAGES_WITHIN);
        let errors = errors.map_or("some".to_owned(), |bytes| format!("{bytes} bytes of"));
        return Err(format!(
            "ended with {status} and {errors} messages, which are not shown"
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| "writes no text in UTF-8".to_owned())?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("writes nothing".to_owned()),
        secret => Ok(secret.to_owned().into()),
    }
}

/// A program and those that it started, which end with it.
struct Running(Child);

impl Running {
    fn start(program: &str, arguments: &[String]) -> Result<Self, String> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in ["HOME", "USER", "LANG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let started = command.spawn();
        started
            .map(Self)
            .map_err(|error| format!("can't be started: {error}"))
    }

    fn wait(&mut self, deadline: Instant) -> Result<Option<ExitStatus>, String> {
        loop {
            match self.0.try_wait() {
                Ok(Some(status)) => return Ok(Some(status)),
                Ok(None) if Instant::now() >= deadline => return Ok(None),
                Ok(None) => std::thread::sleep(POLL),
                Err(error) => return Err(format!("can't be waited for: {error}")),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = i32::try_from(self.0.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
