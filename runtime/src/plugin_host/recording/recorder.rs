//! Every host call of a run passes here. A tape keeps what the guest asked and was answered, as it
//! saw them, until it is known whether the run is worth keeping; a replay answers from a recording
//! and performs nothing.
//!
//! A capability calls `begin` with the request, performs it unless it was answered, and passes its
//! answer through `answered`.

mod tape;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::log::Level;
use crate::plugin_host::engine::memory::RunMemory;
use crate::plugin_host::recording::format::CallCost;
use crate::plugin_host::recording::format::weight::weight;
use crate::plugin_host::replay::{Player, ReplayStop};

pub(in crate::plugin_host) use tape::Tape;

/// Shared by everything that makes calls for one run. Off unless somebody wants the recording.
#[derive(Clone, Default)]
pub(in crate::plugin_host) enum Recorder {
    #[default]
    Off,
    Tape(Arc<Mutex<Tape>>),
    Replay(Arc<Mutex<Player>>),
}

/// What becomes of a call.
pub(in crate::plugin_host) enum Step<A> {
    /// The host does it, and hands the answer to `finish`.
    Perform(CallId),
    /// It was answered from a recording; the cost is the recorded one.
    Answered(A, CallCost),
}

/// Where the answer belongs; none: it is not kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::plugin_host) struct CallId(Option<usize>);

impl Recorder {
    pub(in crate::plugin_host) fn tape() -> Self {
        Recorder::Tape(Arc::default())
    }

    /// What a tape takes beyond the usual is memory of the runs.
    pub(in crate::plugin_host) fn bound_by(&self, memory: &Arc<RunMemory>) {
        if let Recorder::Tape(tape) = self {
            lock(tape).bound_by(memory.clone());
        }
    }

    /// `weight` is that of the request.
    pub(in crate::plugin_host) fn begin<Q, A>(
        &self,
        function: &'static str,
        request: &Q,
        weight: usize,
    ) -> Result<Step<A>, ReplayStop>
    where
        Q: Serialize + Clone + Send + Sync + 'static,
        A: DeserializeOwned,
    {
        match self {
            Recorder::Off => Ok(Step::Perform(CallId(None))),
            Recorder::Tape(tape) => Ok(Step::Perform(CallId(
                lock(tape).begin(function, request, weight),
            ))),
            Recorder::Replay(player) => match lock(player).answer(function, request)? {
                Some((answer, cost)) => Ok(Step::Answered(answer, cost)),
                None => Ok(Step::Perform(CallId(None))),
            },
        }
    }

    pub(in crate::plugin_host) fn finish<A>(&self, call: CallId, answer: &A, cost: CallCost)
    where
        A: Serialize + Clone + Send + Sync + 'static,
    {
        self.finish_later(call, answer, cost, || answer.clone());
    }

    /// For an answer that can be computed again from something that does not change. It weighs what
    /// it will in the file.
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
        if let (Recorder::Tape(tape), CallId(Some(call))) = (self, call) {
            let weight = weight(answer);
            lock(tape).finish(call, weight, cost, later);
        }
    }

    pub(in crate::plugin_host) fn log(&self, level: Level, message: &str) {
        match self {
            Recorder::Off => {}
            Recorder::Tape(tape) => lock(tape).log(level, message),
            Recorder::Replay(player) => lock(player).log(level, message),
        }
    }

    /// What was taped; the run is over.
    pub(in crate::plugin_host) fn take_tape(&self) -> Option<Tape> {
        match self {
            Recorder::Tape(tape) => Some(std::mem::take(&mut *lock(tape)).released()),
            _ => None,
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a call of a guest goes on: see [`Step`], with the account settled.
pub(in crate::plugin_host) enum Begun<A> {
    Perform(CallId),
    Answered(A),
}

impl RunState {
    /// Begins a host call: it is counted and weighed, and put on the tape or answered from a
    /// recording.
    pub(in crate::plugin_host) fn begin<Q, A>(
        &mut self,
        function: &'static str,
        request: &Q,
    ) -> wasmtime::Result<Begun<A>>
    where
        Q: Serialize + Clone + Send + Sync + 'static,
        A: DeserializeOwned,
    {
        self.host_call()?;
        let weight = weight(request);
        self.hands_over(weight)?;
        match self
            .access
            .recorder
            .begin(function, request, weight)
            .map_err(wasmtime::Error::from)?
        {
            Step::Perform(call) => {
                self.account.call = CallCost::default();
                Ok(Begun::Perform(call))
            }
            Step::Answered(answer, cost) => {
                self.account.charge(&cost);
                Ok(Begun::Answered(answer))
            }
        }
    }

    /// Ends it, at the cost that the account was charged with meanwhile.
    pub(in crate::plugin_host) fn answered<A>(&mut self, call: CallId, answer: A) -> A
    where
        A: Serialize + Clone + Send + Sync + 'static,
    {
        let cost = std::mem::take(&mut self.account.call);
        self.access.recorder.finish(call, &answer, cost);
        answer
    }
}

/// Begins a host call in a function of the contract, and returns from it when the call was answered
/// from a recording.
macro_rules! begin {
    ($state:expr, $function:literal, $request:expr) => {
        match $state.begin($function, $request)? {
            $crate::plugin_host::recording::recorder::Begun::Perform(call) => call,
            $crate::plugin_host::recording::recorder::Begun::Answered(answer) => return Ok(answer),
        }
    };
}
pub(in crate::plugin_host) use begin;
