use super::*;
use crate::compile::clean_environment;

const BUILD: (&str, &[&str]) = ("build", &["--lib", "--message-format=json"]);
const TEST: (&str, &[&str]) = ("test", &["--no-run", "--message-format=json"]);

/// A folder with projects, and the target folder that they share.
struct Projects(tempfile::TempDir);

impl Projects {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a project with the package `quota` and a copy of an SDK, both older than any build.
    fn write(&self, project: &str, sdk: &str) {
        let manifest = "[package]\nname = \"quota\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
             [dependencies]\nsdk = { path = \".copy/sdk\" }\n[workspace]\nexclude = [\".copy\"]\n";
        let source = format!(
            "#[unsafe(no_mangle)]\npub extern \"C\" fn project() -> *const u8 {{ \"project {project};\".as_ptr() }}\n\
             #[unsafe(no_mangle)]\npub extern \"C\" fn sdk() -> *const u8 {{ sdk::name().as_ptr() }}\n\
             #[test]\nfn prints() {{ println!(\"project {project}; {{}}\", sdk::name()) }}\n"
        );
        let sdk_manifest = "[package]\nname = \"sdk\"\nedition = \"2024\"\n[workspace]\n";
        let sdk_source = format!("pub fn name() -> &'static str {{ \"sdk {sdk};\" }}\n");
        for (name, text) in [
            ("Cargo.toml", manifest),
            ("src/lib.rs", &source),
            (".copy/sdk/Cargo.toml", sdk_manifest),
            (".copy/sdk/src/lib.rs", &sdk_source),
        ] {
            let path = self.0.path().join(project).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
            File::open(&path).unwrap().set_modified(long_ago).unwrap();
        }
    }

    fn build(&self, project: &str, (subcommand, arguments): (&str, &[&str])) -> Vec<Artifact> {
        let cargo = |subcommand: &str| {
            let mut command = Command::new("cargo");
            clean_environment(&mut command);
            command
                .args([subcommand, "--offline", "--target-dir"])
                .arg(self.0.path().join("target"))
                .current_dir(self.0.path().join(project));
            command
        };
        build(&cargo, subcommand, arguments).unwrap()
    }
}

/// The texts `… NAME;` in what was built of the package `quota`.
fn texts(artifacts: &[Artifact]) -> (String, String) {
    let quota = artifacts
        .iter()
        .find(|artifact| artifact.package == "quota");
    let bytes = std::fs::read(&quota.unwrap().path).unwrap();
    let bytes = String::from_utf8_lossy(&bytes);
    let text = |of: &str| {
        let (_, behind) = bytes.split_once(of).unwrap();
        behind.split_once(';').unwrap().0.to_owned()
    };
    (text("project "), text("sdk "))
}

fn both(project: &str, sdk: &str) -> (String, String) {
    (project.to_owned(), sdk.to_owned())
}

#[test]
fn a_project_never_gets_what_was_compiled_for_another_of_its_name() {
    for what in [BUILD, TEST] {
        let projects = Projects::new();
        projects.write("one", "old");
        projects.write("two", "new");
        for (project, sdk) in [
            ("one", "old"),
            ("two", "new"),
            ("one", "old"),
            ("one", "old"),
        ] {
            let built = projects.build(project, what);
            assert_eq!(texts(&built), both(project, sdk), "{}", what.0);
        }
    }
}

#[test]
fn a_project_with_another_sdk_is_compiled_with_its_own() {
    let projects = Projects::new();
    projects.write("one", "old");
    projects.build("one", BUILD);
    // Only the SDK of the same project changes, as a copy that keeps its times of change does.
    projects.write("one", "new");
    assert_eq!(texts(&projects.build("one", BUILD)), both("one", "new"));
}

#[test]
fn copies_of_one_sdk_are_compiled_once_and_nothing_twice() {
    let projects = Projects::new();
    projects.write("one", "same");
    projects.write("two", "same");
    let are_fresh = |built: Vec<Artifact>| -> Vec<(String, bool)> {
        let fresh = built
            .into_iter()
            .map(|artifact| (artifact.package, artifact.is_fresh));
        fresh.collect()
    };
    let expected = |sdk, quota| [("sdk".to_owned(), sdk), ("quota".to_owned(), quota)];
    assert_eq!(
        are_fresh(projects.build("one", BUILD)),
        expected(false, false)
    );
    assert_eq!(
        are_fresh(projects.build("one", BUILD)),
        expected(true, true)
    );
    assert_eq!(
        are_fresh(projects.build("two", BUILD)),
        expected(true, false)
    );
}

#[test]
fn a_build_waits_for_the_one_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = lock(folder.path(), |line| panic!("{line}")).unwrap();
    let (entered, second) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _lock = lock(folder.path(), |_| {}).unwrap();
            entered.send(()).unwrap();
        });
        // Nothing proves that it waits for ever; that it does not wait at all shows nearly always.
        let soon = std::time::Duration::from_millis(200);
        assert!(second.recv_timeout(soon).is_err());
        drop(first);
        second.recv().unwrap();
    });
}

#[test]
fn packages_of_this_machine_are_found_among_the_messages_of_cargo() {
    let messages = r#"
{"reason":"compiler-artifact","package_id":"registry+https://x#serde@1.0.0","manifest_path":"/r/Cargo.toml","target":{"kind":["lib"],"crate_types":["lib"]},"filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","package_id":"path+file:///p/probes/tcp#1.0.0","manifest_path":"/p/probes/tcp/Cargo.toml","target":{"kind":["custom-build"],"crate_types":["bin"]},"filenames":["/t/build-script-build"]}
{"reason":"compiler-artifact","package_id":"path+file:///p/probes/tcp#1.0.0","manifest_path":"/p/probes/tcp/Cargo.toml","target":{"kind":["cdylib"],"crate_types":["cdylib"]},"filenames":["/t/tcp.wasm"]}
{"reason":"compiler-artifact","package_id":"path+file:///p/probes/web#http@1.0.0","manifest_path":"/p/probes/web/Cargo.toml","target":{"kind":["cdylib"],"crate_types":["cdylib"]},"filenames":["/t/libhttp.rlib","/t/http.wasm"]}
not JSON
{"reason":"build-finished","success":true}"#;
    let found: Vec<_> = artifacts(messages)
        .into_iter()
        .map(|artifact| (artifact.package, artifact.path))
        .collect();
    let expected = [("tcp", "/t/tcp.wasm"), ("http", "/t/http.wasm")];
    assert_eq!(
        found,
        expected.map(|(package, path)| (package.to_owned(), PathBuf::from(path)))
    );
}

#[test]
fn names_with_spaces_in_a_dependency_file_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.d");
    std::fs::write(&path, "/t/http.wasm: /a/lib.rs /b\\ c/lib.rs\n").unwrap();
    assert_eq!(
        sources(&path),
        [PathBuf::from("/a/lib.rs"), PathBuf::from("/b c/lib.rs")]
    );
}
