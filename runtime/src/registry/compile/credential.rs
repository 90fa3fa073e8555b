//! From `authentication` to the credential that the host adds to requests.

use http::{HeaderName, HeaderValue};
use secrecy::SecretString;

use crate::domain::{Credential, CredentialKind};
use crate::registry::fault::{Report, child};
use crate::registry::spec::{AuthenticationKind, AuthenticationPlace, AuthenticationSpec};

/// `None` without credentials, which is a fault or a warning unless it was wanted.
pub(super) fn credential(spec: &AuthenticationSpec, at: &str, report: &mut Report) -> Option<Credential> {
    let kind = Form::of(spec);
    kind.refuse_other_keys(spec, at, report);
    let kind = match kind {
        Form::None => return None,
        Form::Header => CredentialKind::Header {
            header: header_name(spec, at, report)?,
            value: secret(spec.value.as_deref(), "value", "API key", at, report)?,
        },
        Form::Query => CredentialKind::Query {
            parameter: required(spec.parameter.as_deref(), "parameter", "name of the query parameter", at, report)?,
            value: secret(spec.value.as_deref(), "value", "API key", at, report)?,
        },
        Form::Bearer => {
            CredentialKind::Bearer { token: secret(spec.token.as_deref(), "token", "bearer token", at, report)? }
        }
        Form::Basic => CredentialKind::Basic {
            username: required(spec.username.as_deref(), "username", "user name", at, report)?,
            // Some vendors take the key as user name and want the password empty.
            password: match spec.password.as_deref() {
                Some("") => SecretString::from(""),
                password => secret(password, "password", "password", at, report)?,
            },
        },
    };
    Some(Credential { name: "default".to_owned(), kind })
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    None,
    Header,
    Query,
    Bearer,
    Basic,
}

impl Form {
    fn of(spec: &AuthenticationSpec) -> Self {
        let in_query = match spec.place {
            Some(place) => place == AuthenticationPlace::Query,
            None => spec.parameter.is_some() && spec.header.is_none(),
        };
        match spec.kind {
            AuthenticationKind::None => Self::None,
            AuthenticationKind::ApiKey if in_query => Self::Query,
            AuthenticationKind::ApiKey => Self::Header,
            AuthenticationKind::Query => Self::Query,
            AuthenticationKind::Bearer => Self::Bearer,
            AuthenticationKind::Basic => Self::Basic,
        }
    }

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Header => &["in", "header", "value"],
            Self::Query => &["in", "parameter", "value"],
            Self::Bearer => &["token"],
            Self::Basic => &["username", "password"],
        }
    }

    /// A key that this form has no use for is a misunderstanding, and one about secrets.
    fn refuse_other_keys(self, spec: &AuthenticationSpec, at: &str, report: &mut Report) {
        let given = [
            ("in", spec.place.is_some()),
            ("header", spec.header.is_some()),
            ("parameter", spec.parameter.is_some()),
            ("value", spec.value.is_some()),
            ("username", spec.username.is_some()),
            ("password", spec.password.is_some()),
            ("token", spec.token.is_some()),
        ];
        for (key, _) in given.into_iter().filter(|(key, given)| *given && !self.keys().contains(key)) {
            let uses = match self.keys() {
                [] => "none".to_owned(),
                keys => crate::registry::fault::list(keys.iter().copied()),
            };
            report.fault(child(at, key), format!("has no meaning with this `type`, which uses {uses}"));
        }
        for (key, given) in [
            ("valueFile", spec.value_file.is_some()),
            ("passwordFile", spec.password_file.is_some()),
            ("tokenFile", spec.token_file.is_some()),
        ] {
            if given {
                report.fault(child(at, key), "is read in configuration files only; send the secret itself");
            }
        }
    }
}

fn required(value: Option<&str>, key: &str, noun: &str, at: &str, report: &mut Report) -> Option<String> {
    match value {
        Some(value) if !value.is_empty() => Some(value.to_owned()),
        _ => {
            report.fault(child(at, key), format!("is missing ({noun})"));
            None
        }
    }
}

