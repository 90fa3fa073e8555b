//! Compiles the `meters` of a service.

use std::time::Duration;

use serde_json::Value;

use super::Compiler;
use crate::domain::fault::child;
use crate::domain::{PluginKind, VendorMeter};
use crate::spec::{MeterSpec, ServiceSpec};

/// More is a mistake.
const MAX_METERS: usize = 8;
const INTERVAL: Duration = Duration::from_secs(6 * 3_600);
/// Vendors count by the hour or the day, and some allow a few questions a minute.
const MIN_INTERVAL: Duration = Duration::from_secs(600);

impl Compiler<'_> {
    pub(super) async fn meters(&mut self, spec: &ServiceSpec, at: &str) -> Vec<VendorMeter> {
        let list_at = child(at, "meters");
        if spec.meters.len() > MAX_METERS {
            let message = format!("must have at most {MAX_METERS} entries");
            self.report.fault(&list_at, message);
        }
        let mut meters: Vec<VendorMeter> = Vec::new();
        for (index, entry) in spec.meters.iter().take(MAX_METERS).enumerate() {
            let entry_at = child(&list_at, index);
            let Some(meter) = self.meter(entry, &entry_at).await else {
                continue;
            };
            if meters.iter().any(|other| other.name == meter.name) {
                let message = format!(
                    "a meter of this service is named `{}`; give this one another `name`",
                    meter.name
                );
                self.report.fault(child(&entry_at, "name"), message);
            }
            meters.push(meter);
        }
        meters
    }

    async fn meter(&mut self, spec: &MeterSpec, at: &str) -> Option<VendorMeter> {
        let name = spec.name.clone().unwrap_or_else(|| spec.plugin.clone());
        self.plain_name_check(&name, at);
        let interval_at = child(at, "interval");
        let interval = self.duration(spec.interval.as_ref(), 1_000, &interval_at);
        if interval.is_some_and(|interval| interval < MIN_INTERVAL) {
            self.report.fault(interval_at, "must be at least 10m");
        }
        if !self.plugin_exists(PluginKind::Meter, &spec.plugin, &child(at, "plugin")) {
            return None;
        }
        let settings = Value::Object(spec.settings.0.clone());
        let locate = |pointer: &str| format!("{at}/settings{pointer}");
        self.settings_check(PluginKind::Meter, &spec.plugin, &settings, &[], locate)
            .await;
        Some(VendorMeter {
            name,
            plugin: spec.plugin.clone(),
            settings,
            interval: interval.unwrap_or(INTERVAL),
        })
    }
}
