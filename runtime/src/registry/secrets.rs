//! Secrets in a spec are shown as `***`. Sent back, `***` keeps the old value, but only where the
//! rest of it still points to the same place: otherwise someone who may change a service could have
//! its secrets sent to another host.

use serde_json::{Map, Value};

use super::compile::{authority, default_probe};
use super::plugins::PluginDirectory;
use crate::domain::fault::{Fault, child};
use crate::domain::{Mark, PluginKind, visit_marked};
use crate::spec::{AuthenticationSpec, NotificationSpec, ServiceAlertSpec};

pub const MASK: &str = "***";

/// Settings of a plugin somewhere in a service's spec.
struct SettingsPlace {
    pointer: String,
    kind: PluginKind,
    plugin: String,
    own_keys: &'static [String],
}

impl SettingsPlace {
    fn settings(&self, spec: &Value) -> Value {
        let all = spec.pointer(&self.pointer).and_then(Value::as_object);
        let settings = all
            .into_iter()
            .flatten()
            .filter(|(key, _)| !self.own_keys.contains(key));
        Value::Object(
            settings
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<Map<_, _>>(),
        )
    }

    fn put(&self, spec: &mut Value, settings: Value) {
        if let (Some(target), Value::Object(settings)) = (spec.pointer_mut(&self.pointer), settings)
            && let Some(target) = target.as_object_mut()
        {
            target.extend(settings);
        }
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    let items = value.get(key).and_then(Value::as_array);
    items.into_iter().flatten().enumerate()
}

/// Returns the places of plugins' settings in a service's spec.
fn places(spec: &Value) -> Vec<SettingsPlace> {
    let mut places = Vec::new();
    let mut add = |pointer, kind, plugin: Option<String>, own_keys: &'static [String]| {
        places.push(SettingsPlace {
            pointer,
            kind,
            plugin: plugin.unwrap_or_default(),
            own_keys,
        });
    };
    if let Some(monitoring) = spec.get("monitoring") {
        let kind = text(spec, "type").unwrap_or_else(|| "REST".to_owned());
        let plugin = text(monitoring, "probe").or_else(|| default_probe(&kind).map(str::to_owned));
        let pointer = "/monitoring/settings".to_owned();
        add(pointer, PluginKind::Probe, plugin, &[]);
    }
    for (key, kind) in [
        ("probes", PluginKind::Probe),
        ("webhooks", PluginKind::Webhook),
        ("meters", PluginKind::Meter),
    ] {
        for (index, entry) in list(spec, key) {
            let pointer = format!("/{key}/{index}/settings");
            add(pointer, kind, text(entry, "plugin"), &[]);
        }
    }
    for (index, alert) in list(spec, "alerts") {
        let pointer = format!("/alerts/{index}");
        for (index, notification) in list(alert, "notifications") {
            let pointer = format!("{pointer}/notifications/{index}");
            let plugin = text(notification, "channel");
            add(
                pointer,
                PluginKind::Notifier,
                plugin,
                NotificationSpec::keys(),
            );
        }
        let plugin = text(alert, "type").unwrap_or_else(|| "condition".to_owned());
        add(
            pointer,
            PluginKind::Rule,
            Some(plugin),
            ServiceAlertSpec::keys(),
        );
    }
    places
}

/// The spec with every secret masked.
pub(super) fn redact(spec: &Value, plugins: &dyn PluginDirectory) -> Value {
    let mut shown = spec.clone();
    for pointer in credentials(spec) {
        let Some(credential) = shown.pointer_mut(&pointer).and_then(Value::as_object_mut) else {
            continue;
        };
        for key in AuthenticationSpec::secret_keys() {
            if let Some(value) = credential
                .get_mut(key)
                .filter(|value| value.as_str() != Some(""))
            {
                hide(value);
            }
        }
    }
    for place in places(spec) {
        let masked = masked(&place, place.settings(spec), plugins);
        place.put(&mut shown, masked);
    }
    shown
}

