//! Shared parts of the capabilities for HTTP, streams, datagrams and DNS: errors, phases and
//! certificates as guests see them.

use crate::domain::Failure;
use crate::net::{Certificate, NetError, NetFailure};
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::net as wit;
use crate::plugin_host::recording::format::CallCost;

impl wit::Host for RunState {}

pub(super) fn phases(phases: &crate::domain::Phases, total_us: u64) -> wit::Phases {
    wit::Phases {
        dns_us: phases.dns_us,
        connect_us: phases.connect_us,
        tls_us: phases.tls_us,
        first_byte_us: phases.first_byte_us,
        body_us: phases.body_us,
        total_us,
        attributes: Vec::new(),
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
        attributes: Vec::new(),
    }
}

impl RunState {
    /// Accounts a failed network call and returns it for the guest, without secrets.
    pub(super) fn net_failed(&mut self, failure: NetFailure) -> wit::NetError {
        let (error, cost) = self.access.net_failed(failure);
        self.account.charge(&cost);
        error
    }
}

impl Access {
    /// Returns a failed network call as the guest sees it, and its cost.
    pub(super) fn net_failed(&self, failure: NetFailure) -> (wit::NetError, CallCost) {
        let NetFailure {
            error,
            phases,
            total_us,
        } = failure;
        // A guest may have put megabytes of its own into it.
        let failure = Failure::new(error.kind(), self.secrets.redact(&error.to_string()));
        let text = failure.message.clone();
        let cost = CallCost {
            net_us: Some(total_us),
            phases,
            failure: Some(failure),
            ..CallCost::default()
        };
        let error = match error {
            NetError::Dns(_) => wit::NetError::Dns(text),
            NetError::Connect(_) => wit::NetError::Connect(text),
            NetError::Tls(_) => wit::NetError::Tls(text),
            NetError::Timeout(_) => wit::NetError::Timeout(text),
            NetError::Protocol(_) => wit::NetError::Protocol(text),
            NetError::Denied(_) => wit::NetError::Denied(text),
            NetError::TooLarge(_) => wit::NetError::TooLarge(text),
        };
        (error, cost)
    }
}
