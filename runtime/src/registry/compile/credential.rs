//! From `authentication` and `credentials` to what the host adds to requests.

use http::{HeaderName, HeaderValue};
use secrecy::SecretString;
use url::Url;

use crate::domain::{ClientAuth, Credential, CredentialKind, OAuth2, SHORTEST_HIDDEN_BYTES};
use crate::net::{ClientIdentity, HostRule, is_connection_header};
use crate::registry::fault::{Report, child, list};
use crate::registry::spec::{
    AuthenticationKind, AuthenticationPlace, AuthenticationSpec, ClientAuthSpec, ServiceSpec,
};

/// More is a mistake.
const MAX_CREDENTIALS: usize = 32;
const MAX_ENTRIES: usize = 32;
const MAX_SECRET_BYTES: usize = 16 * 1024;
const MAX_PEM_BYTES: usize = 64 * 1024;

/// All of a service: that of `authentication` is named `default`.
pub(super) fn credentials(spec: &ServiceSpec, at: &str, report: &mut Report) -> Vec<Credential> {
    let main = spec.authentication.as_ref();
    let mut credentials: Vec<Credential> = main
        .and_then(|spec| credential(spec, "default", &child(at, "authentication"), report))
        .into_iter()
        .collect();
    let at = child(at, "credentials");
    if spec.credentials.len() > MAX_CREDENTIALS {
        report.fault(&at, format!("must have at most {MAX_CREDENTIALS} entries"));
    }
    for (name, spec) in spec.credentials.iter().take(MAX_CREDENTIALS) {
        let place = child(&at, name);
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if name == "default" {
            report.fault(
                &place,
                "is the name of the credential in `authentication`; write it there",
            );
        } else if name == "none" || name.is_empty() || name.len() > 64 || !name.chars().all(is_word)
        {
            report.fault(
                &place,
                "is no name for a credential; use letters, digits, `-` and `_`, at most 64, and not `none`",
            );
        } else if spec.kind == AuthenticationKind::None {
            report.fault(
                child(&place, "type"),
                "`none` is no credential; leave the entry out",
            );
        } else {
            credentials.extend(credential(spec, name, &place, report));
        }
    }
    credentials
}

/// `None` without credentials, which is a fault or a warning unless it was wanted.
fn credential(
    spec: &AuthenticationSpec,
    name: &str,
    at: &str,
    report: &mut Report,
) -> Option<Credential> {
    let kind = Form::of(spec);
    kind.refuse_other_keys(spec, at, report);
    let hosts = hosts(&spec.hosts, at, report);
    let kind = match kind {
        Form::None => return None,
        Form::Header => CredentialKind::Header {
            header: header_name(spec, at, report)?,
            value: secret(spec.value.as_deref(), "value", "API key", at, report)?,
        },
        Form::Query => CredentialKind::Query {
            parameter: required(
                spec.parameter.as_deref(),
                "parameter",
                "name of the query parameter",
                at,
                report,
            )?,
            value: secret(spec.value.as_deref(), "value", "API key", at, report)?,
        },
        Form::Bearer => CredentialKind::Bearer {
            token: secret(spec.token.as_deref(), "token", "bearer token", at, report)?,
        },
        Form::Basic => CredentialKind::Basic {
            username: required(
                spec.username.as_deref(),
                "username",
                "user name",
                at,
                report,
            )?,
            // Some vendors take the key as user name and want the password empty.
            password: match spec.password.as_deref() {
                Some("") => SecretString::from(""),
                password => secret(password, "password", "password", at, report)?,
            },
        },
        Form::OAuth2 => CredentialKind::OAuth2(oauth2(spec, at, report)?),
        Form::Mtls => mtls(spec, at, report)?,
    };
    Some(Credential {
        name: name.to_owned(),
        kind,
        hosts,
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    None,
    Header,
    Query,
    Bearer,
    Basic,
    OAuth2,
    Mtls,
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
            AuthenticationKind::Oauth2 => Self::OAuth2,
            AuthenticationKind::Mtls => Self::Mtls,
        }
    }

    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Header => &["in", "header", "value", "hosts"],
            Self::Query => &["in", "parameter", "value", "hosts"],
            Self::Bearer => &["token", "hosts"],
            Self::Basic => &["username", "password", "hosts"],
            Self::OAuth2 => &[
                "tokenUrl",
                "clientId",
                "clientSecret",
                "scopes",
                "audience",
                "clientAuth",
                "hosts",
            ],
            Self::Mtls => &["certificate", "key", "hosts"],
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
            ("tokenUrl", spec.token_url.is_some()),
            ("clientId", spec.client_id.is_some()),
            ("clientSecret", spec.client_secret.is_some()),
            ("scopes", !spec.scopes.is_empty()),
            ("audience", spec.audience.is_some()),
            ("clientAuth", spec.client_auth.is_some()),
            ("certificate", spec.certificate.is_some()),
            ("key", spec.key.is_some()),
            ("hosts", !spec.hosts.is_empty()),
        ];
        for (key, _) in given
            .into_iter()
            .filter(|(key, given)| *given && !self.keys().contains(key))
        {
            let uses = match self.keys() {
                [] => "none".to_owned(),
                keys => list(keys.iter().copied()),
            };
            report.fault(
                child(at, key),
                format!("has no meaning with this `type`, which uses {uses}"),
            );
        }
        for (key, given) in [
            ("valueFile", spec.value_file.is_some()),
            ("passwordFile", spec.password_file.is_some()),
            ("tokenFile", spec.token_file.is_some()),
            ("clientSecretFile", spec.client_secret_file.is_some()),
            ("certificateFile", spec.certificate_file.is_some()),
            ("keyFile", spec.key_file.is_some()),
        ] {
            if given {
                report.fault(
                    child(at, key),
                    "is read in configuration files only; send the secret itself",
                );
            }
        }
    }
}

