//! Programs that write a secret, and those that fail.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::spec::DurationSpec;

struct Stage {
    folder: tempfile::TempDir,
    commands: SecretCommands,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("services.yaml"), "").unwrap();
        Self {
            folder,
            commands: SecretCommands::default(),
        }
    }

    fn sources(&self) -> Sources<'_> {
        Sources {
            folder: self.folder.path(),
            file: "services.yaml",
            commands: Some(&self.commands),
        }
    }

    fn value(&self, spec: &SecretCommandSpec) -> (Result<String, String>, Vec<String>) {
        let mut kept = Vec::new();
        run_all([spec].into_iter(), self.sources());
        let found = value(spec, self.sources(), |text| kept.push(text));
        (found, kept)
    }
}

fn spec(words: &[&str]) -> SecretCommandSpec {
    SecretCommandSpec {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        timeout: None,
        every: None,
    }
}

fn script(text: &str) -> SecretCommandSpec {
    spec(&["/bin/sh", "-c", text, "sh", "two words"])
}

fn duration(text: &str) -> Option<DurationSpec> {
    Some(serde_json::from_value(text.into()).unwrap())
}

#[test]
fn a_program_writes_a_secret_without_a_shell_and_with_next_to_no_environment() {
    let stage = Stage::new();
    let found = stage.value(&script(
        "printf '%s|%s|%s\\n' \"$1\" \"$PATH\" \"${CARGO_PKG_NAME-unset}\"",
    ));
    assert_eq!(
        found.0.unwrap(),
        "two words|/usr/local/bin:/usr/bin:/bin|unset"
    );
}

#[test]
fn what_goes_wrong_is_named_and_no_message_of_the_program_is() {
    let stage = Stage::new();
    for (spec, wanted) in [
        (
            script("echo s3cret >&2; echo s3cret; exit 3"),
            "ended with exit status: 3 and 7 bytes of messages",
        ),
        (script("true"), "writes nothing"),
        (script("printf '\\377'"), "writes no text in UTF-8"),
        (
            script("head -c 70000 /dev/zero"),
            "writes more than 65536 bytes",
        ),
        (spec(&["/nowhere/at-all"]), "can't be started"),
        (spec(&["cat"]), "by its absolute path"),
        (spec(&[]), "has no program"),
        (
            SecretCommandSpec {
                timeout: duration("2h"),
                ..spec(&["/bin/cat"])
            },
            "has a `timeout` that is not between",
        ),
        (
            SecretCommandSpec {
                timeout: duration("200ms"),
                ..script("sleep 30; echo late")
            },
            "did not end within 200 ms",
        ),
    ] {
        let error = stage.value(&spec).0.unwrap_err();
        assert!(error.contains(wanted), "{spec:?}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn the_last_value_stays_in_use_while_the_program_fails_and_that_is_said() {
    let stage = Stage::new();
    let file = stage.folder.path().join("value");
    std::fs::write(&file, "f1rst\n").unwrap();
    let spec = SecretCommandSpec {
        every: duration("10m"),
        ..spec(&["/bin/cat", file.to_str().unwrap()])
    };
    assert_eq!(stage.value(&spec), (Ok("f1rst".to_owned()), vec![]));
    let age = || {
        let mut entries = stage.commands.lock();
        for entry in entries.values_mut() {
            entry.asked -= Duration::from_secs(660);
        }
    };
    assert!(!stage.commands.refresh(), "nothing is due");
    std::fs::write(&file, "s3cond\n").unwrap();
    assert_eq!(stage.value(&spec).0.unwrap(), "f1rst", "it is not due");
    age();
    assert!(stage.commands.refresh());
    assert_eq!(stage.value(&spec).0.unwrap(), "s3cond");
    std::fs::remove_file(&file).unwrap();
    age();
    assert!(!stage.commands.refresh());
    assert_eq!(stage.commands.failing(), 1);
    let (found, kept) = stage.value(&spec);
    assert_eq!(found.unwrap(), "s3cond");
    assert!(
        kept[0].contains("ended with exit status: 1") && kept[0].contains("stays in use"),
        "{kept:?}"
    );
    assert!(stage.commands.next_due().is_some());
    run_all([].into_iter(), stage.sources());
    assert_eq!(stage.commands.next_due(), None, "no file names it any more");
}

#[test]
fn a_value_that_changed_is_reported_until_its_own_file_is_read() {
    let stage = Stage::new();
    let file = stage.folder.path().join("value");
    std::fs::write(&file, "f1rst\n").unwrap();
    let spec = SecretCommandSpec {
        every: duration("10m"),
        ..spec(&["/bin/cat", file.to_str().unwrap()])
    };
    assert_eq!(stage.value(&spec).0.unwrap(), "f1rst");
    std::fs::write(&file, "s3cond\n").unwrap();
    for entry in stage.commands.lock().values_mut() {
        entry.asked -= Duration::from_secs(660);
    }
    assert!(stage.commands.refresh());
    assert!(!stage.commands.refresh(), "not all the time");
    let other = Sources {
        file: "plugins.yaml",
        ..stage.sources()
    };
    run_all([].into_iter(), other);
    stage
        .commands
        .changed()
        .values_mut()
        .for_each(|next| *next -= AGAIN);
    assert!(stage.commands.refresh(), "another file was read");
    stage.value(&spec).0.unwrap();
    stage
        .commands
        .changed()
        .values_mut()
        .for_each(|next| *next -= AGAIN);
    assert!(!stage.commands.refresh());
}

#[test]
fn no_program_is_run_for_a_file_that_others_may_change() {
    let stage = Stage::new();
    let spec = script("echo s3cret");
    let file = stage.folder.path().join("services.yaml");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o664)).unwrap();
    let error = stage.value(&spec).0.unwrap_err();
    assert!(error.contains("`chmod go-w"), "{error}");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(stage.value(&spec).0.unwrap(), "s3cret");
}
