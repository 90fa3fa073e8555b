//! Signatures of webhooks: the secret stays here, and the run is marked once one was right.

use std::time::Duration;

use extrack_signatures::{Algorithm, Scheme, SignatureError, TOLERANCE, same, verify, verify_mac};
use secrecy::ExposeSecret;
use serde::Serialize;

use super::bounds;
use crate::domain::now_ms;
use crate::plugin_host::capabilities::state::{Access, RunState};
use crate::plugin_host::contract::bindings::imports::signatures::{
    Host, SignatureError as GuestError,
};
use crate::plugin_host::recording::recorder::Begun;

type Verified = Result<(), GuestError>;

#[derive(Clone, Serialize)]
struct Verify {
    scheme: String,
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
struct VerifySecret {
    secret: String,
    sent: String,
}

impl Host for RunState {
    fn verify(
        &mut self,
        scheme: String,
        secret: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        tolerance_seconds: Option<u32>,
    ) -> wasmtime::Result<Verified> {
        let asked = Verify {
            scheme,
            secret,
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
        secret: String,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<Verified> {
        let asked = VerifyHmac {
            algorithm,
            secret,
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

    fn verify_secret(&mut self, secret: String, sent: String) -> wasmtime::Result<Verified> {
        let asked = VerifySecret { secret, sent };
        self.verified(
            "signatures.verify-secret",
            &asked,
            &asked.secret,
            |access, secret| {
                Ok(same(
                    secret.as_bytes(),
                    access.sent.reveal(&asked.sent).as_bytes(),
                )?)
            },
        )
    }
}

impl RunState {
    fn verified<Q: Clone + Serialize + Send + Sync + 'static>(
        &mut self,
        function: &'static str,
        asked: &Q,
        placeholder: &str,
        check: impl FnOnce(&Access, &str) -> Verified,
    ) -> wasmtime::Result<Verified> {
        let verified = match self.begin(function, asked)? {
            Begun::Answered(verified) => verified,
            Begun::Perform(call) => {
                let access = &self.access;
                let verified = match access
                    .secrets
                    .find(placeholder)
                    .map(ExposeSecret::expose_secret)
                {
                    // A signature with an empty key is anybody's.
                    None | Some("") => Err(GuestError::NoSecret(
                        "the placeholder stands for no secret of the settings".into(),
                    )),
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
