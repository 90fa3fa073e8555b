//! Credentials as people write them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationSpec;
use crate::domain::{SecretEncoding, SignatureEncoding, SigningAlgorithm, TimestampForm};

/// How we prove who we are. The host adds it to requests; no plugin sees it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthenticationSpec {
    /// `none`, `api_key` (`header` or `parameter`, `value`), `bearer` (`token`), `basic`
    /// (`username`, `password`), `query` (`parameter`, `value`), `oauth2` (`tokenUrl`, `grant`,
    /// `clientId`, `clientSecret`, `scopes`, `audience`, `clientAuth`), `mtls` (`certificate`,
    /// `key`), `hmac` (`secret`, `sign`) or `aws_sigv4` (`accessKey`, `secretKey`, `region`,
    /// `service`).
    #[serde(rename = "type")]
    pub kind: AuthenticationKind,
    /// Where an API key goes. Default: `query` with a `parameter`, else `header`.
    #[serde(rename = "in", default, skip_serializing_if = "Option::is_none")]
    pub place: Option<AuthenticationPlace>,
    /// Name of the header. Default: `X-API-Key`; of `hmac`: `X-Signature`.
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
    /// Command that writes the API key. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_command: Option<SecretCommandSpec>,
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
    /// Command that writes the password. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_command: Option<SecretCommandSpec>,
    /// Token of `bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pub token: Option<String>,
    /// File that holds the token. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// Command that writes the token. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_command: Option<SecretCommandSpec>,
    /// Token endpoint of `oauth2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// How a token of `oauth2` is asked for. Default: `refresh_token` with a `refreshToken`, else
    /// `client_credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<OAuth2GrantSpec>,
    /// Refresh token of `oauth2`. Those that the token endpoint gives in its place are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pub refresh_token: Option<String>,
    /// File that holds the refresh token. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_file: Option<String>,
    /// Command that writes the refresh token. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_command: Option<SecretCommandSpec>,
    /// Issuer in the assertion of `jwt_bearer`. Default: `clientId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Subject in the assertion of `jwt_bearer`. Default: `issuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Audience in the assertion of `jwt_bearer`. Default: `tokenUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion_audience: Option<String>,
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
    /// Command that writes the client secret. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_command: Option<SecretCommandSpec>,
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
    /// Command that writes the certificate. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_command: Option<SecretCommandSpec>,
    /// PEM of the private key of `mtls`, or of `jwt_bearer` (RSA signs as RS256, P-256 as ES256),
    /// not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pub key: Option<String>,
    /// File that holds the private key. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
    /// Command that writes the private key. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_command: Option<SecretCommandSpec>,
    /// Name of the key: in the head of the assertion of `jwt_bearer`, and as `{keyId}` of `hmac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Secret that `hmac` signs with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pub secret: Option<String>,
    /// File that holds the secret of `hmac`. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
    /// Command that writes the secret of `hmac`. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_command: Option<SecretCommandSpec>,
    /// Form in which the secret of `hmac` is written. Default: `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_encoding: Option<SecretEncoding>,
    /// Hash of `hmac`. Default: `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<SigningAlgorithm>,
    /// Text that `hmac` signs, with `{method}`, `{host}`, `{path}`, `{query}`, `{target}` (path and
    /// query), `{timestamp}`, `{keyId}`, `{body}` and `{bodyHash}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<String>,
    /// Value of the header of `hmac`, with `{signature}`, `{timestamp}` and `{keyId}`. Default:
    /// `{signature}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Form of the signature of `hmac`. Default: `hex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<SignatureEncoding>,
    /// Form of `{timestamp}` of `hmac`. Default: `seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<TimestampForm>,
    /// Header that carries `{timestamp}` of `hmac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_header: Option<String>,
    /// Header that carries `keyId` of `hmac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_header: Option<String>,
    /// Access key id of `aws_sigv4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<String>,
    /// Secret access key of `aws_sigv4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pub secret_key: Option<String>,
    /// File that holds the secret access key. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_file: Option<String>,
    /// Command that writes the secret access key. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_command: Option<SecretCommandSpec>,
    /// Session token of `aws_sigv4`, for temporary keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pub session_token: Option<String>,
    /// File that holds the session token. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token_file: Option<String>,
    /// Command that writes the session token. In configuration files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token_command: Option<SecretCommandSpec>,
    /// Region of `aws_sigv4`, e.g. `eu-central-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Service that `aws_sigv4` signs for, e.g. `s3` or `execute-api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Day or moment from which it is taken no more, e.g. `2027-01-31`. Default: as its certificate or
    /// its token has it. An alert fires some days before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
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
    Hmac,
    AwsSigv4,
}

/// How a token of OAuth 2 is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OAuth2GrantSpec {
    /// With client id and secret (RFC 6749, 4.4).
    ClientCredentials,
    /// With a refresh token (RFC 6749, 6).
    RefreshToken,
    /// With an assertion that the private key signs (RFC 7523).
    JwtBearer,
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

/// Program that writes a secret to its standard output. No shell reads the words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretCommandSpec {
    /// Absolute path of the program, then its arguments, one entry each.
    pub command: Vec<String>,
    /// Longest time it may take, in milliseconds or with a unit. Default: `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationSpec>,
    /// Interval at which it runs again, in seconds or with a unit. Default: `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<DurationSpec>,
}