/// Puts the values of `old` where `new` holds `***`. For something new, `old` is null.
pub(super) fn restore(new: &mut Value, old: &Value, plugins: &dyn PluginDirectory) -> Vec<Fault> {
    let mut faults = Vec::new();
    let base_url = |spec: &Value| {
        spec.get("baseUrl")
            .and_then(Value::as_str)
            .and_then(authority)
    };
    let same_target = base_url(new).is_some() && base_url(new) == base_url(old);
    for pointer in credentials(new) {
        restore_credential(new, old, &pointer, same_target, &mut faults);
    }
    let (new_places, old_places) = (places(new), places(old));
    for place in new_places {
        let settings = place.settings(new);
        if !holds_mask(&settings) {
            continue;
        }
        if old.is_null() {
            faults.push(Fault::new(
                place.pointer,
                "`***` stands for a value that is kept, but there is none; write it out",
            ));
            continue;
        }
        // The plugin of a webhook or a meter, too, may send requests to its own service.
        let has_target = matches!(
            place.kind,
            PluginKind::Probe | PluginKind::Webhook | PluginKind::Meter
        );
        if has_target && !same_target {
            faults.push(Fault::new(place.pointer, target_changed()));
            continue;
        }
        let shape = masked(&place, settings.clone(), plugins);
        let mut fitting: Vec<(bool, Value)> = old_places
            .iter()
            .filter(|other| other.kind == place.kind && other.plugin == place.plugin)
            .map(|other| (other.pointer == place.pointer, other.settings(old)))
            .filter(|(_, settings)| masked(&place, settings.clone(), plugins) == shape)
            .collect();
        fitting.sort_by_key(|(same_place, _)| !same_place);
        fitting.dedup_by(|(_, a), (_, b)| a == b);
        match fitting.as_slice() {
            [(true, old_settings), ..] | [(false, old_settings)] => {
                let mut settings = settings;
                fill(&mut settings, old_settings);
                place.put(new, settings);
            }
            [] => {
                let message = "`***` keeps an old value only while the settings around it stay the same; write the value out";
                faults.push(Fault::new(place.pointer, message));
            }
            _ => {
                let message = "`***` could stand for more than one old value; write the value out";
                faults.push(Fault::new(place.pointer, message));
            }
        }
    }
    faults
}

fn target_changed() -> &'static str {
    "`***` keeps an old value only while `baseUrl` has the same scheme, host and port; write the value out"
}

/// Where credentials stand in a service's spec.
fn credentials(spec: &Value) -> Vec<String> {
    let named = spec
        .get("credentials")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys);
    std::iter::once("/authentication".to_owned())
        .chain(named.map(|name| child("/credentials", name)))
        .collect()
}

fn restore_credential(
    new: &mut Value,
    old: &Value,
    pointer: &str,
    same_target: bool,
    faults: &mut Vec<Fault>,
) {
    let old = old.pointer(pointer).cloned().unwrap_or_default();
    let Some(new) = new.pointer_mut(pointer).and_then(Value::as_object_mut) else {
        return;
    };
    let same_type = new.get("type") == old.get("type");
    let message = match leads_elsewhere(new, &old) {
        _ if !same_target => Some(target_changed().to_owned()),
        Some(key) => Some(format!(
            "`***` keeps an old value only while `{key}` leads nowhere else; write the value out"
        )),
        None => None,
    };
    for key in AuthenticationSpec::secret_keys() {
        if new.get(key).and_then(Value::as_str) != Some(MASK) {
            continue;
        }
        match (old.get(key), &message) {
            (Some(value), None) if same_type => {
                new.insert(key.clone(), value.clone());
            }
            (Some(_), Some(message)) if same_type => {
                faults.push(Fault::new(child(pointer, key), message.as_str()))
            }
            // Nothing to keep: the check of the credential reports it.
            _ => {}
        }
    }
}

/// The key by which a credential would now go to somebody else.
fn leads_elsewhere(new: &Map<String, Value>, old: &Value) -> Option<&'static str> {
    // The signed assertion goes where its audience takes it.
    for key in ["tokenUrl", "assertionAudience"] {
        if new.get(key) != old.get(key) {
            return Some(key);
        }
    }
    let old = old.get("hosts").and_then(Value::as_array);
    let added = |host: &Value| !old.is_some_and(|old| old.contains(host));
    new.get("hosts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(added)
        .then_some("hosts")
}

/// Masks the secrets of settings. Without the plugin's schema everything counts as secret.
fn masked(place: &SettingsPlace, mut settings: Value, plugins: &dyn PluginDirectory) -> Value {
    match plugins.info(place.kind, &place.plugin) {
        Some(info) => visit_marked(
            &mut settings,
            &info.settings_schema,
            Mark::Secret,
            |marked| {
                *marked.value = Value::from(MASK);
            },
        ),
        None => hide(&mut settings),
    }
    settings
}

/// Every leaf, so that the shape stays visible and can be sent back.
fn hide(value: &mut Value) {
    match value {
        Value::Null => {}
        Value::Object(members) => members.values_mut().for_each(hide),
        Value::Array(items) => items.iter_mut().for_each(hide),
        leaf => *leaf = Value::from(MASK),
    }
}

