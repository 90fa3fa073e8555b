//! When a credential ends: as it is written, else as its certificate or its token has it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::domain::fault::{FaultReport, child};
use crate::domain::{CredentialExpiry, CredentialKind, ExpirySource, UnixMillis};
use crate::net::ClientIdentity;
use crate::spec::AuthenticationSpec;

pub(super) fn expiry(
    spec: &AuthenticationSpec,
    kind: &CredentialKind,
    at: &str,
    report: &mut FaultReport,
) -> Option<CredentialExpiry> {
    let (at_ms, source) = match &spec.expires {
        Some(text) => match moment(text) {
            Some(at_ms) => (at_ms, ExpirySource::Written),
            None => {
                let message = "must be a day such as `2027-01-31`, or a moment such as `2027-01-31T12:00:00Z`";
                report.fault(child(at, "expires"), message);
                return None;
            }
        },
        None => match kind {
            CredentialKind::Mtls { certificate, key } => {
                let identity = ClientIdentity::from_pem(certificate, key.expose_secret()).ok()?;
                (identity.expires_ms()?, ExpirySource::Certificate)
            }
            CredentialKind::Bearer { token } => {
                (token_end(token.expose_secret())?, ExpirySource::Token)
            }
            _ => return None,
        },
    };
    Some(CredentialExpiry { at_ms, source })
}

/// A day begins in UTC, and a credential is taken no more from then on.
fn moment(text: &str) -> Option<UnixMillis> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_millisecond());
    }
    let day: Date = text.parse().ok()?;
    let begin = day.to_zoned(TimeZone::UTC).ok()?;
    Some(begin.timestamp().as_millisecond())
}

/// Reads `exp` of a token that is a JWT (RFC 7519, 4.1.4), unchecked: it only warns.
fn token_end(token: &str) -> Option<UnixMillis> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let Claims { exp } = serde_json::from_slice(&claims).ok()?;
    // Beyond the calendar nothing ends.
    (0.0..253_402_300_800.0)
        .contains(&exp)
        .then_some((exp * 1_000.0) as UnixMillis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_begin_in_utc() {
        for (text, wanted) in [
            ("2027-01-31", Some(1_801_353_600_000)),
            ("2027-01-31T12:00:00+02:00", Some(1_801_389_600_000)),
            ("31.1.2027", None),
            ("2027-02-30", None),
            ("", None),
        ] {
            assert_eq!(moment(text), wanted, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_token_is_read_and_everything_else_has_none() {
        let token = |claims: &str| {
            format!(
                "{}.{}.{}",
                URL_SAFE_NO_PAD.encode("{}"),
                URL_SAFE_NO_PAD.encode(claims),
                "c2ln"
            )
        };
        assert_eq!(
            token_end(&token(r#"{"exp": 1801353600}"#)),
            Some(1_801_353_600_000)
        );
        for text in [
            token("{}"),
            token(r#"{"exp": "soon"}"#),
            token(r#"{"exp": -1}"#),
            token(r#"{"exp": 1e300}"#),
            "a.b".to_owned(),
            "opaque-token".to_owned(),
        ] {
            assert_eq!(token_end(&text), None, "{text}");
        }
    }
}
