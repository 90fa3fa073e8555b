//! The program under test, in a folder of its own: started, stopped, killed and started again on
//! the same data.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::api::Api;
use crate::disk::SmallDisk;
use crate::names::Names;
use crate::process;
use crate::program::program;
use crate::warm;

pub const TOKEN: &str = "test-token-0123456789abcdef0123456789abcdef";

/// A first start compiles the bundled plugins, in a debug build, beside other tests.
const START: Duration = Duration::from_secs(300);

/// Longer than the program's own grace period.
const STOP: Duration = Duration::from_secs(30);

/// Output of a command, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

#[derive(Debug, Default)]
pub struct Builder {
    services: Option<String>,
    alerts: Option<String>,
    plugins_yaml: Option<String>,
    files: Vec<(String, Vec<u8>)>,
    env: Vec<(String, String)>,
    is_demo: bool,
    has_no_token: bool,
    file_limit: Option<u32>,
    disk_megabytes: Option<u32>,
}

impl Builder {
    /// The data folder lies on a disk of this size, and `control.sqlite` is a link to another one.
    pub fn small_disk(mut self, megabytes: u32) -> Self {
        self.disk_megabytes = Some(megabytes);
        self
    }

    /// So many file descriptors and no more.
    pub fn file_limit(mut self, descriptors: u32) -> Self {
        self.file_limit = Some(descriptors);
        self
    }

    /// The program asks these names, and no other name server.
    pub fn names(self, names: &Names) -> Self {
        self.env("EXTRACK_NAMESERVERS", names.address().to_string())
    }

    /// `extrack demo` in place of `extrack serve`.
    pub fn demo(mut self) -> Self {
        self.is_demo = true;
        self
    }

    /// Starts without `EXTRACK_ADMIN_TOKEN`: the program makes a token.
    pub fn without_token(mut self) -> Self {
        self.has_no_token = true;
        self
    }

    /// `services.yaml`
    pub fn services(mut self, yaml: impl Into<String>) -> Self {
        self.services = Some(yaml.into());
        self
    }

    /// `alerts.yaml`
    pub fn alerts(mut self, yaml: impl Into<String>) -> Self {
        self.alerts = Some(yaml.into());
        self
    }

    /// `plugins.yaml`
    pub fn plugins_yaml(mut self, yaml: impl Into<String>) -> Self {
        self.plugins_yaml = Some(yaml.into());
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// A file in the watched folder of plugins.
    pub fn plugin(mut self, name: &str, component: Vec<u8>) -> Self {
        self.files.push((name.to_owned(), component));
        self
    }

    /// Prepares everything and starts nothing.
    pub fn prepare(self) -> TestRuntime {
        let folder = tempfile::Builder::new()
            .prefix("extrack-test-")
            .tempdir()
            .expect("a temporary folder can be made");
        let mut env = self.env;
        if !self.has_no_token {
            env.insert(0, ("EXTRACK_ADMIN_TOKEN".to_owned(), TOKEN.to_owned()));
        }
        let mut runtime = TestRuntime {
            folder,
            env,
            is_demo: self.is_demo,
            file_limit: self.file_limit,
            process: None,
            url: String::new(),
            printed: Arc::default(),
            disk: None,
        };
        for folder in [runtime.config(), runtime.data(), runtime.plugins()] {
            std::fs::create_dir(folder).expect("a fresh folder can be filled");
        }
        if let Some(megabytes) = self.disk_megabytes {
            runtime.disk = Some(SmallDisk::mount(&runtime.data(), megabytes));
            std::fs::create_dir(runtime.control()).expect("a fresh folder can be filled");
            let control = runtime.control().join("control.sqlite");
            std::os::unix::fs::symlink(control, runtime.data().join("control.sqlite"))
                .expect("a link can be made");
            // What other tests have compiled would fill it.
            let compiled = runtime.folder.path().join("compiled");
            std::fs::create_dir_all(&compiled).expect("a fresh folder can be filled");
            std::fs::create_dir(runtime.data().join("plugins")).expect("a fresh disk has room");
            std::os::unix::fs::symlink(compiled, runtime.data().join("plugins/compiled"))
                .expect("a link can be made");
        }
        // The demo shows what a start from nothing is like.
        if !self.is_demo {
            warm::warm(&runtime.data());
        }
        for (name, yaml) in [
            ("services.yaml", &self.services),
            ("alerts.yaml", &self.alerts),
            ("plugins.yaml", &self.plugins_yaml),
        ] {
            if let Some(yaml) = yaml {
                std::fs::write(runtime.config().join(name), yaml)
                    .expect("a fresh folder can be filled");
            }
        }
        for (name, bytes) in &self.files {
            std::fs::write(runtime.plugins().join(name), bytes)
                .expect("a fresh folder can be filled");
        }
        runtime
    }

    /// Starts the program and waits until it is ready.
    pub async fn start(self) -> TestRuntime {
        let mut runtime = self.prepare();
        runtime.start().await;
        runtime
    }
}

pub struct TestRuntime {
    env: Vec<(String, String)>,
    is_demo: bool,
    file_limit: Option<u32>,
    process: Option<Child>,
    url: String,
    printed: Arc<Mutex<Vec<String>>>,
    /// Disk; before the folder, so that it is unmounted first.
    disk: Option<SmallDisk>,
    folder: TempDir,
}

impl TestRuntime {
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The disk of [`Builder::small_disk`].
    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().expect("the test asked for a small disk")
    }

