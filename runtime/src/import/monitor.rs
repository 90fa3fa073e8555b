//! A service of ours in the making, as the imports of monitors share it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::draft::{Draft, mapping};
use super::item::Item;
use super::text::written;

/// Headers that the program sets itself.
const OWN_HEADERS: [&str; 6] = [
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "upgrade",
    "te",
];
/// Words in names of headers whose values are secret.
const SECRET_WORDS: [&str; 13] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "credential",
    "signature",
    "authkey",
    "apikey",
    "accesskey",
    "functionskey",
    "subscriptionkey",
    "privatekey",
];
/// Longest time-out of a probe.
const MAX_TIMEOUT: Duration = Duration::from_secs(600);

/// A service. Texts are in our syntax, secrets are references.
#[derive(Default)]
pub(super) struct Monitor {
    pub(super) name: String,
    /// Word in front of the slug where the name is taken.
    pub(super) group: Option<String>,
    pub(super) kind: &'static str,
    pub(super) base_url: String,
    pub(super) health_endpoint: Option<String>,
    pub(super) authentication: Option<Value>,
    pub(super) interval: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) retries: Option<(u64, Duration)>,
    pub(super) expected_status: Option<Value>,
    pub(super) settings: Map<String, Value>,
    pub(super) probes: Vec<Value>,
    pub(super) alerts: Vec<Value>,
    pub(super) tags: Vec<String>,
    pub(super) labels: Map<String, Value>,
    pub(super) description: Option<String>,
}

impl Monitor {
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.settings.insert(key.to_owned(), value.into());
    }

    pub(super) fn assert(&mut self, assertion: Value) {
        let assertions = self.settings.entry("assertions").or_insert(json!([]));
        if let Value::Array(list) = assertions {
            list.push(assertion);
        }
    }

    /// Takes a URL apart: what is asked is the path, and a user name and password in it are
    /// credentials. False if it is no URL.
    pub(super) fn set_url(&mut self, url: &str, item: &Item<'_>, draft: &mut Draft) -> bool {
        let Some((scheme, rest)) = url.split_once("://") else {
            return false;
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        if host.is_empty() {
            return false;
        }
        if let Some(user) = user {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            self.basic(user, password, item, draft);
        }
        self.base_url = format!("{}://{host}", scheme.to_lowercase());
        let path = path.replace(' ', "%20");
        let path = match path.strip_prefix('?') {
            Some(query) => format!("/?{query}"),
            None => path,
        };
        self.health_endpoint = (!matches!(path.as_str(), "" | "/")).then_some(path);
        true
    }

    pub(super) fn basic(&mut self, user: &str, password: &str, item: &Item<'_>, draft: &mut Draft) {
        let password = match password {
            "" => String::new(),
            password => draft.secret(item, &format!("{} password", self.name), password),
        };
        self.authentication =
            Some(json!({"type": "basic", "username": user, "password": password}));
    }

    pub(super) fn bearer(&mut self, token: &str, item: &Item<'_>, draft: &mut Draft) {
        let token = draft.secret(item, &format!("{} token", self.name), token);
        self.authentication = Some(json!({"type": "bearer", "token": token}));
    }

    /// Adds a header of the request. One that proves who we are becomes a credential.
    pub(super) fn header(&mut self, name: &str, value: &str, item: &Item<'_>, draft: &mut Draft) {
        let lower = name.to_lowercase();
        if OWN_HEADERS.contains(&lower.as_str()) {
            return draft.left_out(item, "is a header that requests get by themselves");
        }
        let word: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
        if !SECRET_WORDS.iter().any(|secret| word.contains(secret)) {
            return self.plain_header(name, value);
        }
        if lower == "authorization" && self.authentication.is_none() {
            match value.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    return self.bearer(token.trim(), item, draft);
                }
                Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
                    let decoded = STANDARD.decode(pair.trim()).ok();
                    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
                    if let Some((user, password)) =
                        decoded.as_deref().and_then(|text| text.split_once(':'))
                    {
                        let (user, password) = (escaped(user), escaped(password));
                        return self.basic(&user, &password, item, draft);
                    }
                }
                _ => {}
            }
        }
        let secret = draft.secret(item, &format!("{} {name}", self.name), value);
        if self.authentication.is_none() && word != "cookie" {
            self.authentication = Some(json!({"type": "api_key", "header": name, "value": secret}));
        } else {
            self.plain_header(name, &secret);
        }
    }

    pub(super) fn plain_header(&mut self, name: &str, value: &str) {
        let headers = self.settings.entry("headers").or_insert(json!({}));
        if let Value::Object(headers) = headers {
            headers.insert(name.to_owned(), json!(value));
        }
    }

    pub(super) fn has_header(&self, name: &str) -> bool {
        let headers = self.settings.get("headers").and_then(Value::as_object);
        headers.is_some_and(|headers| headers.keys().any(|key| key.eq_ignore_ascii_case(name)))
    }

    /// The OAuth 2 client credentials of a service.
    pub(super) fn oauth2(
        &mut self,
        token_url: String,
        client_id: String,
        secret: String,
        scopes: &[String],
    ) {
        let mut credential = json!({
            "type": "oauth2", "tokenUrl": token_url, "clientId": client_id, "clientSecret": secret,
        });
        if !scopes.is_empty() {
            credential["scopes"] = json!(scopes);
        }
        self.authentication = Some(credential);
    }

    pub(super) fn into_value(self, slug: Option<String>) -> Value {
        // A run that hangs for longer would make the next one missed.
        let limit = self.interval.unwrap_or(MAX_TIMEOUT).min(MAX_TIMEOUT);
        let timeout = self.timeout.map(|timeout| timeout.min(limit));
        let monitoring = mapping([
            ("interval", self.interval.map(written)),
            (
                "timeout",
                timeout.filter(|timeout| !timeout.is_zero()).map(written),
            ),
            ("retries", self.retries.map(|(count, _)| json!(count))),
            ("retryInterval", self.retries.map(|(_, wait)| written(wait))),
            ("expectedStatus", self.expected_status),
            ("settings", some_object(self.settings)),
        ]);
        Value::Object(mapping([
            ("name", Some(json!(self.name))),
            ("slug", slug.map(Value::String)),
            ("type", Some(json!(self.kind))),
            ("baseUrl", Some(json!(self.base_url))),
            ("healthEndpoint", self.health_endpoint.map(Value::String)),
            ("authentication", self.authentication),
            ("monitoring", some_object(monitoring)),
            ("probes", some_list(self.probes)),
            ("alerts", some_list(self.alerts)),
            ("tags", some_list(self.tags)),
            ("labels", some_object(self.labels)),
            ("description", self.description.map(Value::String)),
        ]))
    }
}

