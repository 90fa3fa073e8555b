//! The log of one run: lines of the `log` capability, and what a guest writes to standard output
//! and error, under one cap. They become log lines of ours, under their plugin's name.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::BudgetKey;
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::capabilities::label::RunLabel;
use crate::plugin_host::contract::bindings::imports::log::Level;
use crate::plugin_host::engine::limits;

/// One line.
const LINE_BYTES: usize = 4 << 10;

/// Kept of what was said last before a trap.
const LAST_WORDS_BYTES: usize = 1 << 10;

pub(in crate::plugin_host) struct RunLog {
    label: RunLabel,
    /// Knows the secrets that are taken out.
    access: Arc<Access>,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    bytes: u64,
    /// Lines that were logged.
    lines: u32,
    /// Lines over the cap.
    dropped: u64,
    /// The last line logged as an error: what a panic said before it trapped. As the guest wrote
    /// it.
    last_error: Option<String>,
    /// The end of standard error, where languages other than Rust write panics. As the guest wrote
    /// it.
    last_words: String,
}

impl RunLog {
    /// Makes a log that counts and drops what is over the budget of the run.
    pub(in crate::plugin_host) fn new(label: RunLabel, access: Arc<Access>) -> Self {
        Self {
            label,
            access,
            written: Mutex::default(),
        }
    }

    pub(in crate::plugin_host) fn write(&self, level: Level, message: &str) {
        if level == Level::Error {
            self.lock().last_error = Some(cut(message).to_owned());
        }
        self.line(level, message);
    }

    /// A line of standard error: a warning, and perhaps the last words of the guest.
    pub(in crate::plugin_host) fn write_standard_error(&self, message: &str) {
        self.line(Level::Warn, message);
        let words = &mut self.lock().last_words;
        if !words.is_empty() {
            words.push_str(" | ");
        }
        words.push_str(cut(message).trim());
        let over = words.len().saturating_sub(LAST_WORDS_BYTES);
        words.drain(..words.ceil_char_boundary(over));
    }

    /// Bytes that were written, those dropped too.
    pub(in crate::plugin_host) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// The last words of the guest on one line, whether they were within the cap or not.
    pub(in crate::plugin_host) fn last_error(&self) -> Option<String> {
        let written = self.lock();
        let words = written
            .last_error
            .as_ref()
            .or(Some(&written.last_words))
            .filter(|words| !words.is_empty())?;
        let lines: Vec<&str> = words
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        Some(self.access.secrets.redact(&lines.join(" ")))
    }

    /// Logs how much was dropped, at the end of the run.
    pub(in crate::plugin_host) fn finish(&self) {
        let dropped = std::mem::take(&mut self.lock().dropped);
        if dropped > 0 {
            let lines = if dropped == 1 { "line" } else { "lines" };
            let most = self.access.grants.budget().shown(BudgetKey::LogBytes);
            let setting = self.access.grants.setting("budget.logBytes");
            self.log(
                Level::Warn,
                &format!(
                    "… and {} more {lines}: {} lines of a run are logged, and {most} in all, of which {setting} allows more",
                    grouped(dropped),
                    limits::LOG_LINES
                ),
            );
        }
    }

    /// Counts and logs it, unless it is over the cap.
    fn line(&self, level: Level, message: &str) {
        {
            let mut written = self.lock();
            let before = written.bytes;
            written.bytes += message.len() as u64;
            if before > self.access.grants.budget().log_bytes || written.lines >= limits::LOG_LINES
            {
                written.dropped += 1;
                return;
            }
            written.lines += 1;
        }
        self.log(level, &escaped(&self.access.secrets.redact(cut(message))));
    }

