//! The kernel alone: a database without any setting that guards it, and plain calls of the system,
//! in a process that has entered the sandbox of statements.

use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use duckdb::Connection;
use serde_json::{Map, Value, json};

use crate::child::Sandbox;
use crate::store::results::query::of_database;

const AS_CONFINED: &str = "as-the-confined-process";

/// What the process finds: each deed with its error, or null where it could be done.
type Deeds = Map<String, Value>;

#[test]
fn the_confined_process_of_these_tests_tries_what_it_must_not() {
    let Some(folder) = std::env::args()
        .skip_while(|argument| argument != AS_CONFINED)
        .nth(1)
    else {
        return;
    };
    let deeds = confined(Path::new(&folder));
    // What the folder for sorts takes is all that leaves the process.
    let found = Path::new(&folder).join("spill/deeds.json");
    std::fs::write(found, Value::Object(deeds).to_string()).unwrap();
    std::process::exit(0);
}

fn confined(folder: &Path) -> Deeds {
    let sealed = folder.join("sealed.parquet");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let spill = folder.join("spill");
    Sandbox::Full
        .enter([sealed.as_path()].into_iter().chain(of_database()), &spill)
        .unwrap();
    let mut deeds = Deeds::new();
    let mut note = |deed: &str, done: Result<(), String>| {
        deeds.insert(deed.to_owned(), json!(done.err()));
    };
    let text = |error: std::io::Error| error.to_string();
    note(
        "read the sealed file",
        std::fs::read(&sealed).map(drop).map_err(text),
    );
    note(
        "write for a sort",
        std::fs::write(spill.join("x"), "x").map_err(text),
    );
    note(
        "remove after a sort",
        std::fs::remove_file(spill.join("x")).map_err(text),
    );
    let thread = std::thread::Builder::new().spawn(|| ());
    note("start a thread", thread.map(drop).map_err(text));
    for (deed, done) in [
        (
            "write the sealed file",
            std::fs::write(&sealed, "x").map_err(text),
        ),
        (
            "remove the sealed file",
            std::fs::remove_file(&sealed).map_err(text),
        ),
        (
            "move the sealed file",
            std::fs::rename(&sealed, spill.join("y")).map_err(text),
        ),
        (
            "link the sealed file",
            std::fs::hard_link(&sealed, spill.join("y")).map_err(text),
        ),
        (
            "read /etc/passwd",
            std::fs::read("/etc/passwd").map(drop).map_err(text),
        ),
        (
            "read /proc/self/environ",
            std::fs::read("/proc/self/environ").map(drop).map_err(text),
        ),
        (
            "read /proc/self/mem",
            std::fs::read("/proc/self/mem").map(drop).map_err(text),
        ),
        (
            "read another file",
            std::fs::read(folder.join("other")).map(drop).map_err(text),
        ),
        (
            "list a folder",
            std::fs::read_dir(folder).map(drop).map_err(text),
        ),
        (
            "write a file",
            std::fs::write(folder.join("new"), "x").map_err(text),
        ),
        (
            "write in /tmp",
            std::fs::write(std::env::temp_dir().join("extrack-new"), "x").map_err(text),
        ),
        (
            "connect",
            TcpStream::connect(address).map(drop).map_err(text),
        ),
        (
            "listen",
            TcpListener::bind("127.0.0.1:0").map(drop).map_err(text),
        ),
        (
            "send datagrams",
            UdpSocket::bind("127.0.0.1:0").map(drop).map_err(text),
        ),
        (
            "connect in the file system",
            UnixStream::pair().map(drop).map_err(text),
        ),
        (
            "start a program",
            Command::new("/bin/true").status().map(drop).map_err(text),
        ),
    ] {
        note(deed, done);
    }
    for (deed, sql) in statements(folder) {
        let database = Connection::open_in_memory().unwrap();
        let done = database
            .execute_batch(&sql)
            .map_err(|error| error.to_string());
        note(deed, done);
    }
    let parent = rustix::process::getppid().unwrap();
    let killed = rustix::process::test_kill_process(parent);
    note(
        "reach its parent",
        killed.map_err(|error| error.to_string()),
    );
    deeds
}

fn statements(folder: &Path) -> Vec<(&'static str, String)> {
    let path = |name: &str| folder.join(name).display().to_string();
    let (sealed, other, new) = (path("sealed.parquet"), path("other"), path("new"));
    vec![
        (
            "SELECT from the sealed file",
            format!("SELECT * FROM read_parquet('{sealed}')"),
        ),
        (
            "SELECT with threads",
            "SELECT sum(range) FROM range(10000000)".to_owned(),
        ),
        (
            "COPY over the sealed file",
            format!("COPY (SELECT 1) TO '{sealed}' (FORMAT parquet)"),
        ),
        ("COPY to a file", format!("COPY (SELECT 1) TO '{new}.csv'")),
        ("EXPORT DATABASE", format!("EXPORT DATABASE '{new}'")),
        (
            "ATTACH a database",
            format!("ATTACH '{new}.duckdb' AS o; CREATE TABLE o.t (a INTEGER)"),
        ),
        (
            "SELECT from a file",
            format!("SELECT * FROM read_text('{other}')"),
        ),
        (
            "SELECT from /etc/passwd",
            "SELECT * FROM read_text('/etc/passwd')".to_owned(),
        ),
        (
            "SELECT from the environment",
            "SELECT * FROM read_blob('/proc/self/environ')".to_owned(),
        ),
        ("LOAD an extension", format!("LOAD '{other}'")),
    ]
}

/// What has to work in the sandbox.
const ALLOWED: [&str; 6] = [
    "read the sealed file",
    "write for a sort",
    "remove after a sort",
    "start a thread",
    "SELECT from the sealed file",
    "SELECT with threads",
];

#[test]
fn the_kernel_holds_without_the_gate_and_without_the_settings_of_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("spill")).unwrap();
    std::fs::write(path("other"), "secret").unwrap();
    let sealed = path("sealed.parquet");
    let database = Connection::open_in_memory().unwrap();
    database
        .execute_batch(&format!("COPY (SELECT 42 AS n) TO '{}'", sealed.display()))
        .unwrap();
    let before = std::fs::read(&sealed).unwrap();
    let name = concat!(
        "store::results::tests::kernel::",
        "the_confined_process_of_these_tests_tries_what_it_must_not"
    );
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", name, AS_CONFINED])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut words)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{words}");
    let deeds = std::fs::read_to_string(path("spill/deeds.json")).unwrap();
    let deeds: Deeds = serde_json::from_str(&deeds).unwrap();
    for (deed, error) in &deeds {
        assert_eq!(
            error.is_null(),
            ALLOWED.contains(&deed.as_str()),
            "{deed}: {error}"
        );
    }
    assert!(deeds.len() > 25, "{deeds:?}");
    assert_eq!(std::fs::read(&sealed).unwrap(), before);
    assert!(!path("new").exists() && !path("new.csv").exists());
}
