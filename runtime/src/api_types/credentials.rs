//! Credentials of services, without their values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{ExpirySource, Origin};

/// A credential. Its values are shown nowhere.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialBody {
    /// Slug of its service.
    pub service: String,
    /// `default` for `authentication` of the service.
    pub name: String,
    /// `api_key`, `query`, `bearer`, `basic`, `oauth2`, `mtls`, `hmac` or `aws_sigv4`.
    pub kind: String,
    pub origin: Origin,
    /// Last time it was put into a request, some seconds late; null: it never was.
    pub last_used_at: Option<String>,
    /// Moment from which it is taken no more; null: it is not known.
    pub expires_at: Option<String>,
    /// Where that moment is from.
    pub expires_from: Option<ExpirySource>,
}
