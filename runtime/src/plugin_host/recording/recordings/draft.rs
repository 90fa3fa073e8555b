//! A run that may become a file: everything as it was in memory, serialised when it is wanted.

use super::redact::{hidden, redacted};
use crate::plugin_host::policy::redaction::Redactor;
use crate::plugin_host::recording::format::FORMAT;
use crate::plugin_host::recording::format::RecordedRun;
use crate::plugin_host::recording::format::json::Json;
use crate::plugin_host::recording::format::weight::weight;
use crate::plugin_host::recording::recorder::CallLog;

/// Bytes of a draft that are not weighed.
const DRAFT_BYTES: usize = 512;

pub(in crate::plugin_host) struct Draft {
    pub(super) run: RecordedRun,
    arguments: Vec<Box<dyn Json>>,
    call_log: CallLog,
    result: Box<dyn Json>,
    secrets: Redactor,
    weight: usize,
}

impl Draft {
    pub(in crate::plugin_host) fn new(
        run: RecordedRun,
        arguments: Vec<Box<dyn Json>>,
        call_log: CallLog,
        result: Box<dyn Json>,
        secrets: Redactor,
    ) -> Self {
        let given: usize = arguments.iter().map(|argument| argument.weigh()).sum();
        let weight = DRAFT_BYTES + weight(&run) + given + call_log.weight() + result.weigh();
        Self {
            run,
            arguments,
            call_log,
            result,
            secrets,
            weight,
        }
    }

    /// Returns roughly how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// The file. Its first line is all that a list needs to know.
    pub(super) fn file(&self) -> serde_json::Result<Vec<u8>> {
        let mut out = format!("{{\"format\":{FORMAT},\"run\":").into_bytes();
        serde_json::to_writer(&mut out, &self.run)?;
        out.extend_from_slice(b",\n\"arguments\":[");
        for (index, argument) in self.arguments.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            argument.write(&mut out)?;
        }
        out.extend_from_slice(b"],\n");
        self.call_log.write(&mut out)?;
        out.extend_from_slice(b",\n\"result\":");
        self.result.write(&mut out)?;
        out.extend_from_slice(b"}\n");
        hidden(redacted(out, &self.secrets)?, self.call_log.hidden())
    }
}