fn holds_mask(value: &Value) -> bool {
    match value {
        Value::String(text) => text == MASK,
        Value::Object(members) => members.values().any(holds_mask),
        Value::Array(items) => items.iter().any(holds_mask),
        _ => false,
    }
}

/// Both have the same shape.
fn fill(new: &mut Value, old: &Value) {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            for (key, value) in new {
                if let Some(old) = old.get(key) {
                    fill(value, old);
                }
            }
        }
        (Value::Array(new), Value::Array(old)) => new
            .iter_mut()
            .zip(old)
            .for_each(|(new, old)| fill(new, old)),
        (new, old) if new.as_str() == Some(MASK) => *new = old.clone(),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::testing::FakePlugins;

    fn spec() -> Value {
        json!({
            "name": "a", "baseUrl": "https://a.example/v1",
            "authentication": {"type": "api_key", "header": "X-K", "value": "k3y"},
            "alerts": [{"type": "availability", "threshold": 99, "notifications": [
                {"channel": "slack", "webhook": "https://hooks/1"},
                {"channel": "webhook", "url": "https://x.example", "headers": {"Authorization": "t0ken"}},
            ]}],
        })
    }

    #[test]
    fn every_secret_is_masked_and_nothing_else() {
        let shown = redact(&spec(), &FakePlugins::bundled());
        assert_eq!(
            shown,
            json!({
                "name": "a", "baseUrl": "https://a.example/v1",
                "authentication": {"type": "api_key", "header": "X-K", "value": "***"},
                "alerts": [{"type": "availability", "threshold": 99, "notifications": [
                    {"channel": "slack", "webhook": "***"},
                    {"channel": "webhook", "url": "https://x.example", "headers": {"Authorization": "***"}},
                ]}],
            })
        );
    }

    #[test]
    fn every_secret_key_of_a_credential_is_write_only() {
        for key in AuthenticationSpec::secret_keys() {
            let old = json!({"name": "a", "baseUrl": "https://a", "authentication": {"type": "bearer", key: "s3cret-value"}});
            let shown = redact(&old, &FakePlugins::bundled());
            assert_eq!(shown["authentication"][key], "***");
            let mut sent = shown;
            assert_eq!(restore(&mut sent, &old, &FakePlugins::bundled()), []);
            assert_eq!(sent, old, "`***` keeps `{key}`");
        }
    }

    #[test]
    fn secrets_of_webhooks_are_masked_and_stay_with_their_service() {
        let plugins = FakePlugins::bundled();
        let webhook = |secret: Value| json!({"plugin": "github", "settings": {"secret": secret}});
        let old = json!({"name": "a", "baseUrl": "https://a", "webhooks": [webhook(json!(["new", "old"]))]});
        let shown = redact(&old, &plugins);
        assert_eq!(
            shown["webhooks"][0]["settings"],
            json!({"secret": ["***", "***"]})
        );
        let mut sent = shown.clone();
        assert_eq!(restore(&mut sent, &old, &plugins), []);
        assert_eq!(sent, old);
        let mut elsewhere = shown;
        elsewhere["baseUrl"] = json!("https://b");
        assert_eq!(restore(&mut elsewhere, &old, &plugins).len(), 1);
    }

    #[test]
    fn settings_of_a_plugin_that_is_gone_are_masked_whole() {
        let spec = json!({"name": "a", "baseUrl": "https://a", "probes": [{"plugin": "gone", "settings": {"x": [1]}}]});
        assert_eq!(
            redact(&spec, &FakePlugins::bundled())["probes"][0]["settings"],
            json!({"x": ["***"]})
        );
    }

    #[test]
    fn no_key_of_an_entry_itself_is_masked_with_the_settings_of_a_plugin_that_is_gone() {
        let mut alert = json!({"type": "gone", "secret": "s3cret"});
        let mut notification = json!({"channel": "gone", "secret": "s3cret"});
        for key in ServiceAlertSpec::keys()
            .iter()
            .filter(|key| !["type", "notifications"].contains(&key.as_str()))
        {
            alert[key] = json!("shown");
        }
        for key in NotificationSpec::keys()
            .iter()
            .filter(|key| *key != "channel")
        {
            notification[key] = json!("shown");
        }
        alert["notifications"] = json!([notification]);
        let spec = json!({"name": "a", "baseUrl": "https://a", "alerts": [alert]});
        let mut wanted = spec.clone();
        wanted["alerts"][0]["secret"] = json!(MASK);
        wanted["alerts"][0]["notifications"][0]["secret"] = json!(MASK);
        assert_eq!(redact(&spec, &FakePlugins::bundled()), wanted);
    }

    #[test]
    fn what_was_shown_can_be_sent_back() {
        let plugins = FakePlugins::bundled();
        let mut sent = redact(&spec(), &plugins);
        sent["baseUrl"] = json!("https://a.example:443/v2");
        sent["alerts"][0]["notifications"]
            .as_array_mut()
            .unwrap()
            .reverse();
        assert_eq!(restore(&mut sent, &spec(), &plugins), []);
        let notifications = &sent["alerts"][0]["notifications"];
        assert_eq!(notifications[0]["headers"]["Authorization"], "t0ken");
        assert_eq!(notifications[1]["webhook"], "https://hooks/1");
        assert_eq!(sent["authentication"]["value"], "k3y");
    }

    #[test]
    fn a_secret_does_not_follow_to_another_host() {
        let plugins = FakePlugins::bundled();
        let mut sent = redact(&spec(), &plugins);
        sent["baseUrl"] = json!("https://evil.example");
        sent["alerts"][0]["notifications"][1]["url"] = json!("https://evil.example");
        let faults = restore(&mut sent, &spec(), &plugins);
        let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            places,
            ["/authentication/value", "/alerts/0/notifications/1"]
        );
        assert!(!sent.to_string().contains("k3y") && !sent.to_string().contains("t0ken"));
    }

    #[test]
    fn every_credential_is_masked_and_kept_only_while_it_goes_where_it_went() {
        let plugins = FakePlugins::bundled();
        let old = json!({
            "name": "a", "baseUrl": "https://a.example",
            "credentials": {
                "login": {
                    "type": "oauth2", "tokenUrl": "https://login.example/token", "clientId": "id",
                    "clientSecret": "0auth-s3cret", "hosts": ["b.example"],
                },
                "client": {"type": "mtls", "certificate": "PEM", "key": "pr1vate"},
            },
        });
        let shown = redact(&old, &plugins);
        assert_eq!(shown["credentials"]["login"]["clientSecret"], "***");
        assert_eq!(shown["credentials"]["login"]["clientId"], "id");
        assert_eq!(
            shown["credentials"]["client"],
            json!({"type": "mtls", "certificate": "PEM", "key": "***"})
        );

        let changed = |change: &dyn Fn(&mut Value)| {
            let mut sent = shown.clone();
            change(&mut sent);
            let faults = restore(&mut sent, &old, &plugins);
            (
                sent,
                faults
                    .into_iter()
                    .map(|fault| fault.pointer)
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(changed(&|_| ()), (old.clone(), vec![]));
        let (sent, faults) = changed(&|sent| sent["credentials"]["login"]["hosts"] = json!([]));
        assert_eq!(
            (&sent["credentials"]["login"]["clientSecret"], faults.len()),
            (&json!("0auth-s3cret"), 0)
        );
        type Change = fn(&mut Value);
        let login: &[&str] = &["/credentials/login/clientSecret"];
        let changes: [(Change, &[&str]); 3] = [
            (
                |sent| {
                    sent["credentials"]["login"]["tokenUrl"] = json!("https://evil.example/token")
                },
                login,
            ),
            (
                |sent| sent["credentials"]["login"]["hosts"] = json!(["b.example", "evil.example"]),
                login,
            ),
            (
                |sent| sent["baseUrl"] = json!("https://evil.example"),
                &["/credentials/client/key", "/credentials/login/clientSecret"],
            ),
        ];
        for (change, wanted) in changes {
            let (sent, mut faults) = changed(&change);
            faults.sort();
            assert_eq!(faults, wanted);
            assert!(!sent.to_string().contains("0auth-s3cret"), "{sent}");
        }
    }

    #[test]
    fn two_old_values_for_one_mask_are_not_guessed_between() {
        let plugins = FakePlugins::bundled();
        let slack = |webhook: &str| json!({"channel": "slack", "webhook": webhook});
        let with = |notifications: Value| json!({"name": "a", "baseUrl": "https://a", "alerts": [{"type": "availability", "notifications": notifications}]});
        let old = with(json!([slack("https://1"), slack("https://2")]));
        let mut same_places = with(json!([slack("***"), slack("***")]));
        assert_eq!(restore(&mut same_places, &old, &plugins), []);
        assert_eq!(same_places, old);
        let mut elsewhere = with(json!([
            slack("https://0"),
            slack("https://1"),
            slack("***")
        ]));
        assert_eq!(restore(&mut elsewhere, &old, &plugins).len(), 1);
    }
}
