//! The service of a vendor, as it is written into a file or sent to the API.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::catalog::VendorError;
use crate::domain::fault::suggest;
use crate::spec::{
    AuthenticationKind, ServiceSpec, StatusPageFormat, VendorCredentialSpec, VendorSpec,
};

/// Bundled probe that reads status pages, and how often it does: pages change slowly, and their
/// vendors limit who asks.
const STATUS_PAGE: &str = "status-page";
const STATUS_PAGE_INTERVAL: &str = "5m";

/// What the operator wants of the service.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Name of the service; the vendor's title if not given.
    pub name: Option<String>,
    /// Values of the vendor's parameters.
    pub parameters: BTreeMap<String, String>,
    /// With the webhook by which the vendor reports.
    pub webhook: bool,
    /// With a probe of the status page.
    pub status_page: bool,
}

/// Where secrets come from.
#[derive(Clone, Copy)]
pub enum Secrets<'a> {
    /// `${NAME}` stands in the file, and is put in when it is read.
    Named,
    /// They are put in now; one that is not there leaves out what needs it.
    Values(&'a dyn Fn(&str) -> Option<String>),
}

/// A service of a vendor.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub service: ServiceSpec,
    /// Variables of the environment that it needs: named in the file, or missed.
    pub variables: Vec<String>,
}

impl Draft {
    pub fn of(
        vendor: &VendorSpec,
        options: &Options,
        secrets: Secrets<'_>,
    ) -> Result<Self, VendorError> {
        let values = parameters(vendor, options)?;
        let vendor = filled(vendor, &values);
        let mut variables = Vec::new();
        let mut service = described(&vendor, options);
        if let Some(credential) = &vendor.credential
            && let Some(authentication) = authentication(credential, secrets, &mut variables)
        {
            service.insert("authentication".to_owned(), authentication);
        }
        if let Some(webhook) = vendor.webhook.as_ref().filter(|_| options.webhook)
            && let Some(secret) = secret_of(&webhook.secret_env, secrets, &mut variables)
        {
            let mut settings = webhook.settings.0.clone();
            settings.insert("secret".to_owned(), secret.into());
            let entry = json!([{"plugin": webhook.plugin, "settings": settings}]);
            service.insert("webhooks".to_owned(), entry);
        }
        let service =
            serde_json::from_value(Value::Object(service)).map_err(|error| VendorError::Entry {
                file: vendor.name.clone(),
                reason: error.to_string(),
            })?;
        Ok(Self { service, variables })
    }
}

