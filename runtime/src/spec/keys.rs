//! Keys of entries, read from their types: a field that is added is known everywhere at once.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::{AlertSpec, AuthenticationSpec, NotificationSpec, ServiceAlertSpec, TemplateUseSpec};

/// Mark of a field that holds a secret, the same as in the settings of plugins.
const SECRET: &str = "x-secret";

impl AlertSpec {
    /// Returns the keys of the entry itself, the others being the settings of its plugin.
    pub fn keys() -> &'static [String] {
        static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| keys_of::<AlertSpec>(|_| true));
        &KEYS
    }
}

impl ServiceAlertSpec {
    /// Returns the keys of the entry itself, the others being the settings of its plugin.
    pub fn keys() -> &'static [String] {
        static KEYS: LazyLock<Vec<String>> =
            LazyLock::new(|| keys_of::<ServiceAlertSpec>(|_| true));
        &KEYS
    }
}

impl NotificationSpec {
    /// Returns the keys of the entry itself, the others being the settings of its plugin.
    pub fn keys() -> &'static [String] {
        static KEYS: LazyLock<Vec<String>> =
            LazyLock::new(|| keys_of::<NotificationSpec>(|_| true));
        &KEYS
    }
}

impl TemplateUseSpec {
    pub fn keys() -> &'static [String] {
        static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| keys_of::<TemplateUseSpec>(|_| true));
        &KEYS
    }
}

impl AuthenticationSpec {
    /// Returns the keys whose values are secret.
    pub fn secret_keys() -> &'static [String] {
        static KEYS: LazyLock<Vec<String>> =
            LazyLock::new(|| keys_of::<AuthenticationSpec>(|schema| schema.get(SECRET).is_some()));
        &KEYS
    }
}

/// Returns the keys of the published schema whose schemas are selected.
fn keys_of<T: JsonSchema>(selects: impl Fn(&Value) -> bool) -> Vec<String> {
    let schema = schemars::schema_for!(T).to_value();
    let properties = schema.get("properties").and_then(Value::as_object);
    let selected = properties
        .into_iter()
        .flat_map(Map::iter)
        .filter(|(_, schema)| selects(schema));
    selected.map(|(key, _)| key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_of_a_credential_is_secret_or_known_to_be_open() {
        const OPEN: [&str; 29] = [
            "type",
            "in",
            "header",
            "parameter",
            "username",
            "tokenUrl",
            "clientId",
            "scopes",
            "audience",
            "clientAuth",
            "certificate",
            "hosts",
            "grant",
            "issuer",
            "subject",
            "assertionAudience",
            "keyId",
            "secretEncoding",
            "algorithm",
            "sign",
            "format",
            "encoding",
            "timestamp",
            "timestampHeader",
            "keyHeader",
            "accessKey",
            "region",
            "service",
            "expires",
        ];
        let secret = AuthenticationSpec::secret_keys();
        assert_eq!(
            secret,
            [
                "value",
                "password",
                "token",
                "refreshToken",
                "clientSecret",
                "key",
                "secret",
                "secretKey",
                "sessionToken"
            ]
            .map(str::to_owned)
        );
        for key in keys_of::<AuthenticationSpec>(|_| true) {
            let names_file = ["File", "Command"].iter().any(|suffix| {
                key.strip_suffix(suffix).is_some_and(|key| {
                    key == "certificate" || secret.iter().any(|secret| secret == key)
                })
            });
            assert!(
                secret.contains(&key) || OPEN.contains(&key.as_str()) || names_file,
                "`{key}` holds a secret and needs `x-secret`, or belongs to those that are open"
            );
        }
    }

    #[test]
    fn keys_of_flattened_parts_are_keys_of_the_entry() {
        for key in ["name", "for", "flapping", "noDataAfter", "template", "with"] {
            assert!(
                ServiceAlertSpec::keys().iter().any(|own| own == key),
                "{key}"
            );
            assert!(AlertSpec::keys().iter().any(|own| own == key), "{key}");
        }
        assert!(AlertSpec::keys().iter().any(|own| own == "where"));
        assert_eq!(
            TemplateUseSpec::keys(),
            ["template", "with"].map(str::to_owned)
        );
    }
}
