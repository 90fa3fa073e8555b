//! Clients of the PostgreSQL protocol: programs of others, run as people run them.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::readers::PATIENCE;
use crate::runtime::TOKEN;
use crate::{Said, TestRuntime};

impl TestRuntime {
    /// Returns the port on which the PostgreSQL protocol is spoken.
    pub fn wire_port(&self) -> u16 {
        let printed = self.printed();
        let line = printed
            .iter()
            .rev()
            .find_map(|line| line.strip_prefix("PostgreSQL protocol on "));
        let address = line.unwrap_or_else(|| panic!("no address is printed: {printed:?}"));
        let port = address.trim().rsplit(':').next();
        port.and_then(|port| port.parse().ok())
            .expect("an address ends with its port")
    }

    /// Runs psql with the admin token, and these arguments.
    pub async fn psql(&self, arguments: &[&str]) -> Said {
        self.psql_as(TOKEN, arguments).await
    }

    pub async fn psql_as(&self, token: &str, arguments: &[&str]) -> Said {
        let mut command = Command::new("psql");
        command
            .args(["--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname"])
            .arg(format!(
                "host=127.0.0.1 port={} dbname=extrack user=anybody",
                self.wire_port()
            ))
            .args(arguments)
            .env("PGPASSWORD", token);
        said(command, "psql").await
    }

    /// Runs a script with Debian's Python; it gets host, port and token.
    pub async fn python(&self, script: &str) -> Said {
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg("-c")
            .arg(script)
            .arg(self.wire_port().to_string())
            .arg(TOKEN);
        said(command, "python3").await
    }

    /// Runs a Java program of one file with PostgreSQL's JDBC driver; it gets host, port and token.
    pub async fn java(&self, file: &str) -> Said {
        let mut command = Command::new("java");
        command
            .args(["-Xmx256m", "-cp", "/usr/share/java/postgresql.jar"])
            .arg(file)
            .arg(self.wire_port().to_string())
            .arg(TOKEN);
        said(command, "java").await
    }
}

pub(crate) async fn said(command: Command, name: &str) -> Said {
    said_within(command, name, PATIENCE).await
}

pub(crate) async fn said_within(mut command: Command, name: &str, patience: Duration) -> Said {
    command
        .stdin(Stdio::null())
        .env("LC_ALL", "C.UTF-8")
        .kill_on_drop(true);
    let output = tokio::time::timeout(patience, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("`{name}` did not end"));
    let output =
        output.unwrap_or_else(|error| panic!("`{name}` can't run ({error}); `make setup-test`"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said {
        code: output.status.code(),
        out: text(&output.stdout),
        err: text(&output.stderr),
    }
}