fn oauth2(spec: &AuthenticationSpec, at: &str, report: &mut Report) -> Option<OAuth2> {
    let token_url = required(
        spec.token_url.as_deref(),
        "tokenUrl",
        "token endpoint",
        at,
        report,
    );
    let client_id = required(
        spec.client_id.as_deref(),
        "clientId",
        "client id",
        at,
        report,
    );
    let client_secret = secret(
        spec.client_secret.as_deref(),
        "clientSecret",
        "client secret",
        at,
        report,
    );
    let token_url = token_url.filter(|url| {
        let place = child(at, "tokenUrl");
        match Url::parse(url) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                report.fault(
                    place,
                    "must not hold a user name or password; they are `clientId` and `clientSecret`",
                );
            }
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                if url.scheme() == "http" {
                    report.warn(
                        place,
                        "is no `https` URL, so the client secret can be read on its way",
                    );
                }
                return true;
            }
            _ => report.fault(
                place,
                "must be a URL such as `https://login.example.com/oauth2/token`",
            ),
        }
        false
    });
    // RFC 6749, 3.3; they are joined by spaces.
    let is_scope =
        |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic());
    if spec.scopes.len() > MAX_ENTRIES || !spec.scopes.iter().all(is_scope) {
        let message = format!("must be at most {MAX_ENTRIES} words, one entry each");
        report.fault(child(at, "scopes"), message);
    }
    Some(OAuth2 {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scopes: spec.scopes.clone(),
        audience: spec.audience.clone(),
        client_auth: match spec.client_auth {
            None | Some(ClientAuthSpec::Basic) => ClientAuth::Basic,
            Some(ClientAuthSpec::Post) => ClientAuth::Post,
        },
    })
}

fn mtls(spec: &AuthenticationSpec, at: &str, report: &mut Report) -> Option<CredentialKind> {
    let certificate = required(
        spec.certificate.as_deref(),
        "certificate",
        "client certificate",
        at,
        report,
    );
    let key = required(spec.key.as_deref(), "key", "private key", at, report);
    let (certificate, key) = (certificate?, key?);
    if key == "***" {
        report.fault(child(at, "key"), nothing_kept());
        return None;
    }
    if certificate.len().max(key.len()) > MAX_PEM_BYTES {
        report.fault(
            at,
            format!("has a certificate or key of more than {MAX_PEM_BYTES} bytes"),
        );
        return None;
    }
    match ClientIdentity::from_pem(&certificate, &key) {
        Ok(_) => Some(CredentialKind::Mtls {
            certificate,
            key: key.into(),
        }),
        Err(fault) => {
            report.fault(at, fault);
            None
        }
    }
}

/// In the form in which they are compared.
pub(super) fn hosts(written: &[String], at: &str, report: &mut Report) -> Vec<String> {
    let at = child(at, "hosts");
    if written.len() > MAX_ENTRIES {
        report.fault(&at, format!("must have at most {MAX_ENTRIES} entries"));
    }
    let mut hosts = Vec::new();
    for (index, host) in written.iter().take(MAX_ENTRIES).enumerate() {
        match HostRule::parse(host) {
            Ok(rule) => hosts.push(rule.to_string()),
            Err(error) => report.fault(child(&at, index), error.to_string()),
        }
    }
    hosts
}

fn required(
    value: Option<&str>,
    key: &str,
    noun: &str,
    at: &str,
    report: &mut Report,
) -> Option<String> {
    match value {
        Some(value) if !value.is_empty() => Some(value.to_owned()),
        _ => {
            report.fault(child(at, key), format!("is missing ({noun})"));
            None
        }
    }
}

fn nothing_kept() -> &'static str {
    "`***` stands for a secret that is kept, but there is none to keep; write it out"
}

