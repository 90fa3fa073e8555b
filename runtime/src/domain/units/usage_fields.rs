//! Usage fields of vendors. Of a field that comes several times in one answer the last value counts:
//! vendors repeat running totals in their streams.

use std::collections::BTreeMap;

use memchr::memmem;
use rust_decimal::Decimal;
use serde_json::Value;

use super::amount::amount_of;
use super::json_path::UnitPath;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vendor {
    OpenAi,
    Anthropic,
    Gemini,
    Twilio,
}

#[derive(Debug)]
enum Wanted {
    Vendor(Vendor),
    Paths(Vec<UnitPath>),
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted::Paths(Vec::new())
    }
}

/// Fields read so far, by the names that [`Fields::amounts`] makes units of.
#[derive(Debug, Default)]
pub(super) struct Fields {
    wanted: Wanted,
    found: BTreeMap<String, Decimal>,
    /// The vendor said that nothing more comes.
    has_ended: bool,
}

impl From<Vendor> for Fields {
    fn from(vendor: Vendor) -> Self {
        Self {
            wanted: Wanted::Vendor(vendor),
            ..Self::default()
        }
    }
}

impl From<Vec<UnitPath>> for Fields {
    fn from(paths: Vec<UnitPath>) -> Self {
        Self {
            wanted: Wanted::Paths(paths),
            ..Self::default()
        }
    }
}

const PROMPT: &str = "prompt";
const CACHED: &str = "cached";
const OUTPUT: &str = "output";

impl Fields {
    /// Whether an event is worth being read as JSON.
    pub(super) fn may_have_any(&self, event: &[u8]) -> bool {
        let words: &[&[u8]] = match &self.wanted {
            Wanted::Vendor(Vendor::OpenAi) => &[b"\"usage\""],
            Wanted::Vendor(Vendor::Anthropic) => &[b"\"usage\"", b"message_stop"],
            Wanted::Vendor(Vendor::Gemini) => &[b"\"usageMetadata\"", b"\"finishReason\""],
            Wanted::Vendor(Vendor::Twilio) => &[b"num_segments"],
            Wanted::Paths(_) => return true,
        };
        words.iter().any(|word| memmem::find(event, word).is_some())
    }

    pub(super) fn note_end(&mut self) {
        self.has_ended = true;
    }

    /// Whether a stream came to its end, and usage with it. Paths know no end.
    pub(super) fn has_ended(&self) -> bool {
        match self.wanted {
            Wanted::Vendor(Vendor::Twilio) => true,
            Wanted::Vendor(_) => self.has_ended && !self.found.is_empty(),
            Wanted::Paths(_) => !self.found.is_empty(),
        }
    }

    /// Reads a whole answer. Gemini answers in a list of what would be events.
    pub(super) fn read_document(&mut self, document: &Value) {
        match document {
            Value::Array(events) if matches!(self.wanted, Wanted::Vendor(_)) => {
                for event in events {
                    self.read_event(event);
                }
            }
            document => self.read_event(document),
        }
    }

    pub(super) fn read_event(&mut self, event: &Value) {
        let vendor = match &self.wanted {
            Wanted::Paths(paths) => {
                for path in paths {
                    if let Some(sum) = path.sum(event) {
                        self.found.insert(path.unit.clone(), sum);
                    }
                }
                return;
            }
            Wanted::Vendor(vendor) => *vendor,
        };
        match vendor {
            Vendor::OpenAi => self.read_openai(event),
            Vendor::Anthropic => self.read_anthropic(event),
            Vendor::Gemini => self.read_gemini(event),
            Vendor::Twilio => self.read_twilio(event),
        }
    }

    /// Chat completions and embeddings; the responses API, whose last event has the whole response.
    fn read_openai(&mut self, event: &Value) {
        let response = event.get("response").unwrap_or(event);
        let usage = &response["usage"];
        if let Some(kind) = event["type"].as_str() {
            let last = [
                "response.completed",
                "response.incomplete",
                "response.failed",
            ];
            self.has_ended |= last.contains(&kind);
        }
        self.take(usage, "/prompt_tokens", PROMPT);
        self.take(usage, "/prompt_tokens_details/cached_tokens", CACHED);
        self.take(usage, "/completion_tokens", OUTPUT);
        self.take(usage, "/input_tokens", PROMPT);
        self.take(usage, "/input_tokens_details/cached_tokens", CACHED);
        self.take(usage, "/output_tokens", OUTPUT);
    }

    fn read_anthropic(&mut self, event: &Value) {
        self.has_ended |= event["type"] == "message_stop";
        let message = event.get("message").unwrap_or(event);
        let usage = &message["usage"];
        self.take(usage, "/input_tokens", "input_tokens");
        self.take(usage, "/cache_read_input_tokens", "cached_tokens");
        self.take(usage, "/cache_creation_input_tokens", "cache_write_tokens");
        self.take(usage, "/output_tokens", OUTPUT);
    }

    fn read_gemini(&mut self, event: &Value) {
        let usage = &event["usageMetadata"];
        let reason = event.pointer("/candidates/0/finishReason");
        self.has_ended |= reason.is_some_and(Value::is_string);
        self.take(usage, "/promptTokenCount", PROMPT);
        self.take(usage, "/cachedContentTokenCount", CACHED);
        self.take(usage, "/candidatesTokenCount", OUTPUT);
        self.take(usage, "/thoughtsTokenCount", "thoughts");
        self.take(usage, "/toolUsePromptTokenCount", "tool_prompt");
    }

    /// A message that was made. A list of messages, which is read again and again, used nothing.
    fn read_twilio(&mut self, event: &Value) {
        if event["sid"].is_string() && !event["num_segments"].is_null() {
            self.found.insert("messages".to_owned(), Decimal::ONE);
            self.take(event, "/num_segments", "segments");
        }
    }

    fn take(&mut self, from: &Value, pointer: &str, name: &str) {
        if let Some(amount) = from.pointer(pointer).and_then(amount_of) {
            self.found.insert(name.to_owned(), amount);
        }
    }

    /// Returns the units, and whether the fields agree with each other.
    pub(super) fn amounts(self) -> (BTreeMap<String, Decimal>, bool) {
        let mut units = self.found;
        let mut is_consistent = true;
        let output = [OUTPUT, "thoughts"].map(|name| units.remove(name));
        if output.iter().any(Option::is_some) {
            let output = output.into_iter().flatten();
            units.insert("output_tokens".to_owned(), output.sum());
        }
        let cached = units.remove(CACHED);
        let tool_prompt = units.remove("tool_prompt").unwrap_or_default();
        if let Some(prompt) = units.remove(PROMPT) {
            // Cached ones are among those of the prompt.
            let cached = cached.unwrap_or_default();
            is_consistent = cached <= prompt;
            let input = (prompt - cached).max(Decimal::ZERO) + tool_prompt;
            units.insert("input_tokens".to_owned(), input);
            if !cached.is_zero() {
                units.insert("cached_tokens".to_owned(), cached);
            }
        }
        (units, is_consistent)
    }
}
