//! What targets share: a runtime for what is asynchronous, the network, and the plugin host with
//! the bundled plugins.

use std::future::Future;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use extrack::domain::{PluginTrust, RunIds};
use extrack::net::{HostRule, Net, NetSettings, Permission};
use extrack::plugin_host::{
    Bundled, Compiling, PluginHost, RUNS_QUEUED, Recordings, Setup, VersionLog, bundle,
};
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// Long enough for anything that ends by itself.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn wait_for<T>(work: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let build = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
    };
    RUNTIME
        .get_or_init(|| build().expect("threads can be started"))
        .block_on(work)
}

pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

pub(crate) fn net() -> &'static Net {
    static NET: OnceLock<Net> = OnceLock::new();
    NET.get_or_init(|| Net::new(NetSettings::default()).expect("the default settings are good"))
}

/// For servers on loopback.
pub(crate) fn loopback() -> Permission {
    Permission {
        hosts: vec![HostRule::parse("127.0.0.1").expect("an address is a host")],
        public_hosts: Vec::new(),
        allow_private: true.into(),
        private_remedy: Permission::OPEN_IN_FILES,
        subject: "a target".to_owned(),
        setting: "none".to_owned(),
    }
}

/// For files that are kept from one run to the next: compiled plugins and an empty store.
pub(crate) static FOLDER: OnceLock<PathBuf> = OnceLock::new();

pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = FOLDER
        .get()
        .expect("`keep_files_in` names a folder first")
        .join(name);
    std::fs::create_dir_all(&folder).expect("the folder can be written");
    folder
}

/// With all bundled plugins.
pub(crate) fn host() -> &'static PluginHost {
    static HOST: OnceLock<PluginHost> = OnceLock::new();
    HOST.get_or_init(|| {
        bundle(Bundled {
            plugins: extrack_bundled::PLUGINS,
            evaluator: extrack_bundled::EVALUATOR,
        });
        let (runs, mut accounted) = tokio::sync::mpsc::channel(RUNS_QUEUED);
        let setup = Setup {
            folder: folder("fuzz-plugins"),
            // The fuzzer is no program that could be its own child.
            compiling: Compiling::InProcess,
            runs_memory_bytes: None,
            trust: PluginTrust::default(),
            net: net().clone(),
            log: VersionLog::none(),
            versions_kept: 1,
            runs,
            recordings: Recordings::none(),
            run_ids: RunIds::counting(),
            has_mail: false,
            programs: Default::default(),
            credentials: None,
        };
        let host = wait_for(async {
            tokio::spawn(async move { while accounted.recv().await.is_some() {} });
            PluginHost::start(setup).await
        });
        host.expect("the bundled plugins are good")
    })
}
