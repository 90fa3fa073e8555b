//! The host calls of one run in memory, bounded. Nothing is serialised until the run turns out to
//! be worth keeping.

use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use crate::plugin_host::contract::bindings::imports::log::Level;
use crate::plugin_host::engine::memory::{HostMemory, RunMemory};
use crate::plugin_host::policy::redaction::Redactor;
use crate::plugin_host::recording::format::json::Json;
use crate::plugin_host::recording::format::{CallCost, LogLine, Missing};

/// Calls kept of one run: ten times what a bundled plugin makes.
const CALLS: usize = 1_000;

/// Text and bodies kept of one run: a body up to the usual cap, and the small calls around it.
const BYTES: usize = 512 << 10;

/// Bytes of a call beside its request and its answer.
const CALL_BYTES: usize = 256;

/// A usual run takes less; what is beyond it is memory of all runs together.
const USUAL_BYTES: usize = 16 << 10;

pub(in crate::plugin_host) struct CallLog {
    start: Instant,
    calls: Vec<Call>,
    log: Vec<LogLine>,
    /// Secrets that the guest found in answers.
    hidden: Redactor,
    weight: usize,
    /// Memory that bounds all call logs together.
    memory: Option<Arc<RunMemory>>,
    held: HostMemory,
    /// Calls that came when the call log was full.
    missed: usize,
}

struct Call {
    function: &'static str,
    at_us: u64,
    request: Box<dyn Json>,
    answer: Result<Box<dyn Json>, Missing>,
    cost: CallCost,
}

impl Default for CallLog {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            calls: Vec::new(),
            log: Vec::new(),
            hidden: Redactor::default(),
            weight: 0,
            memory: None,
            held: HostMemory::default(),
            missed: 0,
        }
    }
}

impl CallLog {
    pub(super) fn bound_by(&mut self, memory: Arc<RunMemory>) {
        self.memory = Some(memory);
    }

    /// Gives back its memory of runs: the run is over, and the recordings have a bound of their
    /// own.
    pub(super) fn released(mut self) -> Self {
        (self.memory, self.held) = (None, HostMemory::default());
        self
    }

    fn has_room(&mut self, weight: usize) -> bool {
        let total = self.weight + weight;
        let beyond = total.saturating_sub(USUAL_BYTES);
        total <= BYTES
            && self
                .memory
                .as_ref()
                .is_none_or(|memory| self.held.grow(memory, beyond))
    }

    /// Begins a call. `None`: the log is full; from then on nothing is kept, so that what is kept
    /// has no gap.
    pub(super) fn begin<Q>(
        &mut self,
        function: &'static str,
        request: &Q,
        weight: usize,
    ) -> Option<usize>
    where
        Q: Serialize + Clone + Send + Sync + 'static,
    {
        let weight = weight + CALL_BYTES;
        if self.missed > 0 || self.calls.len() >= CALLS || !self.has_room(weight) {
            self.missed += 1;
            return None;
        }
        self.weight += weight;
        self.calls.push(Call {
            function,
            at_us: self.start.elapsed().as_micros() as u64,
            request: Box::new(request.clone()),
            answer: Err(Missing::CutOff),
            cost: CallCost::default(),
        });
        Some(self.calls.len() - 1)
    }

    pub(super) fn finish<A>(
        &mut self,
        call: usize,
        weight: usize,
        cost: CallCost,
        answer: impl FnOnce() -> A,
    ) where
        A: Serialize + Send + Sync + 'static,
    {
        let fits = self.has_room(weight);
        let Some(call) = self.calls.get_mut(call) else {
            return;
        };
        call.cost = cost;
        if fits {
            call.answer = Ok(Box::new(answer()));
            self.weight += weight;
        } else {
            call.answer = Err(Missing::TooLarge);
        }
    }

    /// The run's log has a cap of its own, which bounds this.
    pub(super) fn log(&mut self, level: Level, message: &str) {
        self.weight += size_of::<LogLine>() + message.len();
        self.log.push(LogLine {
            level: level.into(),
            message: message.to_owned(),
        });
    }

    /// What can't be hidden any more is not kept.
    pub(super) fn hide(&mut self, text: &str) {
        if self.has_room(text.len()) {
            self.weight += text.len();
            self.hidden.add(text);
        } else {
            self.missed += self.calls.len();
            self.calls.clear();
            self.log.clear();
        }
    }

    pub(in crate::plugin_host) fn hidden(&self) -> &Redactor {
        &self.hidden
    }

    /// Returns roughly how many bytes it takes in memory.
    pub(in crate::plugin_host) fn weight(&self) -> usize {
        self.weight
    }

    /// Returns what is missing and why.
    pub(in crate::plugin_host) fn truncated(&self) -> Option<String> {
        let large = self
            .calls
            .iter()
            .filter(|call| matches!(call.answer, Err(Missing::TooLarge)))
            .count();
        let mut missing = Vec::new();
        if large > 0 {
            missing.push(format!(
                "{large} {}",
                if large == 1 { "answer" } else { "answers" }
            ));
        }
        if self.missed > 0 {
            let calls = if self.missed == 1 { "call" } else { "calls" };
            missing.push(format!(
                "{} {calls} after the first {}",
                self.missed,
                self.calls.len()
            ));
        }
        (!missing.is_empty()).then(|| {
            format!(
                "{}: {CALLS} calls and {} KiB are kept of a run",
                missing.join(" and "),
                BYTES >> 10
            )
        })
    }

