//! A service that is watched: where it is, how we prove who we are, and what is asked of it.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    GatewaySettings, HmacSigning, PrivateReach, RateLimitRules, ServiceProfile, SigV4, UnixMillis,
    VendorMeter, clear_secret,
};

/// Owner of a service: what comes from files can't be changed over the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    File,
    Api,
}

/// Service that is watched and not operated by the reader.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    pub slug: String,
    pub name: String,
    /// The seed's word, e.g. `REST`.
    pub kind: String,
    pub base_url: String,
    pub health_endpoint: Option<String>,
    pub tags: Vec<String>,
    /// Labels of its own, by which its alerts are matched and grouped.
    pub labels: BTreeMap<String, String>,
    /// Slugs of services whose alerts mute its own.
    pub depends_on: Vec<String>,
    pub owner: Option<String>,
    pub description: Option<String>,
    #[serde(default)]
    pub profile: ServiceProfile,
    #[serde(default)]
    pub slo: Option<Slo>,
    /// Rules by which rate limits in its answers are read.
    #[serde(default)]
    pub rate_limits: RateLimitRules,
    pub origin: Origin,
    /// Further hosts that its probes may reach, `name` or `name:port`; a name without a port is
    /// reached at the usual ports and at the base URL's.
    pub hosts: Vec<String>,
    pub private: PrivateReach,
    pub credentials: Vec<Credential>,
    pub probes: Vec<Probe>,
    pub webhooks: Vec<Webhook>,
    #[serde(default)]
    pub meters: Vec<VendorMeter>,
    /// None: no consumer may call it.
    #[serde(default)]
    pub gateway: Option<GatewaySettings>,
}

/// Service level objective: what availability is wanted over how long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// Percent of the time that counts; above 0 and below 100.
    pub target: f64,
    /// Days up to now.
    pub days: u32,
}

impl Slo {
    /// Hours are kept longer than the longest window.
    pub const MAX_DAYS: u32 = 90;
    pub const DEFAULT_DAYS: u32 = 30;
}

/// Facts about a service that plugins see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceFacts {
    pub slug: String,
    pub name: String,
    /// The seed's word, e.g. `REST`.
    pub kind: String,
    pub base_url: String,
    pub health_endpoint: Option<String>,
}

impl Service {
    pub fn facts(&self) -> ServiceFacts {
        ServiceFacts {
            slug: self.slug.clone(),
            name: self.name.clone(),
            kind: self.kind.clone(),
            base_url: self.base_url.clone(),
            health_endpoint: self.health_endpoint.clone(),
        }
    }
}

/// Shorter secrets are not taken out of answers, logs and errors: they would take words and numbers
/// out with them.
pub const MIN_HIDDEN_BYTES: usize = 6;

/// How the host proves who we are. Never seen by a plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// `default` for the service's `authentication`.
    pub name: String,
    pub kind: CredentialKind,
    /// Where it goes beside the service's own origin: `name` or `name:port`, in lower case.
    pub hosts: Vec<String>,
    /// None: it is not known to end.
    #[serde(default)]
    pub expiry: Option<CredentialExpiry>,
}

/// Moment from which a credential is taken no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialExpiry {
    pub at_ms: UnixMillis,
    pub source: ExpirySource,
}

/// Where the moment is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExpirySource {
    /// `expires` of the credential.
    Written,
    Certificate,
    /// `exp` of a token that is a JWT.
    Token,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CredentialKind {
    /// A header with the secret as its value.
    Header {
        header: String,
        #[serde(with = "clear_secret")]
        value: SecretString,
    },
    Bearer {
        #[serde(with = "clear_secret")]
        token: SecretString,
    },
    Basic {
        username: String,
        #[serde(with = "clear_secret")]
        password: SecretString,
    },
    Query {
        parameter: String,
        #[serde(with = "clear_secret")]
        value: SecretString,
    },
    /// A token that is asked for, used until it ends, and asked for again.
    OAuth2(OAuth2),
    /// A certificate of ours, shown in the TLS handshake.
    Mtls {
        /// PEM; ours first.
        certificate: String,
        /// PEM
        #[serde(with = "clear_secret")]
        key: SecretString,
    },
    /// A signature of each request.
    Hmac(HmacSigning),
    SigV4(SigV4),
}

impl CredentialKind {
    /// Returns the word for it in `type` of `authentication`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Header { .. } => "api_key",
            Self::Bearer { .. } => "bearer",
            Self::Basic { .. } => "basic",
            Self::Query { .. } => "query",
            Self::OAuth2(_) => "oauth2",
            Self::Mtls { .. } => "mtls",
            Self::Hmac(_) => "hmac",
            Self::SigV4(_) => "aws_sigv4",
        }
    }
}

/// Access tokens of OAuth 2.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2 {
    pub token_url: String,
    /// Empty: the grant needs none.
    pub client_id: String,
    /// Empty: the client has none.
    #[serde(with = "clear_secret")]
    pub client_secret: SecretString,
    pub scopes: Vec<String>,
    pub audience: Option<String>,
    pub client_auth: ClientAuth,
    pub grant: OAuth2Grant,
}

/// What a token is asked for with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OAuth2Grant {
    /// RFC 6749, 4.4.
    ClientCredentials,
    /// RFC 6749, 6: the refresh token as it was written, which is the first of those that may follow.
    RefreshToken {
        #[serde(with = "clear_secret")]
        token: SecretString,
    },
    /// RFC 7523, 2.1.
    JwtBearer(JwtBearer),
}

/// An assertion that is signed for each token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JwtBearer {
    /// PEM
    #[serde(with = "clear_secret")]
    pub key: SecretString,
    pub key_id: Option<String>,
    pub issuer: String,
    pub subject: String,
    pub audience: String,
}

/// Form in which the token endpoint gets client id and secret (RFC 6749, 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// Sent in the `Authorization` header.
    Basic,
    /// Sent in the form.
    Post,
}

/// One scheduled check of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Unique in its service.
    pub name: String,
    pub plugin: String,
    /// JSON object that the plugin has accepted.
    pub settings: Value,
    pub interval: Duration,
    pub timeout: Duration,
    /// Repetition of a run that fails; none: it is not repeated before its time.
    pub retry: Option<Retry>,
}

/// A run that fails is repeated, before a rule may suspect anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    pub times: u32,
    pub every: Duration,
}

/// Webhook by which a service reports: `/webhooks/SERVICE/NAME`. Settings may hold secrets: printed
/// as `***`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Unique among the webhooks and probes of its service, and as it stands in the URL.
    pub name: String,
    pub plugin: String,
    /// JSON object that the plugin has accepted.
    pub settings: Value,
    /// The operator takes deliveries of which the plugin has checked no signature.
    pub unsigned: bool,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            name,
            plugin,
            unsigned,
            settings: _,
        } = self;
        f.debug_struct("Webhook")
            .field("name", name)
            .field("plugin", plugin)
            .field("unsigned", unsigned)
            .finish()
    }
}
