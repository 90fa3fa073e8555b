//! Stumbling blocks of a plugin author's first day, by their number in the list that was written on
//! that day. Others of them are in `author.rs`, `templates.rs` and beside the builder; number 8, the
//! dependencies that each project compiled anew, in `plugin-sdk/builder/src/target_folder/tests.rs`.

use std::path::Path;

use extrack_tests::components;
use extrack_tests::program::program;
use tokio::process::Command;

fn read(path: &str) -> String {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Sources of the Python templates that make requests.
fn python_plugins() -> Vec<(&'static str, String)> {
    ["probe", "notifier", "webhook", "rule"]
        .map(|kind| {
            (
                kind,
                read(&format!("plugin-sdk/templates/python/{kind}/plugin.py")),
            )
        })
        .into()
}

/// `templates::wasi_is_all_there_and_grants_nothing` runs what is refused; this holds the line without
/// which the refusal itself fails.
#[test]
fn row_21_a_python_plugin_has_the_codec_that_a_refused_socket_needs() {
    for (kind, source) in python_plugins() {
        let has_network = kind != "rule";
        assert_eq!(
            source.contains("import encodings.idna"),
            has_network,
            "{kind}"
        );
    }
}

#[test]
fn row_22_the_guide_and_the_templates_name_the_import_that_errors_of_the_network_need() {
    let guide = read("plugin-sdk/README.md");
    let line = guide
        .lines()
        .find(|line| line.contains("KeyError"))
        .expect("the guide names the error");
    assert!(
        line.contains("Python") && line.contains("`net`") && line.contains("`wit_world.imports`"),
        "{line}"
    );
    for (kind, source) in python_plugins() {
        if source.contains("NetError") {
            let imports_net = source.lines().any(|line| {
                line.starts_with("from wit_world.imports import") && line.contains("net")
            });
            assert!(imports_net, "{kind}: a failed request ends in a `KeyError`");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_25_a_large_component_is_announced_while_it_is_compiled_the_first_time() {
    const PADDING: usize = 3 << 20;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("large.wasm");
    std::fs::write(&file, padded(components::guest("swapped-one"), PADDING))
        .expect("a fresh folder can be filled");
    let inspect = async || {
        let output = Command::new(program())
            .args(["plugin", "inspect"])
            .arg(&file)
            .env("EXTRACK_CACHE", folder.path().join("cache"))
            .output()
            .await
            .expect("the program can be started");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let first = inspect().await;
    assert!(
        first.contains("MiB to machine code, once for each version…"),
        "{first}"
    );
    let second = inspect().await;
    assert!(!second.contains("machine code"), "{second}");
}

/// A component with so many bytes of a section that means nothing.
fn padded(mut component: Vec<u8>, bytes: usize) -> Vec<u8> {
    const NAME: &[u8] = b"\x07padding";
    let mut size = NAME.len() + bytes;
    component.push(0);
    while size > 0x7f {
        component.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    component.push(size as u8);
    component.extend(NAME);
    component.resize(component.len() + bytes, 0);
    component
}
