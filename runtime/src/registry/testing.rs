//! Stand-ins for the plugin host and the control store, for unit tests of the registry and the
//! configuration.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{Fault, PluginDirectory, ServiceStore, ServiceStoreError, StoredService};
use crate::domain::duration::parse_duration;
use crate::domain::{PluginInfo, PluginKind};
use crate::plugin_host::Evaluator;

pub(crate) struct FakePlugins {
    infos: BTreeMap<(PluginKind, String), Arc<PluginInfo>>,
}

impl FakePlugins {
    /// With the settings of the bundled plugins that the tests use.
    pub(crate) fn bundled() -> Self {
        let mut plugins = Self {
            infos: BTreeMap::new(),
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
        plugins
    }

    pub(crate) fn remove(&mut self, kind: PluginKind, name: &str) {
        self.infos.remove(&(kind, name.to_owned()));
    }

    fn add(&mut self, kind: PluginKind, name: &str, required: &[&str], properties: Value) {
        let settings_schema = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        let info = PluginInfo {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            summary: "For tests.".to_owned(),
            settings_schema,
            wants: Vec::new(),
        };
        self.infos.insert((kind, name.to_owned()), Arc::new(info));
    }
}

impl PluginDirectory for FakePlugins {
    fn info(&self, kind: PluginKind, name: &str) -> Option<Arc<PluginInfo>> {
        self.infos.get(&(kind, name.to_owned())).cloned()
    }

    fn names(&self, kind: PluginKind) -> Vec<String> {
        self.infos
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
    ) -> BoxFuture<'a, Result<(), Vec<Fault>>> {
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
        async move {
            if faults.is_empty() {
                Ok(())
            } else {
                Err(faults)
            }
        }
        .boxed()
    }

    fn look_back<'a>(
        &'a self,
        _: &'a str,
        settings: &'a Value,
    ) -> BoxFuture<'a, Result<Duration, String>> {
        let window = settings
            .get("window")
            .and_then(Value::as_str)
            .and_then(|text| parse_duration(text).ok());
        async move { Ok(window.unwrap_or_default()) }.boxed()
    }
}

#[derive(Default)]
pub(crate) struct MemoryStore {
    pub(crate) rows: Mutex<BTreeMap<String, StoredService>>,
}

impl ServiceStore for MemoryStore {
    fn service_list(&self) -> BoxFuture<'_, Result<Vec<StoredService>, ServiceStoreError>> {
        let rows = self.rows.lock().unwrap().values().cloned().collect();
        async move { Ok(rows) }.boxed()
    }

    fn service_insert<'a>(
        &'a self,
        slug: &'a str,
        spec: &'a Value,
    ) -> BoxFuture<'a, Result<StoredService, ServiceStoreError>> {
        let stored = StoredService {
            slug: slug.to_owned(),
            spec: spec.clone(),
            revision: 1,
            created_ms: 1,
            updated_ms: 1,
        };
        self.rows
            .lock()
            .unwrap()
            .insert(slug.to_owned(), stored.clone());
        async move { Ok(stored) }.boxed()
    }

    fn service_update<'a>(
        &'a self,
        slug: &'a str,
        spec: &'a Value,
        _: Option<i64>,
    ) -> BoxFuture<'a, Result<StoredService, ServiceStoreError>> {
        let mut rows = self.rows.lock().unwrap();
        let row = rows.get_mut(slug).unwrap();
        row.spec = spec.clone();
        row.revision += 1;
        let stored = row.clone();
        async move { Ok(stored) }.boxed()
    }

    fn service_delete<'a>(&'a self, slug: &'a str) -> BoxFuture<'a, Result<(), ServiceStoreError>> {
        self.rows.lock().unwrap().remove(slug);
        async move { Ok(()) }.boxed()
    }
}