/// Escapes what our files would read as a variable.
fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}

fn some_object(members: Map<String, Value>) -> Option<Value> {
    (!members.is_empty()).then_some(Value::Object(members))
}

fn some_list<T: Into<Value>>(items: Vec<T>) -> Option<Value> {
    (!items.is_empty()).then(|| items.into_iter().collect())
}

/// A rule that fires after so many failed runs in a row. `calm`: how long all has to be well before
/// it is resolved.
pub(super) fn down_rule(
    name: &str,
    runs: u64,
    calm: Option<Duration>,
    notifications: Vec<Value>,
) -> Map<String, Value> {
    // Failures of a rule are looked for among at most 60 judgements.
    let runs = runs.min(60);
    let failures = (runs > 1).then(|| json!({"count": runs, "of": runs}));
    mapping([
        ("name", Some(json!(name))),
        ("condition", Some(json!("status != 'healthy'"))),
        ("severity", Some(json!("critical"))),
        ("failures", failures),
        (
            "keepFiringFor",
            calm.filter(|calm| !calm.is_zero()).map(written),
        ),
        ("notifications", some_list(notifications)),
    ])
}

/// A rule about certificates that end.
pub(super) fn certificate_rule(days: u64, notifications: Vec<Value>) -> Map<String, Value> {
    mapping([
        ("type", Some(json!("certificate"))),
        ("name", Some(json!("Certificate ends"))),
        ("threshold", Some(json!(days))),
        ("untrusted", Some(json!(false))),
        ("notifications", some_list(notifications)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ForeignFile;

    fn monitor(work: impl FnOnce(&mut Monitor, &Item<'_>, &mut Draft)) -> Value {
        let file = ForeignFile::yaml("f.yaml", "a: 1").unwrap();
        let mut draft = Draft::default();
        let mut monitor = Monitor {
            name: "Shop".to_owned(),
            kind: "HTTP",
            ..Monitor::default()
        };
        work(&mut monitor, &Item::root(&file), &mut draft);
        monitor.into_value(None)
    }

    #[test]
    fn a_url_is_taken_apart() {
        for (url, base, path) in [
            ("https://a.example", "https://a.example", None),
            ("HTTPS://a.example:8443/", "https://a.example:8443", None),
            ("http://a/b c?d=1#e", "http://a", Some("/b%20c?d=1")),
            ("http://a?d", "http://a", Some("/?d")),
            ("https://${HOST}/x", "https://${HOST}", Some("/x")),
        ] {
            let value = monitor(|monitor, item, draft| {
                assert!(monitor.set_url(url, item, draft), "{url}");
            });
            assert_eq!(value["baseUrl"], base);
            assert_eq!(value.get("healthEndpoint").and_then(Value::as_str), path);
        }
        let value = monitor(|monitor, item, draft| {
            assert!(monitor.set_url("https://me:hunter2@a/x", item, draft));
        });
        assert_eq!(value["authentication"]["password"], "${SHOP_PASSWORD}");
        assert!(!value.to_string().contains("hunter2"));
    }

    #[test]
    fn headers_that_prove_who_we_are_become_credentials() {
        let value = monitor(|monitor, item, draft| {
            monitor.header("Authorization", "Basic bWU6aHVudGVyMg==", item, draft);
            monitor.header("X-Api-Key", "hunter3", item, draft);
            monitor.header("Accept", "text/plain", item, draft);
            monitor.header("Host", "other.example", item, draft);
        });
        let basic = json!({"type": "basic", "username": "me", "password": "${SHOP_PASSWORD}"});
        assert_eq!(value["authentication"], basic);
        let headers = json!({"X-Api-Key": "${SHOP_X_API_KEY}", "Accept": "text/plain"});
        assert_eq!(value["monitoring"]["settings"]["headers"], headers);
    }

    #[test]
    fn a_timeout_is_no_longer_than_the_interval() {
        let value = monitor(|monitor, _, _| {
            monitor.interval = Some(Duration::from_secs(20));
            monitor.timeout = Some(Duration::from_secs(48));
        });
        assert_eq!(
            value["monitoring"],
            json!({"interval": "20s", "timeout": "20s"})
        );
    }
}
