//! Reads an access log line by line, and reports what it holds batch by batch.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::batches::{Batches, Counts};
use crate::cli::client::Client;
use crate::cli::outcome::Outcome;
use crate::cli::print::{json as print_json, line as print_line, note};
use crate::domain::access_log::{LogFormat, MAX_LINE_BYTES, read_line};

/// Lines that can't be read and are listed; of more their number is given.
const LISTED: usize = 20;
/// Interval of the lines about the progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// File with the log; `-` reads standard input.
    file: PathBuf,
    /// Slug of the service that was called.
    #[arg(long)]
    service: String,
    /// Who called; without it the user of each line, if it has one.
    #[arg(long)]
    consumer: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The common or the combined log format.
    Common,
    /// An object a line, as nginx, Caddy, Traefik and Envoy write it.
    Json,
    /// Dialect of each line, as it shows.
    Auto,
}

/// Result for a log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    lines: u64,
    #[serde(flatten)]
    counts: Counts,
    unreadable: u64,
    /// The first of those that were not taken.
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
pub(super) struct Refused {
    pub(super) line: u64,
    pub(super) reason: String,
}

impl Import {
    /// The exit code is 1 if lines were not taken.
    pub(super) async fn run(self, client: &Client) -> Outcome {
        let mut summary = Summary {
            lines: 0,
            counts: Counts::default(),
            unreadable: 0,
            refused: Vec::new(),
        };
        self.read(client, &mut summary).await?;
        if self.json {
            print_json(&summary);
        } else {
            print_summary(&summary);
        }
        let is_whole = summary.unreadable == 0 && summary.counts.refused == 0;
        Ok(if is_whole {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn read(&self, client: &Client, summary: &mut Summary) -> Result<()> {
        let (mut reader, length) = self.open()?;
        let format = match self.format {
            Format::Common => Some(LogFormat::Common),
            Format::Json => Some(LogFormat::Json),
            Format::Auto => None,
        };
        let mut batches = Batches::new(client, &self.service, self.consumer.as_deref());
        let mut progress = Progress::new(length, !self.json);
        let mut text = Vec::new();
        while next_line(&mut reader, &mut text)? {
            summary.lines += 1;
            progress.read(text.len());
            let line = String::from_utf8_lossy(&text);
            if line.trim().is_empty() {
                continue;
            }
            match read_line(&line, format) {
                Ok(entry) => batches.add(summary.lines, line.trim(), entry),
                Err(reason) => {
                    summary.unreadable += 1;
                    refuse(summary, summary.lines, reason);
                }
            }
            if batches.is_full() {
                self.send(&mut batches, summary).await?;
                progress.show(summary.lines, &summary.counts);
            }
        }
        self.send(&mut batches, summary).await
    }

    async fn send(&self, batches: &mut Batches<'_>, summary: &mut Summary) -> Result<()> {
        let sent = batches.send(&mut summary.counts).await;
        let refused = sent.with_context(|| {
            format!(
                "after {} calls were taken; import the file again to go on, nothing counts twice",
                summary.counts.accepted + summary.counts.duplicates
            )
        })?;
        let unknown = format!("there is no service `{}`", self.service);
        for Refused { line, reason } in refused {
            if reason == unknown {
                bail!("{reason}; `extrack services list` shows those there are");
            }
            refuse(summary, line, reason);
        }
        Ok(())
    }

    fn open(&self) -> Result<(Box<dyn BufRead + Send>, Option<u64>)> {
        if self.file.as_os_str() == "-" {
            return Ok((Box::new(BufReader::new(std::io::stdin())), None));
        }
        let shown = self.file.display();
        let file = File::open(&self.file).with_context(|| format!("can't read `{shown}`"))?;
        let length = file.metadata().map(|metadata| metadata.len()).ok();
        let is_packed = self
            .file
            .extension()
            .is_some_and(|extension| extension == "gz");
        Ok(if is_packed {
            let unpacked = flate2::read::MultiGzDecoder::new(file);
            (Box::new(BufReader::new(unpacked)), None)
        } else {
            (Box::new(BufReader::new(file)), length)
        })
    }
}

fn refuse(summary: &mut Summary, line: u64, reason: String) {
    if summary.refused.len() < LISTED {
        summary.refused.push(Refused { line, reason });
    }
}

/// Reads up to the end of a line, of which no more is kept than a line may have. False: there is no more.
fn next_line(reader: &mut Box<dyn BufRead + Send>, line: &mut Vec<u8>) -> Result<bool> {
    line.clear();
    let most = MAX_LINE_BYTES as u64 + 1;
    let read = reader.by_ref().take(most).read_until(b'\n', line)?;
    if read == 0 {
        return Ok(false);
    }
    let is_cut = read as u64 == most && line.last() != Some(&b'\n');
    if is_cut {
        pass_over_line(reader)?;
    }
    Ok(true)
}

fn pass_over_line(reader: &mut Box<dyn BufRead + Send>) -> Result<()> {
    loop {
        let waiting = reader.fill_buf()?;
        let end = waiting.iter().position(|byte| *byte == b'\n');
        let (passed, is_over) = match end {
            Some(end) => (end + 1, true),
            None => (waiting.len(), waiting.is_empty()),
        };
        reader.consume(passed);
        if is_over {
            return Ok(());
        }
    }
}

fn print_summary(summary: &Summary) {
    for Refused { line, reason } in &summary.refused {
        print_line(&format!("line {line}: {reason}"));
    }
    let Counts {
        accepted,
        duplicates,
        refused,
    } = summary.counts;
    let left = summary.unreadable + refused;
    let more = left.saturating_sub(summary.refused.len() as u64);
    if more > 0 {
        print_line(&format!("{more} more lines were not taken"));
    }
    print_line(&format!(
        "{accepted} calls imported, {duplicates} were there already, {left} of {} lines not taken",
        summary.lines
    ));
}

/// Says how far the import is, on standard error.
struct Progress {
    length: Option<u64>,
    read: u64,
    shown: Instant,
    is_wanted: bool,
}

impl Progress {
    fn new(length: Option<u64>, is_wanted: bool) -> Self {
        Self {
            length,
            read: 0,
            shown: Instant::now(),
            is_wanted: is_wanted && std::io::stderr().is_terminal(),
        }
    }

    fn read(&mut self, bytes: usize) {
        self.read += bytes as u64;
    }

    fn show(&mut self, lines: u64, counts: &Counts) {
        if !self.is_wanted || self.shown.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.shown = Instant::now();
        let part = self.length.filter(|length| *length > 0);
        let part = part.map_or_else(String::new, |length| {
            format!("{:3} %  ", self.read * 100 / length)
        });
        note(&format!(
            "{part}{lines} lines, {} calls imported",
            counts.accepted
        ));
    }
}
