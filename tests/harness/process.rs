//! Signals for processes we started.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

/// Asks it to end and waits; a process that does not is killed and a failure.
pub async fn terminate(child: &mut Child, patience: Duration) -> std::process::ExitStatus {
    let Some(pid) = child.id() else {
        return child.wait().await.expect("the process was started by us");
    };
    signal(pid, "TERM").await;
    match tokio::time::timeout(patience, child.wait()).await {
        Ok(status) => status.expect("the process was started by us"),
        Err(_) => {
            child.kill().await.expect("the process is ours to kill");
            panic!(
                "process {pid} did not end within {} s of SIGTERM",
                patience.as_secs()
            );
        }
    }
}

pub async fn signal(pid: u32, name: &str) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{name} {pid}")])
        .stdin(Stdio::null())
        .status()
        .await
        .expect("`sh` is there");
    assert!(
        status.success(),
        "could not send SIG{name} to process {pid}"
    );
}
