//! Texts of failed handshakes, for people: the other side's alert, what we offer, and what it may
//! want instead.

use rustls::{AlertDescription, PeerIncompatible};

use crate::net::failure::{chain, io_text};

/// Versions that we speak; `plugins/README.md` has them too.
const VERSIONS: &str = "TLS 1.2 and 1.3";
const SUITES: &str = "ECDHE with AES-GCM or ChaCha20-Poly1305";

/// Text of a handshake that ended with an error.
pub(super) fn text(error: &std::io::Error) -> String {
    match rustls_error(error) {
        Some(rustls::Error::InvalidMessage(fault)) => {
            format!("the server does not speak TLS here ({fault:?})")
        }
        Some(rustls::Error::AlertReceived(alert)) => alert_text(*alert),
        Some(rustls::Error::PeerIncompatible(fault)) => incompatible_text(fault),
        Some(error) => format!("handshake failed: {}", chain(error)),
        None => format!("handshake failed: {}", io_text(error)),
    }
}

/// Text of an alert, during the handshake or behind it.
pub(in crate::net) fn alert_text(alert: AlertDescription) -> String {
    let reason = match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => format!(
            "no common cipher suite: the server may know only CBC or RSA key exchange, and we offer {SUITES}; or it wants a \
             certificate of ours"
        ),
        AlertDescription::ProtocolVersion => {
            format!(
                "no common version: the server may know only TLS 1.0 or 1.1, and we offer {VERSIONS}"
            )
        }
        AlertDescription::UnrecognisedName => "the server has no site of that name".to_owned(),
        AlertDescription::NoApplicationProtocol => {
            "no common protocol: the server speaks none that we offer".to_owned()
        }
        AlertDescription::CertificateRequired => {
            "the server wants a certificate of ours".to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::AccessDenied => "the server does not accept our certificate".to_owned(),
        AlertDescription::InternalError => {
            "the server failed by itself, or has no site of that name".to_owned()
        }
        _ => return format!("the server refused the handshake: alert {alert:?}"),
    };
    format!("{reason} (alert {alert:?})")
}

fn incompatible_text(fault: &PeerIncompatible) -> String {
    match fault {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            format!("no common version: the server wants an older TLS, and we offer {VERSIONS}")
        }
        PeerIncompatible::NoCipherSuitesInCommon | PeerIncompatible::NoKxGroupsInCommon => {
            format!("no common cipher suite: the server wants another, and we offer {SUITES}")
        }
        other => format!("handshake failed: the server can't be spoken with ({other:?})"),
    }
}

/// The TLS error inside an input or output error.
pub(in crate::net) fn rustls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_says_what_we_offer_and_what_the_server_may_want() {
        for (alert, wanted) in [
            (
                AlertDescription::HandshakeFailure,
                "no common cipher suite: the server may know only CBC or RSA key exchange",
            ),
            (
                AlertDescription::ProtocolVersion,
                "may know only TLS 1.0 or 1.1, and we offer TLS 1.2 and 1.3",
            ),
            (AlertDescription::UnrecognisedName, "no site of that name"),
            (
                AlertDescription::DecodeError,
                "refused the handshake: alert DecodeError",
            ),
        ] {
            let text = alert_text(alert);
            assert!(
                text.contains(wanted) && text.contains(&format!("alert {alert:?}")),
                "{text}"
            );
        }
    }
}
