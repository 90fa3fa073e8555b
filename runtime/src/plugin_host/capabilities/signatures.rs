//! Signatures of webhooks: the secret stays in the host, and the run is marked once one was right.

use std::time::Duration;

use extrack_signatures::{Algorithm, Scheme, SignatureError, TOLERANCE, verify, verify_mac};
use secrecy::ExposeSecret;
use serde::Serialize;
use wasmtime::component::Resource;

use super::bounds;
use super::text::Names;
use crate::domain::now_ms;
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::signatures::{
    Host, Place, SignatureError as GuestError,
};
use crate::plugin_host::contract::bindings::secrets::Secret;
use crate::plugin_host::recording::recorder::HostCall;

type Verified = Result<(), GuestError>;

#[derive(Clone, Serialize)]
struct Verify {
    scheme: String,
    /// JSON Pointer of the secret's setting, as in the other calls.
    secret: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    tolerance_seconds: Option<u32>,
}

#[derive(Clone, Serialize)]
struct VerifyHmac {
    algorithm: String,
    secret: String,
    message: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Clone, Serialize)]
struct VerifySent {
    secret: String,
    place: Place,
}

impl Host for RunState {
    fn verify(
        &mut self,
        scheme: String,
        secret: Resource<Secret>,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        tolerance_seconds: Option<u32>,
    ) -> wasmtime::Result<Verified> {
        let asked = Verify {
            scheme,
            secret: self.pointer(&secret)?,
            headers,
            body,
            tolerance_seconds,
        };
        self.verified("signatures.verify", &asked, &asked.secret, |_, secret| {
            let Verify {
                scheme,
                headers,
                body,
                tolerance_seconds,
                ..
            } = &asked;
            bounds::headers(headers).map_err(GuestError::Malformed)?;
            let scheme = Scheme::parse(scheme)
                .ok_or_else(|| unsupported("scheme", scheme, &Scheme::ALL.map(Scheme::as_str)))?;
            let tolerance =
                tolerance_seconds.map_or(TOLERANCE, |seconds| Duration::from_secs(seconds.into()));
            Ok(verify(
                scheme,
                secret,
                headers,
                body,
                now_ms().max(0) as u64,
                tolerance,
            )?)
        })
    }

    fn verify_hmac(
        &mut self,
        algorithm: String,
        secret: Resource<Secret>,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Verified> {
        let asked = VerifyHmac {
            algorithm,
            secret: self.pointer(&secret)?,
            message,
            signature,
        };
        self.verified(
            "signatures.verify-hmac",
            &asked,
            &asked.secret,
            |_, secret| {
                let VerifyHmac {
                    algorithm,
                    message,
                    signature,
                    ..
                } = &asked;
                let algorithm = Algorithm::parse(algorithm).ok_or_else(|| {
                    unsupported(
                        "algorithm",
                        algorithm,
                        &Algorithm::ALL.map(Algorithm::as_str),
                    )
                })?;
                Ok(verify_mac(
                    algorithm,
                    secret.as_bytes(),
                    message,
                    signature,
                )?)
            },
        )
    }

    fn verify_sent(
        &mut self,
        secret: Resource<Secret>,
        place: Place,
    ) -> wasmtime::Result<Verified> {
        let asked = VerifySent {
            secret: self.pointer(&secret)?,
            place,
        };
        self.verified(
            "signatures.verify-sent",
            &asked,
            &asked.secret,
            |access, secret| was_sent(access, secret, &asked.place),
        )
    }
}

fn was_sent(access: &Access, secret: &str, place: &Place) -> Verified {
    let found = match place {
        Place::Header(name) => {
            bounds::name("the header", name).map_err(GuestError::Malformed)?;
            access
                .sent
                .has_header(name, secret)
                .ok_or_else(|| GuestError::Malformed(format!("there is no header `{name}`")))?
        }
        Place::Query(name) => {
            bounds::name("the parameter", name).map_err(GuestError::Malformed)?;
            access
                .sent
                .has_parameter(name, secret)
                .ok_or_else(|| GuestError::Malformed(format!("the URL has no `{name}=`")))?
        }
        Place::Path => access.sent.has_segment(secret),
        Place::Other(place) => {
            return Err(unsupported("place", place, &["header", "query", "path"]));
        }
    };
    if found {
        Ok(())
    } else {
        Err(GuestError::Mismatch)
    }
}

impl RunState {
    fn pointer(&self, secret: &Resource<Secret>) -> wasmtime::Result<String> {
        Names(&self.access.secrets).secret(secret)
    }

    fn verified<Q: Clone + Serialize + Send + Sync + 'static>(
        &mut self,
        function: &'static str,
        asked: &Q,
        pointer: &str,
        check: impl FnOnce(&Access, &str) -> Verified,
    ) -> wasmtime::Result<Verified> {
        let verified = match self.begin(function, asked)? {
            HostCall::Replayed(verified) => verified,
            HostCall::Execute(call) => {
                let access = &self.access;
                let verified = match access
                    .secrets
                    .find(pointer)
                    .map(ExposeSecret::expose_secret)
                {
                    // A signature with an empty key is anybody's.
                    None | Some("") => Err(GuestError::NoSecret("the secret is empty".into())),
                    Some(_) if access.is_proven => Ok(()),
                    Some(secret) => check(access, secret),
                };
                self.answered(call, verified)
            }
        };
        self.account.is_verified |= verified.is_ok();
        Ok(verified)
    }
}

fn unsupported(what: &str, found: &str, known: &[&str]) -> GuestError {
    if let Err(fault) = bounds::name(&format!("the {what}"), found) {
        return GuestError::Unsupported(fault);
    }
    GuestError::Unsupported(format!(
        "there is no {what} `{found}` here; there are `{}`",
        known.join("`, `")
    ))
}

impl From<SignatureError> for GuestError {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::Malformed(text) => GuestError::Malformed(text),
            SignatureError::Expired(text) => GuestError::Expired(text),
            SignatureError::Mismatch => GuestError::Mismatch,
            SignatureError::NoSecret(text) => GuestError::NoSecret(text),
        }
    }
}
