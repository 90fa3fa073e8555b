use super::*;
use crate::plugin_host::compiler;
use crate::plugin_host::engine::compile::Compiling;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

/// The contract as it is, as one text.
fn contract() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wit"))
        .collect();
    paths.sort();
    let interfaces = paths.iter().map(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.split_once(";\n").unwrap().1.to_owned()
    });
    std::iter::once(format!(
        "package external-tracking:plugin@{};\n",
        crate::plugin_host::contract::bindings::CONTRACT
    ))
    .chain(interfaces)
    .collect()
}

/// A plugin of that kind in which every function traps, built from this contract.
fn component(contract: &str, kind: &str) -> bytes::Bytes {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("contract.wit", contract).unwrap();
    let world = resolve.select_world(&[package], Some(kind)).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    let mut encoder = ComponentEncoder::default();
    encoder.module(&module).unwrap();
    encoder.encode().unwrap().into()
}

async fn refusal(loader: &Loader, runner: &Runner, component: bytes::Bytes) -> InstallError {
    let provenance = Provenance {
        source: Source::Stored,
        since_ms: 0,
        by: "test".to_owned(),
    };
    match loader
        .load(runner, ComponentBytes::new(component), provenance)
        .await
    {
        Ok(_) => panic!("every function of it traps"),
        Err(refusal) => refusal,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_of_another_contract_never_becomes_a_version_whatever_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let (loader, runner) =
        compiler(folder.path(), Compiling::InProcess, None, &Arc::default()).unwrap();
    let contract = contract();
    for (kind, from, to) in [
        (
            "probe",
            "    credentials: list<string>,\n",
            "    credentials: list<string>,\n    region: string,\n",
        ),
        (
            "probe",
            "settings(string),\n    internal(string),",
            "settings(string),\n    internal(string),\n    busy,",
        ),
        (
            "rule",
            "    now-ms: u64,\n",
            "    now-ms: u64,\n    zone: string,\n",
        ),
        (
            "rule",
            "look-back: func(settings: string) -> history-need",
            "look-back: func(settings: string) -> u32",
        ),
        (
            "notifier",
            "    attempt: u32,\n",
            "    attempt: u32,\n    priority: u32,\n",
        ),
        (
            "webhook",
            "    received-ms: u64,\n",
            "    received-ms: u64,\n    peer: string,\n",
        ),
    ] {
        // As it is it fits: what stops it is that all its functions trap.
        let fits = refusal(&loader, &runner, component(&contract, kind)).await;
        assert_eq!(fits.step, InstallStep::Describe, "{kind}: {fits}");
        assert!(
            contract.contains(from),
            "{kind}: `{from}` is not in the contract"
        );
        let other = component(&contract.replacen(from, to, 1), kind);
        let misfit = refusal(&loader, &runner, other).await;
        assert_eq!(misfit.step, InstallStep::World, "{kind}: {misfit}");
        assert!(
            misfit
                .reason
                .contains("build it again with the `wit/` of this program"),
            "{kind}: {misfit}"
        );
    }
    for kind in ["probe", "rule", "notifier", "webhook"] {
        let next = contract.replace("plugin@0.2.0", "plugin@0.3.0");
        let misfit = refusal(&loader, &runner, component(&next, kind)).await;
        assert_eq!(misfit.step, InstallStep::World, "{kind}: {misfit}");
        assert!(
            misfit.reason.contains("is built for 0.3.0 of the contract"),
            "{kind}: {misfit}"
        );
    }
}
