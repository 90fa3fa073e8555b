//! Credentials as people write them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How we prove who we are. The host adds it to requests; no plugin sees it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthenticationSpec {
    /// `none`, `api_key` (`header` or `parameter`, `value`), `bearer` (`token`), `basic`
    /// (`username`, `password`), `query` (`parameter`, `value`), `oauth2` (`tokenUrl`,
    /// `clientId`, `clientSecret`, `scopes`, `audience`, `clientAuth`) or `mtls`
    /// (`certificate`, `key`).
    #[serde(rename = "type")]
    pub kind: AuthenticationKind,
    /// Where an API key goes. Default: `query` with a `parameter`, else `header`.
    #[serde(rename = "in", default, skip_serializing_if = "Option::is_none")]
    pub place: Option<AuthenticationPlace>,
    /// Name of the header. Default: `X-API-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Name of the query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// The API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pub value: Option<String>,
    /// File that holds the API key. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_file: Option<String>,
    /// User name of `basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password of `basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pub password: Option<String>,
    /// File that holds the password. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// Token of `bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pub token: Option<String>,
    /// File that holds the token. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// Token endpoint of `oauth2`: client credentials grant (RFC 6749, 4.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Client id of `oauth2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Client secret of `oauth2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pub client_secret: Option<String>,
    /// File that holds the client secret. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<String>,
    /// Scopes of the token of `oauth2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Audience of the token of `oauth2`, where the provider wants to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Form in which the token endpoint gets client id and secret. Default: `basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuthSpec>,
    /// PEM of the client certificate of `mtls`, then of those that sign it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// File that holds the certificate. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<String>,
    /// PEM of the private key of `mtls`, not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pub key: Option<String>,
    /// File that holds the private key. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// Hosts it may go to beside that of `baseUrl`: `name` or `name:port`. A plugin that is to
    /// reach them needs a grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

impl fmt::Debug for AuthenticationSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticationSpec")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticationKind {
    #[default]
    None,
    ApiKey,
    Bearer,
    Basic,
    Query,
    Oauth2,
    Mtls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthenticationPlace {
    Header,
    Query,
}

/// RFC 6749, 2.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthSpec {
    /// Sent in the `Authorization` header.
    Basic,
    /// Sent in the form.
    Post,
}
