//! A stand-in for the plugin host, and a registry with a store in a temporary folder, for unit
//! tests of the registry and the configuration.

use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use serde_json::{Value, json};

use super::{CheckedFiles, PluginAnswer, PluginDirectory, Registry};
use crate::domain::duration::parse_duration;
use crate::domain::{Fault, PluginInfo, PluginKind, ServiceFacts};
use crate::plugin_host::Evaluator;
use crate::store::{ControlStore, Keyring};

pub(crate) struct FakePlugins {
    infos: Mutex<BTreeMap<(PluginKind, String), Arc<PluginInfo>>>,
}

impl FakePlugins {
    /// Returns plugins with the settings of the bundled ones that the tests use.
    pub(crate) fn bundled() -> Self {
        let plugins = Self {
            infos: Mutex::default(),
        };
        let secret = json!({"type": "string", "x-secret": true});
        let window = json!({"type": "string", "description": "Window, e.g. `5m`. More."});
        let threshold = json!({"type": "number", "minimum": 0});
        let expected = json!({"type": "integer", "minimum": 100, "maximum": 599});
        plugins.add(
            PluginKind::Probe,
            "http",
            &[],
            json!({"expectedStatus": expected, "method": {"type": "string"}}),
        );
        plugins.add(PluginKind::Probe, "tcp", &[], json!({}));
        plugins.add(PluginKind::Probe, "dns", &[], json!({}));
        plugins.add(
            PluginKind::Probe,
            "tls",
            &["days"],
            json!({"days": {"type": "integer"}}),
        );
        plugins.add(
            PluginKind::Rule,
            "condition",
            &["condition"],
            json!({"condition": {"type": "string"}}),
        );
        for rule in ["availability", "response_time"] {
            plugins.add(
                PluginKind::Rule,
                rule,
                &["threshold"],
                json!({"threshold": threshold, "window": window}),
            );
        }
        let recipients = json!({"type": "array", "items": {"type": "string"}, "minItems": 1});
        plugins.add(
            PluginKind::Notifier,
            "email",
            &["recipients"],
            json!({"recipients": recipients}),
        );
        plugins.add(
            PluginKind::Notifier,
            "slack",
            &["webhook"],
            json!({"webhook": secret}),
        );
        let headers = json!({"type": "object", "additionalProperties": secret});
        plugins.add(
            PluginKind::Notifier,
            "webhook",
            &["url"],
            json!({"url": {"type": "string"}, "headers": headers}),
        );
        plugins.add(
            PluginKind::Webhook,
            "github",
            &["secret"],
            json!({"secret": {"x-secret": true}}),
        );
        let key = json!({"key": {"x-secret": true}});
        plugins.add(PluginKind::Meter, "costs", &[], key);
        plugins
    }

    pub(crate) fn remove(&self, kind: PluginKind, name: &str) {
        let mut infos = self.infos.lock().unwrap();
        infos.remove(&(kind, name.to_owned()));
    }

    pub(crate) fn add(&self, kind: PluginKind, name: &str, required: &[&str], properties: Value) {
        let settings_schema = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        let info = PluginInfo {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            summary: "For tests.".to_owned(),
            settings_schema,
            wants: Vec::new(),
            evaluated_over_time: false,
        };
        self.put(kind, Arc::new(info));
    }

    pub(crate) fn put(&self, kind: PluginKind, info: Arc<PluginInfo>) {
        let mut infos = self.infos.lock().unwrap();
        infos.insert((kind, info.name.clone()), info);
    }
}

impl PluginDirectory for FakePlugins {
    fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>> {
        let infos = self.infos.lock().unwrap();
        infos.get(&(kind, name.to_owned())).cloned()
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        let infos = self.infos.lock().unwrap();
        infos
            .keys()
            .filter(|(other, _)| *other == kind)
            .map(|(_, name)| name.clone())
            .collect()
    }

    fn evaluator(&self) -> &Evaluator {
        Evaluator::for_tests()
    }

    /// Refuses what a schema can't: a condition with an `=`, a window that is no duration.
    fn check_settings<'a>(
        &'a self,
        _: PluginKind,
        _: &'a str,
        settings: &'a Value,
        _: Option<&'a ServiceFacts>,
    ) -> PluginAnswer<'a, Result<(), Vec<Fault>>> {
        let mut faults = Vec::new();
        if settings
            .get("condition")
            .and_then(Value::as_str)
            .is_some_and(|text| text.contains(" = "))
        {
            faults.push(Fault::new("/condition", "does not parse: unexpected `=`"));
        }
        if let Some(Err(error)) = settings
            .get("window")
            .and_then(Value::as_str)
            .map(parse_duration)
        {
            faults.push(Fault::new("/window", error.to_string()));
        }
        ready(if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        })
        .boxed()
    }

    fn look_back<'a>(
        &'a self,
        _: &'a str,
        settings: &'a Value,
    ) -> PluginAnswer<'a, Result<Duration, String>> {
        let window = settings
            .get("window")
            .and_then(Value::as_str)
            .and_then(|text| parse_duration(text).ok());
        ready(Ok(window.unwrap_or_default())).boxed()
    }
}

/// A control store in a folder of its own, which goes with it.
pub(crate) struct TestStore {
    pub(crate) control: ControlStore,
    _folder: tempfile::TempDir,
}

impl TestStore {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, folder.path()).unwrap();
        let control = ControlStore::open(&folder.path().join("control.sqlite"), keyring)
            .await
            .unwrap();
        Self {
            control,
            _folder: folder,
        }
    }
}

/// A registry with a store of its own.
pub(crate) struct TestRegistry {
    pub(crate) registry: Registry,
    pub(crate) store: TestStore,
}

impl TestRegistry {
    /// Opens a registry with these files and the plugins of [`FakePlugins::bundled`].
    pub(crate) async fn open(files: CheckedFiles) -> Self {
        let store = TestStore::open().await;
        let registry = Registry::open(
            files,
            Arc::new(FakePlugins::bundled()),
            store.control.clone(),
        )
        .await
        .unwrap();
        Self { registry, store }
    }
}

impl Deref for TestRegistry {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.registry
    }
}
