//! The configuration files and `.env`.

use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use extrack::config::{self, ConfigFiles, Environment};
use extrack::domain::{Fault, PluginInfo, PluginKind, ServiceFacts};
use extrack::plugin_host::Evaluator;
use extrack::registry::{PluginAnswer, PluginDirectory};
use serde_json::Value;

use super::text;
use crate::stage::{host, wait_for};

pub(crate) fn services(input: &[u8]) {
    read("services.yaml", input);
}

pub(crate) fn alerts(input: &[u8]) {
    read("alerts.yaml", input);
}

pub(crate) fn plugins(input: &[u8]) {
    read("plugins.yaml", input);
}

pub(crate) fn storage(input: &[u8]) {
    read("storage.yaml", input);
}

/// The variables of the file are also those of the program.
pub(crate) fn dotenv(input: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let config = folder.path().join("config");
    std::fs::create_dir(&config).expect("the folder is new");
    std::fs::write(folder.path().join(".env"), input).expect("the folder can be written");
    let environment = Environment::read(&config);
    let (_, faults) = config::program_settings(&environment);
    faults.iter().for_each(|fault| drop(fault.to_string()));
}

fn read(name: &str, input: &[u8]) {
    let variables = [
        ("TOKEN", "a-secret"),
        ("EMPTY", ""),
        ("URL", "https://api.example.com"),
    ];
    let files = ConfigFiles::of([(name.to_owned(), text(input).into_owned())].into());
    // Made before: what it waits for can't be waited for within the check.
    host();
    let draft = config::parse(Path::new("."), files, &Environment::of(variables));
    if let Err(faults) = wait_for(draft.check(&NoPlugins)) {
        drop(faults.to_string());
    }
}

/// Knows no plugin: their own checks are another target.
struct NoPlugins;

impl PluginDirectory for NoPlugins {
    fn info(&self, _kind: PluginKind, _name: &str) -> Option<Arc<PluginInfo>> {
        None
    }

    fn names(&self, _kind: PluginKind) -> Vec<String> {
        Vec::new()
    }

    fn evaluator(&self) -> &Evaluator {
        PluginDirectory::evaluator(host())
    }

    fn check_settings<'a>(
        &'a self,
        _kind: PluginKind,
        _name: &'a str,
        _settings: &'a Value,
        _service: Option<&'a ServiceFacts>,
    ) -> PluginAnswer<'a, Result<(), Vec<Fault>>> {
        Box::pin(ready(Ok(())))
    }

    fn look_back<'a>(
        &'a self,
        _rule: &'a str,
        _settings: &'a Value,
    ) -> PluginAnswer<'a, Result<Duration, String>> {
        Box::pin(ready(Ok(Duration::ZERO)))
    }
}