    /// Writes `calls` and `log` of a recording.
    pub(in crate::plugin_host) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        out.extend_from_slice(b"\"calls\":[");
        for (index, call) in self.calls.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b",\n" } else { b"\n" });
            call.write(out)?;
        }
        out.extend_from_slice(b"],\n\"log\":");
        serde_json::to_writer(&mut *out, &self.log)
    }
}

impl Call {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        write!(
            out,
            "{{\"function\":\"{}\",\"atUs\":{},\"request\":",
            self.function, self.at_us
        )
        .map_err(serde_json::Error::io)?;
        self.request.write(out)?;
        match &self.answer {
            Ok(answer) => {
                out.extend_from_slice(b",\"answer\":");
                answer.write(out)?;
            }
            Err(missing) => {
                out.extend_from_slice(b",\"missing\":");
                serde_json::to_writer(&mut *out, missing)?;
            }
        }
        out.extend_from_slice(b",\"cost\":");
        serde_json::to_writer(&mut *out, &self.cost)?;
        out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(call_log: &CallLog) -> Value {
        let mut text = b"{".to_vec();
        call_log.write(&mut text).unwrap();
        text.push(b'}');
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn keeps_calls_in_order_with_their_answers() {
        let mut call_log = CallLog::default();
        let cost = CallCost {
            waited_us: 7,
            ..CallCost::default()
        };
        for (function, answer) in [("dns.resolve", Some("yes")), ("http.send", None)] {
            let call = call_log.begin(function, &json!({"name": "a"}), 1).unwrap();
            if let Some(answer) = answer {
                call_log.finish(call, answer.len(), cost.clone(), || answer.to_owned());
            }
        }
        call_log.log(Level::Warn, "slow");
        let written = written(&call_log);
        assert_eq!(written["calls"][0]["function"], "dns.resolve");
        assert_eq!(written["calls"][0]["request"], json!({"name": "a"}));
        assert_eq!(written["calls"][0]["answer"], "yes");
        assert_eq!(written["calls"][0]["cost"], json!({"waitedUs": 7}));
        assert_eq!(written["calls"][1]["missing"], "cut-off");
        assert_eq!(
            written["log"],
            json!([{"level": "warn", "message": "slow"}])
        );
        assert_eq!(call_log.truncated(), None);
    }

    #[test]
    fn keeps_no_more_than_it_may_and_says_what_is_missing() {
        let mut call_log = CallLog::default();
        for _ in 0..CALLS + 5 {
            call_log.begin("clock.now-ms", &(), 0);
        }
        assert_eq!(written(&call_log)["calls"].as_array().unwrap().len(), CALLS);
        assert!(
            call_log
                .truncated()
                .unwrap()
                .starts_with("5 calls after the first 1000"),
            "{:?}",
            call_log.truncated()
        );
        assert!(call_log.weight() <= BYTES);

        let mut call_log = CallLog::default();
        for size in [BYTES - 2_000, 4_000, 10] {
            let call = call_log.begin("http.send", &(), 0).unwrap();
            call_log.finish(call, size, CallCost::default(), || size);
        }
        let calls = &written(&call_log)["calls"];
        assert_eq!(calls[1]["missing"], "too-large");
        assert_eq!(
            (&calls[0]["answer"], &calls[2]["answer"]),
            (&json!(BYTES - 2_000), &json!(10))
        );
        assert!(
            call_log.truncated().unwrap().starts_with("1 answer:"),
            "{:?}",
            call_log.truncated()
        );
        assert!(call_log.weight() <= BYTES);

        // All call logs together are bounded, too: what is beyond the usual is memory of the runs.
        let memory = Arc::new(RunMemory::new(256 << 10));
        let mut logs: Vec<CallLog> = (0..10).map(|_| CallLog::default()).collect();
        for call_log in &mut logs {
            call_log.bound_by(memory.clone());
            call_log.begin("http.send", &(), USUAL_BYTES + 1);
        }
        let kept = logs
            .iter()
            .filter(|call_log| call_log.truncated().is_none())
            .count();
        assert_eq!(kept, 2, "half of the memory is for small runs");
        assert!(
            logs.remove(0)
                .released()
                .begin("http.send", &(), USUAL_BYTES)
                .is_some()
        );
        assert_eq!(memory.in_use().reserved_bytes, 64 << 10);

        let mut call_log = CallLog::default();
        call_log.begin("http.send", &(), 0);
        call_log.hide(&"x".repeat(BYTES));
        assert_eq!(written(&call_log)["calls"], json!([]), "nothing unhidden");

        let mut call_log = CallLog::default();
        assert!(call_log.begin("http.send", &(), BYTES).is_none());
        assert!(
            call_log.begin("http.send", &(), 0).is_none(),
            "what is kept has no gap"
        );
    }
}