/// Without the secret the service is watched all the same: the seed's example has none.
fn secret(
    value: Option<&str>,
    key: &str,
    noun: &str,
    at: &str,
    report: &mut Report,
) -> Option<SecretString> {
    match value {
        None | Some("") => {
            let place = if value.is_some() {
                child(at, key)
            } else {
                at.to_owned()
            };
            report.warn(
                place,
                format!(
                    "there is no {noun}, so requests go without it; set `{key}: \"${{VARIABLE}}\"` or `{key}File: PATH`"
                ),
            );
            None
        }
        Some("***") => {
            report.fault(child(at, key), nothing_kept());
            None
        }
        Some(text) if text.len() > MAX_SECRET_BYTES => {
            report.fault(
                child(at, key),
                format!("is longer than {MAX_SECRET_BYTES} bytes"),
            );
            None
        }
        Some(text) if HeaderValue::from_str(text).is_err() => {
            report.fault(
                child(at, key),
                "holds characters that a header can't carry, such as a line break",
            );
            None
        }
        Some(text) => {
            if text.len() < SHORTEST_HIDDEN_BYTES {
                let message = format!(
                    "is shorter than {SHORTEST_HIDDEN_BYTES} characters: easily guessed, and not taken out of answers and logs"
                );
                report.warn(child(at, key), message);
            }
            Some(SecretString::from(text))
        }
    }
}

