//! A run that may become a file: everything as it was in memory, serialised when it is wanted.

use super::redact::redacted;
use crate::plugin_host::recorder::Tape;
use crate::plugin_host::recording::json::Json;
use crate::plugin_host::recording::{FORMAT, RecordedRun};
use crate::plugin_host::redaction::Redactor;

/// What a draft takes beside its tape: names, context, observation.
const DRAFT_BYTES: usize = 2 << 10;

pub(in crate::plugin_host) struct Draft {
    pub(in crate::plugin_host) run: RecordedRun,
    pub(in crate::plugin_host) arguments: Vec<Box<dyn Json>>,
    pub(in crate::plugin_host) tape: Tape,
    pub(in crate::plugin_host) result: Box<dyn Json>,
    pub(in crate::plugin_host) secrets: Redactor,
}

impl Draft {
    /// About what it takes in memory, bytes.
    pub(super) fn weight(&self) -> usize {
        DRAFT_BYTES + self.tape.weight()
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
        self.tape.write(&mut out)?;
        out.extend_from_slice(b",\n\"result\":");
        self.result.write(&mut out)?;
        out.extend_from_slice(b"}\n");
        redacted(out, &self.secrets)
    }
}
