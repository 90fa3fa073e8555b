//! Signatures of requests: the one body behind requests of plugins and calls through the gateway.

mod hmac;
mod sigv4;

use std::borrow::Cow;
use std::sync::Arc;

use secrecy::ExposeSecret;
use url::{Position, Url};

use super::set_header;
use crate::domain::{
    Credential, CredentialKind, HmacSigning, SigV4, SigningField, UnixMillis, now_ms,
};
use crate::net::{HttpRequest, NetError, NetFailure};
use crate::plugin_host::policy::secrets::SealedSettings;

/// A request as it goes out.
pub struct RequestToSign<'a> {
    pub method: &'a str,
    /// Value of `Host`.
    pub authority: &'a str,
    pub is_tls: bool,
    /// Percent-encoded, as it is sent.
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// Headers that it has already, names in lower case.
    pub headers: Vec<(&'a str, &'a str)>,
    pub payload: SignedPayload<'a>,
}

impl RequestToSign<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }
}

/// Body of a request as far as a signature covers it.
#[derive(Clone, Copy)]
pub enum SignedPayload<'a> {
    Whole(&'a [u8]),
    /// It passes frame by frame, and was not read.
    Passing,
}

/// What a signature needs of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadUse {
    /// Nothing: it may pass as it comes.
    None,
    /// All of it, before the first byte is sent.
    Whole,
}

/// Why a request is not signed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// Nothing of the credential: the request can't be signed by it.
    #[error("{0}")]
    Request(&'static str),
    #[error("{0}")]
    Credential(&'static str),
}

/// A credential that signs. Cheap to clone; prints nothing of it.
#[derive(Clone)]
pub struct RequestSigner(Arc<Signing>);

enum Signing {
    Hmac(HmacSigning),
    SigV4(SigV4),
}

impl std::fmt::Debug for RequestSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestSigner(***)")
    }
}

impl RequestSigner {
    /// None: the credential is sent, and signs nothing.
    pub fn of(credential: &Credential) -> Option<Self> {
        let signing = match &credential.kind {
            CredentialKind::Hmac(signing) => Signing::Hmac(signing.clone()),
            CredentialKind::SigV4(signing) => Signing::SigV4(signing.clone()),
            _ => return None,
        };
        Some(Self(Arc::new(signing)))
    }

    /// Returns what it needs of the body of a request with these headers, which may have a hash of
    /// it from a client that signs as well.
    pub fn payload_use(
        &self,
        sent_hash: Option<&str>,
        is_tls: bool,
    ) -> Result<PayloadUse, SigningError> {
        match &*self.0 {
            Signing::Hmac(signing) => {
                let fields = [SigningField::Body, SigningField::BodyHash];
                Ok(if fields.into_iter().any(|field| signing.sign.has(field)) {
                    PayloadUse::Whole
                } else {
                    PayloadUse::None
                })
            }
            Signing::SigV4(signing) => sigv4::payload_use(signing, sent_hash, is_tls),
        }
    }

    /// Headers of a client's own signature, which are taken out before.
    pub fn replaced_headers(&self) -> &'static [&'static str] {
        match &*self.0 {
            Signing::Hmac(_) => &[],
            Signing::SigV4(_) => &["authorization", "x-amz-date", sigv4::TOKEN],
        }
    }

    /// Returns the query as it is to be sent, so that both sides read the same in it.
    pub fn query<'q>(&self, query: &'q str) -> Cow<'q, str> {
        match &*self.0 {
            // A space for some readers, a plus for others.
            Signing::SigV4(_) if query.contains('+') => query.replace('+', "%20").into(),
            _ => query.into(),
        }
    }

    /// Returns the headers that the signature adds, which take the place of those of their names.
    pub fn sign(
        &self,
        request: &RequestToSign<'_>,
        now_ms: UnixMillis,
    ) -> Result<Vec<(String, String)>, SigningError> {
        match &*self.0 {
            Signing::Hmac(signing) => hmac::sign(signing, request, now_ms),
            Signing::SigV4(signing) => sigv4::sign(signing, request, now_ms),
        }
    }

    fn signature_header(&self) -> &str {
        match &*self.0 {
            Signing::Hmac(signing) => &signing.header,
            Signing::SigV4(_) => "authorization",
        }
    }

    /// The secrets behind the signature, which no answer shows.
    fn secrets(&self) -> Vec<&str> {
        match &*self.0 {
            Signing::Hmac(signing) => vec![signing.secret.expose_secret()],
            Signing::SigV4(signing) => vec![
                signing.secret_key.expose_secret(),
                signing.session_token.expose_secret(),
            ],
        }
    }
}

/// Signs a request of a plugin, which has all its body.
pub(super) fn sign_request(
    call: &mut HttpRequest,
    credential: &str,
    signer: &RequestSigner,
    secrets: &SealedSettings,
) -> Result<(), NetFailure> {
    let failed = |error: SigningError| {
        NetFailure::from(NetError::Protocol(format!(
            "credential `{credential}` does not sign the request: {error}"
        )))
    };
    let mut url = Url::parse(&call.url)
        .map_err(|error| NetError::Protocol(format!("the URL is not one: {error}")))?;
    if let Some(query) = url.query() {
        let query = signer.query(query).into_owned();
        url.set_query(Some(&query));
        call.url = url.to_string();
    }
    let headers: Vec<(String, String)> = call
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    let request = RequestToSign {
        method: &call.method,
        authority: &url[Position::BeforeHost..Position::AfterPort],
        is_tls: url.scheme() == "https",
        path: url.path(),
        query: url.query(),
        headers: headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
        payload: SignedPayload::Whole(call.body.as_deref().unwrap_or_default()),
    };
    let added = signer.sign(&request, now_ms()).map_err(failed)?;
    for secret in signer.secrets().into_iter().filter(|text| !text.is_empty()) {
        secrets.protect(secret);
    }
    for (header, value) in added {
        // A signature is as good as a password for as long as it is taken.
        if header == signer.signature_header() {
            let signature = value.rsplit(['=', ' ', ':']).find(|part| !part.is_empty());
            signature.into_iter().for_each(|text| secrets.protect(text));
            secrets.protect(&value);
        }
        set_header(call, credential, &header, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
