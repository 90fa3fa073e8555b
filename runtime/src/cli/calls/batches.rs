//! Calls of a log on their way to the server. Their ids follow from the lines, so that the same log
//! counts once.

use std::collections::HashMap;

use anyhow::Result;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::import::Refused;
use crate::api_types::calls::{
    CallLine, CallLineEnd, CallLineSource, CallMoment, CallsReported, RefusedLine,
};
use crate::cli::client::Client;
use crate::domain::access_log::LogEntry;

const BATCH_LINES: usize = 5_000;
const BATCH_BYTES: usize = 4 << 20;
/// Different lines that are remembered, to tell equal ones apart. Those that are equal have the same
/// moment, so that they stand close together.
const REMEMBERED: usize = 100_000;
/// Status that nginx writes when the client left first.
const CLIENT_LEFT: u16 = 499;

/// Result for the calls.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) duplicates: u64,
    pub(super) refused: u64,
}

pub(super) struct Batches<'a> {
    client: &'a Client,
    service: &'a str,
    consumer: Option<&'a str>,
    lines: Vec<u8>,
    /// Lines of the file that the batch is of.
    numbers: Vec<u64>,
    occurrences: Occurrences,
}

impl<'a> Batches<'a> {
    pub(super) fn new(client: &'a Client, service: &'a str, consumer: Option<&'a str>) -> Self {
        Self {
            client,
            service,
            consumer,
            lines: Vec::new(),
            numbers: Vec::new(),
            occurrences: Occurrences::default(),
        }
    }

    pub(super) fn add(&mut self, number: u64, text: &str, entry: LogEntry) {
        let has_left = entry.status == Some(CLIENT_LEFT);
        let consumer = self.consumer.map(str::to_owned).or(entry.user);
        let call = CallLine {
            id: self.occurrences.id_of(text),
            ts: CallMoment::Millis(entry.ts_ms),
            service: self.service.to_owned(),
            consumer: consumer.map(|consumer| cut(&consumer, 128)),
            method: entry.method,
            path: Some(cut(&entry.path, 2_048)),
            status: entry.status.filter(|_| !has_left),
            latency_ms: entry.latency_ms,
            bytes_in: entry.bytes_in,
            bytes_out: entry.bytes_out,
            ended: has_left.then_some(CallLineEnd::Cancelled),
            source: Some(CallLineSource::Import),
            ..CallLine::default()
        };
        if let Ok(mut line) = serde_json::to_vec(&call) {
            self.lines.append(&mut line);
            self.lines.push(b'\n');
            self.numbers.push(number);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.numbers.len() >= BATCH_LINES || self.lines.len() >= BATCH_BYTES
    }

    /// Sends what is waiting, and returns the lines that were refused.
    pub(super) async fn send(&mut self, counts: &mut Counts) -> Result<Vec<Refused>> {
        if self.numbers.is_empty() {
            return Ok(Vec::new());
        }
        let lines = std::mem::take(&mut self.lines);
        let numbers = std::mem::take(&mut self.numbers);
        let answer = self.client.post_ndjson("/calls", lines).await?;
        let reported: CallsReported = answer.read()?;
        counts.accepted += reported.accepted as u64;
        counts.duplicates += reported.duplicates as u64;
        counts.refused += reported.refused.len() as u64;
        let in_file = |RefusedLine { line, reason }| {
            let number = numbers.get(line.saturating_sub(1)).copied();
            Refused {
                line: number.unwrap_or_default(),
                reason,
            }
        };
        Ok(reported.refused.into_iter().map(in_file).collect())
    }
}

/// How often each of the last lines was there.
#[derive(Default)]
struct Occurrences {
    recent: HashMap<[u8; 16], u32>,
    before: HashMap<[u8; 16], u32>,
}

impl Occurrences {
    /// Returns the id of a line: the same at each import, another one for each of equal lines.
    fn id_of(&mut self, text: &str) -> String {
        let digest = Sha256::digest(text);
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        let before = self.recent.get(&key).or_else(|| self.before.get(&key));
        let count = before.map_or(1, |count| count + 1);
        self.recent.insert(key, count);
        if self.recent.len() > REMEMBERED {
            self.before = std::mem::take(&mut self.recent);
        }
        match count {
            1 => format!("log-{}", hex::encode(key)),
            count => format!("log-{}-{count}", hex::encode(key)),
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_have_ids_of_their_own_that_are_the_same_at_each_import() {
        let import = || {
            let mut occurrences = Occurrences::default();
            ["a", "b", "a", "a"].map(|line| occurrences.id_of(line))
        };
        let first = import();
        assert_eq!(first, import());
        let different: std::collections::HashSet<_> = first.iter().collect();
        assert_eq!(different.len(), 4);
        assert!(first[2].ends_with("-2") && first[3].ends_with("-3"));
    }
}
