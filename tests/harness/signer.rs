//! A key that signs components, by minisign itself.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

pub struct Signer {
    folder: TempDir,
}

impl Signer {
    pub fn new() -> Self {
        let signer = Self {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
        };
        // Without a password.
        signer.minisign(&["-G", "-W", "-p", "key.pub", "-s", "key"]);
        signer
    }

    /// Returns the key as in `trust.keys`.
    pub fn public_key(&self) -> String {
        let text =
            std::fs::read_to_string(self.folder.path().join("key.pub")).expect("minisign wrote it");
        text.lines()
            .nth(1)
            .expect("the second line is the key")
            .to_owned()
    }

    /// The text of the `.minisig` file.
    pub fn sign(&self, component: &[u8]) -> String {
        std::fs::write(self.folder.path().join("component"), component)
            .expect("the folder is ours");
        self.minisign(&["-S", "-s", "key", "-m", "component"]);
        std::fs::read_to_string(self.folder.path().join("component.minisig"))
            .expect("minisign wrote it")
    }

    fn minisign(&self, arguments: &[&str]) {
        run(self.folder.path(), arguments);
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

fn run(folder: &Path, arguments: &[&str]) {
    let output = Command::new("minisign")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("minisign can be started; `make test` installs it");
    assert!(
        output.status.success(),
        "minisign {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