/// Without the secret the service is watched all the same: the seed's example has none.
fn secret(value: Option<&str>, key: &str, noun: &str, at: &str, report: &mut Report) -> Option<SecretString> {
    const MAX_BYTES: usize = 16 * 1024;
    match value {
        None | Some("") => {
            let place = if value.is_some() { child(at, key) } else { at.to_owned() };
            report.warn(
                place,
                format!(
                    "there is no {noun}, so requests go without it; set `{key}: \"${{VARIABLE}}\"` or `{key}File: PATH`"
                ),
            );
            None
        }
        Some("***") => {
            report.fault(
                child(at, key),
                "`***` stands for a secret that is kept, but there is none to keep; write it out",
            );
            None
        }
        Some(text) if text.len() > MAX_BYTES => {
            report.fault(child(at, key), format!("is longer than {MAX_BYTES} bytes"));
            None
        }
        Some(text) if HeaderValue::from_str(text).is_err() => {
            report.fault(child(at, key), "holds characters that a header can't carry, such as a line break");
            None
        }
        Some(text) => Some(SecretString::from(text)),
    }
}

fn header_name(spec: &AuthenticationSpec, at: &str, report: &mut Report) -> Option<String> {
    /// Headers that say how the message is carried.
    const FRAMING: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];
    let name = spec.header.as_deref().unwrap_or("X-API-Key");
    let message = match HeaderName::from_bytes(name.as_bytes()) {
        Err(_) => format!("`{name}` is not the name of a header"),
        Ok(parsed) if FRAMING.contains(&parsed.as_str()) => format!("`{name}` can't carry a credential"),
        Ok(_) => return Some(name.to_owned()),
    };
    report.fault(child(at, "header"), message);
    None
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};

    use super::*;

    fn compiled(spec: Value) -> (String, Vec<String>) {
        let mut report = Report::default();
        let credential = credential(&serde_json::from_value(spec).unwrap(), "", &mut report);
        let text = match credential.map(|credential| credential.kind) {
            None => "none".to_owned(),
            Some(CredentialKind::Header { header, value }) => format!("{header}: {}", value.expose_secret()),
            Some(CredentialKind::Bearer { token }) => format!("Bearer {}", token.expose_secret()),
            Some(CredentialKind::Basic { username, password }) => format!("{username}:{}", password.expose_secret()),
            Some(CredentialKind::Query { parameter, value }) => format!("?{parameter}={}", value.expose_secret()),
        };
        let told = report.faults.iter().chain(&report.warnings);
        (text, told.map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect())
    }

    #[test]
    fn reads_each_form() {
        for (spec, wanted) in [
            (json!({"type": "none"}), "none"),
            (json!({"type": "api_key", "value": "k"}), "X-API-Key: k"),
            (json!({"type": "api_key", "header": "X-K", "value": "k"}), "X-K: k"),
            (json!({"type": "api_key", "parameter": "key", "value": "k"}), "?key=k"),
            (json!({"type": "api_key", "in": "query", "parameter": "key", "value": "k"}), "?key=k"),
            (json!({"type": "query", "parameter": "key", "value": "k"}), "?key=k"),
            (json!({"type": "bearer", "token": "t"}), "Bearer t"),
            (json!({"type": "basic", "username": "u", "password": "p"}), "u:p"),
            (json!({"type": "basic", "username": "u", "password": ""}), "u:"),
        ] {
            assert_eq!(compiled(spec.clone()), (wanted.to_owned(), vec![]), "{spec}");
        }
    }

    #[test]
    fn says_what_is_missing_or_has_no_meaning() {
        for (spec, wanted) in [
            (
                json!({"type": "api_key", "header": "X-K"}),
                ": there is no API key, so requests go without it; set `value: \"${VARIABLE}\"` or `valueFile: PATH`",
            ),
            (json!({"type": "query", "value": "k"}), "/parameter: is missing (name of the query parameter)"),
            (json!({"type": "basic", "password": "p"}), "/username: is missing (user name)"),
            (
                json!({"type": "bearer", "token": "a\nb"}),
                "/token: holds characters that a header can't carry, such as a line break",
            ),
            (
                json!({"type": "bearer", "token": "t", "value": "k"}),
                "/value: has no meaning with this `type`, which uses `token`",
            ),
            (json!({"type": "api_key", "header": "Host", "value": "k"}), "/header: `Host` can't carry a credential"),
            (json!({"type": "api_key", "header": "a b", "value": "k"}), "/header: `a b` is not the name of a header"),
            (
                json!({"type": "bearer", "token": "***"}),
                "/token: `***` stands for a secret that is kept, but there is none to keep; write it out",
            ),
        ] {
            assert_eq!(compiled(spec.clone()).1, [wanted], "{spec}");
        }
    }

    #[test]
    fn reads_no_file_for_the_api() {
        let (_, told) = compiled(json!({"type": "bearer", "tokenFile": "/etc/passwd"}));
        assert!(told[0].starts_with("/tokenFile: is read in configuration files only"), "{told:?}");
    }
}
