//! Every host call of a run passes here. A call log keeps what the guest asked and was answered, as it
//! saw them, until it is known whether the run is worth keeping; a replay answers from a recording
//! and performs nothing.
//!
//! A capability calls `begin` with the request, performs it unless it was answered, and passes its
//! answer through `answered`.

mod call_log;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::plugin_host::contract::bindings::imports::log::Level;
use crate::plugin_host::engine::memory::RunMemory;
use crate::plugin_host::recording::call_replay::{CallReplay, ReplayStop};
use crate::plugin_host::recording::format::CallCost;
use crate::plugin_host::recording::format::weight::weight;

pub(in crate::plugin_host) use call_log::CallLog;

/// Shared by everything that makes calls for one run. Off unless somebody wants the recording.
#[derive(Clone, Default)]
pub(in crate::plugin_host) enum Recorder {
    #[default]
    Off,
    Record(Arc<Mutex<CallLog>>),
    Replay(Arc<Mutex<CallReplay>>),
}

/// A host call that has begun.
pub(in crate::plugin_host) enum HostCall<A> {
    /// The host executes it, and hands the answer to `finish`.
    Execute(CallId),
    /// A recording answered it.
    Replayed(A),
}

/// Where the answer belongs; none: it is not kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::plugin_host) struct CallId(Option<usize>);

impl Recorder {
    pub(in crate::plugin_host) fn record() -> Self {
        Recorder::Record(Arc::default())
    }

    /// Bounds the log by the memory of runs.
    pub(in crate::plugin_host) fn bound_by(&self, memory: &Arc<RunMemory>) {
        if let Recorder::Record(log) = self {
            lock(log).bound_by(memory.clone());
        }
    }

    /// `weight` is that of the request.
    pub(in crate::plugin_host) fn begin<Q, A>(
        &self,
        function: &'static str,
        request: &Q,
        weight: usize,
    ) -> Result<HostCall<(A, CallCost)>, ReplayStop>
    where
        Q: Serialize + Clone + Send + Sync + 'static,
        A: DeserializeOwned,
    {
        match self {
            Recorder::Off => Ok(HostCall::Execute(CallId(None))),
            Recorder::Record(log) => Ok(HostCall::Execute(CallId(
                lock(log).begin(function, request, weight),
            ))),
            Recorder::Replay(replay) => match lock(replay).answer(function, request)? {
                Some((answer, cost)) => Ok(HostCall::Replayed((answer, cost))),
                None => Ok(HostCall::Execute(CallId(None))),
            },
        }
    }

    pub(in crate::plugin_host) fn finish<A>(&self, call: CallId, answer: &A, cost: CallCost)
    where
        A: Serialize + Clone + Send + Sync + 'static,
    {
        self.finish_later(call, answer, cost, || answer.clone());
    }

    /// Ends a call whose answer can be computed again from something that does not change. It
    /// weighs what it will in the file.
    pub(in crate::plugin_host) fn finish_later<A, L>(
        &self,
        call: CallId,
        answer: &A,
        cost: CallCost,
        later: impl FnOnce() -> L,
    ) where
        A: Serialize,
        L: Serialize + Send + Sync + 'static,
    {
        if let (Recorder::Record(log), CallId(Some(call))) = (self, call) {
            let weight = weight(answer);
            lock(log).finish(call, weight, cost, later);
        }
    }

    pub(in crate::plugin_host) fn log(&self, level: Level, message: &str) {
        match self {
            Recorder::Off => {}
            Recorder::Record(log) => lock(log).log(level, message),
            Recorder::Replay(replay) => lock(replay).log(level, message),
        }
    }

    /// Keeps a text of an answer out of the recording.
    pub(in crate::plugin_host) fn hide(&self, text: &str) {
        if let Recorder::Record(log) = self {
            lock(log).hide(text);
        }
    }

    /// Returns the calls that were recorded; the run is over.
    pub(in crate::plugin_host) fn take_log(&self) -> Option<CallLog> {
        match self {
            Recorder::Record(log) => Some(std::mem::take(&mut *lock(log)).released()),
            _ => None,
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