/// Returns the service without what needs secrets.
fn described(vendor: &VendorSpec, options: &Options) -> Map<String, Value> {
    let mut settings = Map::new();
    if let Some(text) = &vendor.health.body_contains {
        settings.insert("bodyContains".to_owned(), json!(text));
    }
    let health = &vendor.health;
    // The refusal that proves life is one of a request without a credential.
    let is_refusal = matches!(health.expected_status.as_u64(), None | Some(400..));
    if vendor.credential.is_some() && health.anonymous.unwrap_or(is_refusal) {
        settings.insert("auth".to_owned(), json!("none"));
    }
    let mut monitoring = json!({"expectedStatus": vendor.health.expected_status});
    let is_url = vendor.health.path.contains("://");
    if is_url {
        settings.insert("path".to_owned(), json!(vendor.health.path));
    }
    if !settings.is_empty() {
        monitoring["settings"] = Value::Object(settings);
    }
    let mut service = json!({
        "name": options.name.as_ref().unwrap_or(&vendor.title),
        "type": vendor.kind.as_deref().unwrap_or("REST"),
        "baseUrl": vendor.base_url,
        "monitoring": monitoring,
        "labels": {"vendor": vendor.name},
    });
    if !is_url {
        service["healthEndpoint"] = json!(vendor.health.path);
    }
    if let Some(rules) = &vendor.rate_limits {
        service["rateLimits"] = json!(rules);
    }
    if let Some(page) = &vendor.status_page {
        service["description"] = json!(format!("Status page: {}", page.url));
        if options.status_page && page.format != StatusPageFormat::Html {
            service["probes"] = json!([{
                "plugin": STATUS_PAGE,
                "interval": STATUS_PAGE_INTERVAL,
                "settings": {"page": page.url, "format": page.format},
            }]);
        }
    }
    match service {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn authentication(
    credential: &VendorCredentialSpec,
    secrets: Secrets<'_>,
    variables: &mut Vec<String>,
) -> Option<Value> {
    let secret = secret_of(&credential.env, secrets, variables)?;
    let secret = format!(
        "{}{secret}",
        credential.prefix.as_deref().unwrap_or_default()
    );
    let mut authentication = json!({"type": credential.kind});
    let key = match credential.kind {
        AuthenticationKind::Bearer => "token",
        AuthenticationKind::Basic => "password",
        AuthenticationKind::ApiKey | AuthenticationKind::Query => "value",
        AuthenticationKind::Oauth2 => "clientSecret",
        AuthenticationKind::Mtls => "key",
        AuthenticationKind::Hmac => "secret",
        AuthenticationKind::AwsSigv4 => "secretKey",
        AuthenticationKind::None => return None,
    };
    authentication[key] = json!(secret);
    for (key, value) in [
        ("header", &credential.header),
        ("parameter", &credential.parameter),
    ] {
        if let Some(value) = value {
            authentication[key] = json!(value);
        }
    }
    if let Some(username) = &credential.username {
        let variable = username
            .strip_prefix("${")
            .and_then(|rest| rest.strip_suffix('}'));
        let username = match variable {
            Some(variable) => secret_of(variable, secrets, variables)?,
            None => username.clone(),
        };
        authentication["username"] = json!(username);
    }
    Some(authentication)
}

/// Notes the variable where it has to be set by the operator.
fn secret_of(variable: &str, secrets: Secrets<'_>, variables: &mut Vec<String>) -> Option<String> {
    let found = match secrets {
        Secrets::Named => {
            variables.push(variable.to_owned());
            return Some(format!("${{{variable}}}"));
        }
        Secrets::Values(value_of) => value_of(variable).filter(|value| !value.is_empty()),
    };
    if found.is_none() {
        variables.push(variable.to_owned());
    }
    found
}

fn parameters(
    vendor: &VendorSpec,
    options: &Options,
) -> Result<BTreeMap<String, String>, VendorError> {
    if let Some(name) = options
        .parameters
        .keys()
        .find(|name| !vendor.parameters.contains_key(*name))
    {
        return Err(VendorError::NoParameter {
            vendor: vendor.name.clone(),
            name: name.clone(),
            nearest: suggest(name, vendor.parameters.keys().map(String::as_str)),
        });
    }
    vendor
        .parameters
        .iter()
        .map(|(name, parameter)| {
            let given = options.parameters.get(name);
            let value =
                given
                    .or(parameter.default.as_ref())
                    .ok_or_else(|| VendorError::Parameter {
                        vendor: vendor.name.clone(),
                        parameter: name.clone(),
                        description: parameter.description.clone(),
                        example: parameter.example.clone(),
                    })?;
            Ok((name.clone(), value.clone()))
        })
        .collect()
}

/// Puts values in where `{name}` stands.
fn filled(vendor: &VendorSpec, values: &BTreeMap<String, String>) -> VendorSpec {
    let fill = |text: &str| {
        values.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
    };
    let mut filled = vendor.clone();
    filled.base_url = fill(&vendor.base_url);
    filled.health.path = fill(&vendor.health.path);
    if let Some(page) = &mut filled.status_page {
        page.url = fill(&page.url);
    }
    if let Some(credential) = &mut filled.credential {
        credential.username = credential.username.as_deref().map(fill);
    }
    filled
}