fn header_name(spec: &AuthenticationSpec, at: &str, report: &mut Report) -> Option<String> {
    let name = spec.header.as_deref().unwrap_or("X-API-Key");
    let message = match HeaderName::from_bytes(name.as_bytes()) {
        Err(_) => format!("`{name}` is not the name of a header"),
        // They say how the message is carried.
        Ok(parsed)
            if is_connection_header(parsed.as_str())
                || matches!(parsed.as_str(), "host" | "content-length") =>
        {
            format!("`{name}` can't carry a credential")
        }
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
        let credential = credential(
            &serde_json::from_value(spec).unwrap(),
            "default",
            "",
            &mut report,
        );
        let text = match credential.map(|credential| credential.kind) {
            None => "none".to_owned(),
            Some(CredentialKind::Header { header, value }) => {
                format!("{header}: {}", value.expose_secret())
            }
            Some(CredentialKind::Bearer { token }) => format!("Bearer {}", token.expose_secret()),
            Some(CredentialKind::Basic { username, password }) => {
                format!("{username}:{}", password.expose_secret())
            }
            Some(CredentialKind::Query { parameter, value }) => {
                format!("?{parameter}={}", value.expose_secret())
            }
            Some(CredentialKind::OAuth2(oauth)) => format!(
                "{} {}:{} {:?} {} {:?}",
                oauth.token_url,
                oauth.client_id,
                oauth.client_secret.expose_secret(),
                oauth.client_auth,
                oauth.scopes.join("+"),
                oauth.audience
            ),
            Some(CredentialKind::Mtls { .. }) => "mtls".to_owned(),
        };
        let told = report.faults.iter().chain(&report.warnings);
        (
            text,
            told.map(|fault| format!("{}: {}", fault.pointer, fault.message))
                .collect(),
        )
    }

    #[test]
    fn reads_each_form() {
        for (spec, wanted) in [
            (json!({"type": "none"}), "none"),
            (
                json!({"type": "api_key", "value": "k3y-k3y"}),
                "X-API-Key: k3y-k3y",
            ),
            (
                json!({"type": "api_key", "header": "X-K", "value": "k3y-k3y"}),
                "X-K: k3y-k3y",
            ),
            (
                json!({"type": "api_key", "parameter": "key", "value": "k3y-k3y"}),
                "?key=k3y-k3y",
            ),
            (
                json!({"type": "api_key", "in": "query", "parameter": "key", "value": "k3y-k3y"}),
                "?key=k3y-k3y",
            ),
            (
                json!({"type": "query", "parameter": "key", "value": "k3y-k3y"}),
                "?key=k3y-k3y",
            ),
            (
                json!({"type": "bearer", "token": "t0ken!"}),
                "Bearer t0ken!",
            ),
            (
                json!({"type": "basic", "username": "u", "password": "passwd"}),
                "u:passwd",
            ),
            (
                json!({"type": "basic", "username": "u", "password": ""}),
                "u:",
            ),
            (
                json!({"type": "oauth2", "tokenUrl": "https://l/t", "clientId": "i", "clientSecret": "s3cret"}),
                "https://l/t i:s3cret Basic  None",
            ),
            (
                json!({
                    "type": "oauth2", "tokenUrl": "https://l/t", "clientId": "i", "clientSecret": "s3cret",
                    "scopes": ["a", "b:c"], "audience": "u", "clientAuth": "post",
                }),
                "https://l/t i:s3cret Post a+b:c Some(\"u\")",
            ),
        ] {
            assert_eq!(
                compiled(spec.clone()),
                (wanted.to_owned(), vec![]),
                "{spec}"
            );
        }
    }

    #[test]
    fn says_what_is_missing_or_has_no_meaning() {
        for (spec, wanted) in [
            (
                json!({"type": "api_key", "header": "X-K"}),
                ": there is no API key, so requests go without it; set `value: \"${VARIABLE}\"` or `valueFile: PATH`",
            ),
            (
                json!({"type": "bearer", "token": "abc"}),
                "/token: is shorter than 6 characters: easily guessed, and not taken out of answers and logs",
            ),
            (
                json!({"type": "bearer", "token": "t0ken!", "hosts": ["a b"]}),
                "/hosts/0: `a b` is not a host name or address: invalid international domain name",
            ),
            (
                json!({"type": "oauth2", "tokenUrl": "ftp://l/t", "clientId": "i", "clientSecret": "s3cret"}),
                "/tokenUrl: must be a URL such as `https://login.example.com/oauth2/token`",
            ),
            (
                json!({"type": "oauth2", "tokenUrl": "http://l/t", "clientId": "i", "clientSecret": "s3cret"}),
                "/tokenUrl: is no `https` URL, so the client secret can be read on its way",
            ),
            (
                json!({
                    "type": "oauth2", "tokenUrl": "https://l/t", "clientId": "i", "clientSecret": "s3cret",
                    "scopes": ["a b"],
                }),
                "/scopes: must be at most 32 words, one entry each",
            ),
            (
                json!({"type": "mtls", "key": "k"}),
                "/certificate: is missing (client certificate)",
            ),
            (
                json!({"type": "mtls", "certificate": "c", "key": "k"}),
                ": there is no `BEGIN CERTIFICATE` in the certificate",
            ),
            (
                json!({"type": "query", "value": "k3y-k3y"}),
                "/parameter: is missing (name of the query parameter)",
            ),
            (
                json!({"type": "basic", "password": "passwd"}),
                "/username: is missing (user name)",
            ),
            (
                json!({"type": "bearer", "token": "a\nb"}),
                "/token: holds characters that a header can't carry, such as a line break",
            ),
            (
                json!({"type": "bearer", "token": "t0ken!", "value": "k3y-k3y"}),
                "/value: has no meaning with this `type`, which uses `token`, `hosts`",
            ),
            (
                json!({"type": "api_key", "header": "Host", "value": "k3y-k3y"}),
                "/header: `Host` can't carry a credential",
            ),
            (
                json!({"type": "api_key", "header": "a b", "value": "k3y-k3y"}),
                "/header: `a b` is not the name of a header",
            ),
            (
                json!({"type": "bearer", "token": "***"}),
                "/token: `***` stands for a secret that is kept, but there is none to keep; write it out",
            ),
        ] {
            assert_eq!(compiled(spec.clone()).1, [wanted], "{spec}");
        }
    }

    #[test]
    fn reads_a_client_certificate() {
        let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let spec = json!({
            "type": "mtls", "certificate": made.cert.pem(), "key": made.signing_key.serialize_pem(),
        });
        assert_eq!(compiled(spec), ("mtls".to_owned(), vec![]));
    }

    #[test]
    fn names_are_words_and_each_is_taken_once() {
        let bearer =
            json!({"type": "bearer", "token": "t0ken!", "hosts": ["B.example:8443", "c.example"]});
        let spec = json!({
            "name": "a", "baseUrl": "https://a", "authentication": bearer.clone(),
            "credentials": {"ops_2": bearer.clone(), "none": bearer.clone(), "default": bearer.clone(), "a b": bearer, "x": {"type": "none"}},
        });
        let mut report = Report::default();
        let found = credentials(&serde_json::from_value(spec).unwrap(), "", &mut report);
        let names: Vec<&str> = found
            .iter()
            .map(|credential| credential.name.as_str())
            .collect();
        assert_eq!(names, ["default", "ops_2"]);
        assert_eq!(found[1].hosts, ["b.example:8443", "c.example"]);
        let places: Vec<&str> = report
            .faults
            .iter()
            .map(|fault| fault.pointer.as_str())
            .collect();
        assert_eq!(
            places,
            [
                "/credentials/a b",
                "/credentials/default",
                "/credentials/none",
                "/credentials/x/type"
            ]
        );
    }

    #[test]
    fn reads_no_file_for_the_api() {
        let (_, told) = compiled(json!({"type": "bearer", "tokenFile": "/etc/passwd"}));
        assert!(
            told[0].starts_with("/tokenFile: is read in configuration files only"),
            "{told:?}"
        );
    }
}