    /// Where `control.sqlite` lies if the data folder is a small disk.
    pub fn control(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    /// The watched folder.
    pub fn plugins(&self) -> PathBuf {
        self.folder.path().join("plugins.d")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Address of the running program; another after each start.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns a client with the admin token.
    pub fn api(&self) -> Api {
        Api::new(&self.url, Some(TOKEN))
    }

    pub fn pid(&self) -> u32 {
        self.process
            .as_ref()
            .and_then(Child::id)
            .expect("the program is running")
    }

    /// Returns its standard error, over all starts.
    pub fn logs(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Returns its standard output, over all starts.
    pub fn printed(&self) -> Vec<String> {
        self.printed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until it reports that it is ready.
    pub async fn start(&mut self) {
        self.start_with(&[]).await;
    }

    /// The same with more arguments.
    pub async fn start_with(&mut self, arguments: &[&str]) {
        let mut process = self.spawn(arguments);
        let stdout = process.stdout.take().expect("standard output is piped");
        self.process = Some(process);
        let mut lines = BufReader::new(stdout).lines();
        let url = tokio::time::timeout(START, async {
            while let Some(line) = lines.next_line().await.expect("standard output is text") {
                keep(&self.printed, &line);
                if let Some(url) = line.strip_prefix("listening on ") {
                    return Some(url.trim().trim_end_matches('/').to_owned());
                }
            }
            None
        })
        .await;
        match url {
            Ok(Some(url)) => {
                self.url = url;
                warm::keep(&self.data());
            }
            Ok(None) => panic!(
                "the program ended instead of listening; its log:\n{}",
                tail(&self.logs())
            ),
            Err(_) => {
                panic!(
                    "the program was not ready within {} s; its log:\n{}",
                    START.as_secs(),
                    tail(&self.logs())
                )
            }
        }
        // The program must not wait because the pipe is full.
        let printed = self.printed.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep(&printed, &line);
            }
        });
    }

    /// Starts it without waiting for it to be ready.
    pub fn start_unready(&mut self) {
        self.process = Some(self.spawn(&[]));
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        assert!(self.process.is_none(), "the program is running already");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .expect("a log can be written");
        let mut command = self.command_of(match self.file_limit {
            Some(descriptors) => with_file_limit(descriptors),
            None => Command::new(program()),
        });
        if self.is_demo {
            command.arg("demo");
        } else {
            command
                .arg("serve")
                .arg("--config")
                .arg(self.config())
                .arg("--plugins")
                .arg(self.plugins());
        }
        command
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(self.data())
            .args(arguments);
        command.stdout(Stdio::piped()).stderr(log);
        command.spawn().expect("the program can be started")
    }

    /// Sets a clean environment: the test's variables, and none of the caller's.
    fn command(&self) -> Command {
        self.command_of(Command::new(program()))
    }

    fn command_of(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .current_dir(self.folder.path());
        for kept in ["PATH", "HOME", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        let log = std::env::var("EXTRACK_LOG").unwrap_or_else(|_| "info".to_owned());
        command
            .env("EXTRACK_LOG", log)
            .envs(self.env.iter().cloned());
        command
    }

    /// `SIGTERM`, and the exit status.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the program is running");
        process::terminate(&mut process, STOP).await
    }

    /// Sends `SIGKILL`: the program can clean up nothing.
    pub async fn kill(&mut self) {
        let mut process = self.process.take().expect("the program is running");
        process.kill().await.expect("the process is ours to kill");
    }

    /// Lets it crash, with the core files that this process and the program allow, in its working
    /// folder.
    pub async fn crash(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the program is running");
        let pid = process.id().expect("the program is running");
        let unlimited = Command::new("prlimit")
            .args(["--core=unlimited", "--pid", &pid.to_string()])
            .status()
            .await
            .expect("`prlimit` is there");
        assert!(unlimited.success(), "no limit for core files: {unlimited}");
        process::signal(pid, "ABRT").await;
        let ended = tokio::time::timeout(STOP, process.wait()).await;
        ended
            .expect("a process ends of SIGABRT")
            .expect("the process was started by us")
    }

    pub async fn restart(&mut self) {
        let status = self.stop().await;
        assert!(
            status.success(),
            "ended with {status}; its log:\n{}",
            tail(&self.logs())
        );
        self.start().await;
    }

    /// Another process of the program, with the server's address and token in its environment.
    pub async fn cli<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Said {
        let mut command = self.cli_command(arguments);
        said(command.output()).await
    }

    /// Sends `SIGINT` to a command, as Ctrl-C does, once `when` is done.
    pub async fn cli_interrupted<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a str>,
        when: impl Future<Output = ()>,
    ) -> Said {
        self.cli_signalled(arguments, "INT", when).await
    }