    fn log(&self, level: Level, message: &str) {
        let (plugin, service) = (&*self.label.plugin, self.label.service.as_deref());
        self.access.recorder.log(level, message);
        match level {
            Level::Debug => {
                tracing::debug!(target: "extrack::plugin", plugin, service, "{message}")
            }
            Level::Info => tracing::info!(target: "extrack::plugin", plugin, service, "{message}"),
            Level::Warn => tracing::warn!(target: "extrack::plugin", plugin, service, "{message}"),
            Level::Error => {
                tracing::error!(target: "extrack::plugin", plugin, service, "{message}")
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(LINE_BYTES.min(message.len()))]
}

/// One line whatever is in it: a line break could forge a line of ours, and other control
/// characters move a terminal's cursor.
fn escaped(message: &str) -> Cow<'_, str> {
    let is_harmful = |character: char| {
        (character.is_control() && character != '\t')
            || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !message.contains(is_harmful) {
        return Cow::Borrowed(message);
    }
    let mut text = String::with_capacity(message.len() + 16);
    for character in message.chars() {
        match character {
            '\n' | '\r' => text.extend(character.escape_default()),
            _ if is_harmful(character) => text.extend(character.escape_unicode()),
            _ => text.push(character),
        }
    }
    Cow::Owned(text)
}

/// `9,900`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BudgetChanges, PluginPolicy};
    use crate::plugin_host::policy::grants::{EffectiveGrants, Policy, PolicyOrigin};
    use crate::plugin_host::recording::recorder::Recorder;

    fn log_into(cap: u64, recorder: Recorder) -> RunLog {
        let budget = BudgetChanges {
            log_bytes: Some(cap),
            ..BudgetChanges::default()
        };
        let policy = Policy::new(
            PolicyOrigin::File,
            PluginPolicy {
                budget,
                ..PluginPolicy::default()
            },
        );
        let grants = EffectiveGrants::new("p".into(), Arc::default(), policy.into());
        let access = Access {
            grants,
            recorder,
            ..Access::default()
        };
        RunLog::new(RunLabel::of("p"), Arc::new(access))
    }

    fn log(cap: u64) -> RunLog {
        log_into(cap, Recorder::Off)
    }

    /// Returns the log in the shape of a recording.
    fn lines(recorder: &Recorder) -> Vec<String> {
        let mut text = b"{".to_vec();
        recorder.take_log().unwrap().write(&mut text).unwrap();
        text.push(b'}');
        let written: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let lines = written["log"].as_array().unwrap().iter();
        lines
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn what_is_over_the_cap_is_counted_and_dropped_but_the_last_words_are_kept() {
        let recorder = Recorder::record();
        let log = log_into(10, recorder.clone());
        log.write(Level::Error, "first line");
        log.write(Level::Error, "second");
        log.write(Level::Error, "third");
        log.finish();
        assert_eq!(log.bytes(), 21);
        assert_eq!(log.last_error().as_deref(), Some("third"));
        let lines = lines(&recorder);
        assert_eq!(lines[..2], ["first line", "second"]);
        assert!(lines[2].starts_with("… and 1 more line: "), "{lines:?}");
        assert!(
            lines[2].contains("`plugins.p.budget.logBytes` in plugins.yaml"),
            "{lines:?}"
        );
    }

    #[test]
    fn of_ten_thousand_lines_a_hundred_are_logged_and_the_others_are_counted() {
        let recorder = Recorder::record();
        let log = log_into(1 << 20, recorder.clone());
        for _ in 0..10_000 {
            log.write(Level::Info, "x");
        }
        log.finish();
        let lines = lines(&recorder);
        assert_eq!(lines.len(), 101);
        assert!(
            lines[100].starts_with("… and 9,900 more lines"),
            "{}",
            lines[100]
        );
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let recorder = Recorder::record();
        let log = log_into(1 << 20, recorder.clone());
        log.write(
            Level::Info,
            "fine\n2026-11-29T00:00:00Z ERROR extrack: forged\r\u{1b}[2J\tend\u{202e}\u{2028}é\u{85}",
        );
        assert_eq!(
            lines(&recorder),
            [
                "fine\\n2026-11-29T00:00:00Z ERROR extrack: forged\\r\\u{1b}[2J\tend\\u{202e}\\u{2028}é\\u{85}"
            ]
        );
    }

    #[test]
    fn the_last_words_are_those_of_the_log_or_else_of_standard_error() {
        let log = log(1 << 20);
        assert_eq!(log.last_error(), None);
        log.write_standard_error("Traceback:");
        log.write_standard_error("  TypeError: é");
        assert_eq!(
            log.last_error().as_deref(),
            Some("Traceback: | TypeError: é")
        );
        log.write_standard_error(&"é".repeat(2_000));
        assert!(
            log.last_error()
                .is_some_and(|words| words.len() <= LAST_WORDS_BYTES && words.ends_with('é'))
        );
        log.write(Level::Info, "fine");
        log.write(
            Level::Error,
            "panicked at src/lib.rs:8:127:\nindex out of bounds",
        );
        assert_eq!(
            log.last_error().as_deref(),
            Some("panicked at src/lib.rs:8:127: index out of bounds")
        );
    }
}
