//! What the capabilities for HTTP, TCP, TLS and DNS share: errors, phases and certificates as guests see them.

use crate::domain::Failure;
use crate::net::{Certificate, NetError, NetFailure};
use crate::plugin_host::bindings::imports::net as wit;
use crate::plugin_host::state::RunState;

impl wit::Host for RunState {}

pub(super) fn phases(phases: &crate::domain::Phases, total_us: u64) -> wit::Phases {
    wit::Phases {
        dns_us: phases.dns_us,
        connect_us: phases.connect_us,
        tls_us: phases.tls_us,
        first_byte_us: phases.first_byte_us,
        body_us: phases.body_us,
        total_us,
    }
}

pub(super) fn certificate(certificate: Certificate) -> wit::Certificate {
    wit::Certificate {
        subject: certificate.subject,
        issuer: certificate.issuer,
        names: certificate.names,
        serial: certificate.serial,
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        sha256: certificate.sha256,
    }
}

impl RunState {
    /// Accounts a failed network call and says it to the guest, without secrets.
    pub(super) fn net_failed(&mut self, failure: NetFailure) -> wit::NetError {
        self.account.network(&failure.phases, failure.total_us, 0);
        if let NetError::Denied(reason) = &failure.error {
            let reason = self.access.secrets.redact(reason);
            self.denied(&reason);
        }
        let redact = |text: String| self.access.secrets.redact(&text);
        self.account.last_failure = Some(Failure::new(failure.error.kind(), redact(failure.error.to_string())));
        match failure.error {
            NetError::Dns(text) => wit::NetError::Dns(redact(text)),
            NetError::Connect(text) => wit::NetError::Connect(redact(text)),
            NetError::Tls(text) => wit::NetError::Tls(redact(text)),
            NetError::Timeout(text) => wit::NetError::Timeout(redact(text)),
            NetError::Protocol(text) => wit::NetError::Protocol(redact(text)),
            NetError::Denied(text) => wit::NetError::Denied(redact(text)),
            NetError::TooLarge(text) => wit::NetError::TooLarge(redact(text)),
        }
    }
}