    /// Sends `SIGKILL` to a command once `when` is done; it may have ended by then.
    pub async fn cli_killed<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a str>,
        when: impl Future<Output = ()>,
    ) -> Said {
        self.cli_signalled(arguments, "KILL", when).await
    }

    async fn cli_signalled<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a str>,
        signal: &str,
        when: impl Future<Output = ()>,
    ) -> Said {
        let mut command = self.cli_command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("the program can be started");
        let pid = child.id().expect("it runs");
        when.await;
        process::signal(pid, signal).await;
        said(child.wait_with_output()).await
    }

    fn cli_command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        // Before it is started: nothing listens on the discard port.
        let server = if self.url.is_empty() {
            "http://127.0.0.1:9"
        } else {
            &self.url
        };
        let mut command = self.command();
        command
            .args(arguments)
            .env("EXTRACK_SERVER", server)
            .env("EXTRACK_TOKEN", TOKEN);
        command
    }

    pub async fn check_config(&self) -> Said {
        let config = self.config();
        self.cli(["check-config", "--config", text(&config)]).await
    }
}

async fn said(output: impl Future<Output = std::io::Result<Output>>) -> Said {
    let output = tokio::time::timeout(START, output)
        .await
        .expect("a command ends");
    let output = output.expect("the program can be started");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Soft and hard limit; the process stays the same one.
fn with_file_limit(descriptors: u32) -> Command {
    let mut command = Command::new("prlimit");
    command
        .arg(format!("--nofile={descriptors}:{descriptors}"))
        .arg(program());
    command
}

/// A temporary folder's path is plain text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

fn keep(printed: &Mutex<Vec<String>>, line: &str) {
    printed
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(line.to_owned());
}

fn tail(log: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

impl Drop for TestRuntime {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the program's log\n{}\n---", tail(&self.logs()));
        }
    }
}
