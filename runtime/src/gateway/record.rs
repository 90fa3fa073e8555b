//! The record of one call. It is made when the call is known to be somebody's, and sealed when it is
//! dropped, so that every way to end (an error, a panic, a client that leaves) leaves one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use tokio::time::Instant;

use super::admission::Admitted;
use super::ports::{Calls, UnitTap};
use crate::domain::{CacheUse, Call, CallEnd, CallUnits, Phases};

/// Bytes of the bodies of a call, as they pass.
#[derive(Debug)]
pub(super) struct Meter {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    moved: Mutex<Instant>,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            moved: Mutex::new(now),
        }
    }

    /// Notes bytes that the client sent.
    pub(super) fn sent(&self, count: usize) {
        self.bytes_in.fetch_add(count as u64, Ordering::Relaxed);
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Notes bytes that the vendor answered.
    pub(super) fn answered(&self, count: usize) {
        self.bytes_out.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Moment of the last byte that the client sent.
    pub(super) fn moved(&self) -> Instant {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The call under way. Until something else is noted it ends as `cancelled`.
pub(super) struct CallGuard {
    call: Option<Call>,
    started: Instant,
    calls: Arc<dyn Calls>,
    meter: Arc<Meter>,
    tap: Option<Box<dyn UnitTap>>,
    admitted: Option<Admitted>,
}

impl CallGuard {
    pub(super) fn new(call: Call, calls: Arc<dyn Calls>, started: Instant) -> Self {
        Self {
            call: Some(call),
            started,
            calls,
            meter: Arc::new(Meter::new(started)),
            tap: None,
            admitted: None,
        }
    }

    pub(super) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Holds the call's place until its end.
    pub(super) fn admit(&mut self, admitted: Admitted) {
        self.admitted = Some(admitted);
    }

    /// Gives its calls back to the quotas: nothing was sent to the vendor.
    pub(super) fn refund(&mut self) {
        if let Some(admitted) = &mut self.admitted {
            admitted.refund();
        }
    }

    pub(super) fn attempted(&mut self) {
        self.with(|call| call.attempts += 1);
    }

    pub(super) fn phases(&mut self, phases: Phases) {
        use std::time::Duration;
        self.with(|call| {
            call.phases.dns = phases.dns_us.map(Duration::from_micros);
            call.phases.connect = phases.connect_us.map(Duration::from_micros);
            call.phases.tls = phases.tls_us.map(Duration::from_micros);
        });
    }

    /// Notes the head of the vendor's answer.
    pub(super) fn answered(&mut self, status: u16, sent: Instant) {
        self.with(|call| {
            call.status = Some(status);
            call.phases.first_byte = Some(sent.elapsed());
        });
    }

    pub(super) fn cache(&mut self, usage: CacheUse) {
        self.with(|call| call.cache = usage);
    }

    /// Notes an answer that was kept, and is given whole.
    pub(super) fn kept(&mut self, usage: CacheUse, status: StatusCode, bytes: usize) {
        self.with(|call| {
            call.cache = usage;
            if call.status.is_none() {
                call.status = Some(status.as_u16());
            }
        });
        self.meter.answered(bytes);
        self.ended(CallEnd::Complete, None);
    }

    pub(super) fn tap(&mut self, tap: Option<Box<dyn UnitTap>>) {
        self.tap = tap;
    }

    /// Notes a part of the answer.
    pub(super) fn passed(&mut self, bytes: &[u8]) {
        self.meter.answered(bytes.len());
        if let Some(tap) = &mut self.tap {
            tap.feed(bytes);
        }
    }

    /// Notes an answer of our own.
    pub(super) fn refused(&mut self, status: u16, kind: &str, ended: CallEnd) {
        self.with(|call| call.status = Some(status));
        self.ended(ended, Some(kind));
    }

    /// Notes how the call ended, and why if it was not as it should.
    pub(super) fn ended(&mut self, ended: CallEnd, kind: Option<&str>) {
        self.with(|call| {
            call.ended = ended;
            call.error_kind = kind.map(str::to_owned);
        });
    }

    fn with(&mut self, change: impl FnOnce(&mut Call)) {
        if let Some(call) = &mut self.call {
            change(call);
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        let Some(mut call) = self.call.take() else {
            return;
        };
        let is_whole = call.ended == CallEnd::Complete;
        call.latency = Some(self.started.elapsed());
        call.bytes_in = self.meter.bytes_in.load(Ordering::Relaxed);
        call.bytes_out = self.meter.bytes_out.load(Ordering::Relaxed);
        call.units = match self.tap.take() {
            Some(tap) => tap.finish(is_whole),
            None => CallUnits::default(),
        };
        // Its place is free before anyone can see the record.
        drop(self.admitted.take());
        self.calls.record(call);
    }
}
