//! One frame of the spool: a header with lengths and a checksum, then the rows as compressed JSON.
//! A frame is written whole or, after a crash, not at all; the checksum tells.

use std::io::{self, Read, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::part::Part;
use crate::domain::{CallBatch, Event, Metric, MetricValue, Observation, RateLimit, UnixMillis};

const MAGIC: [u8; 4] = *b"XTR1";
/// Magic, length of the body, rows, highest run id, highest event id, arrival of the oldest row,
/// checksum.
pub(super) const HEADER_BYTES: usize = 4 + 4 + 4 + 8 + 8 + 8 + 8;
const SUMMED_BYTES: usize = HEADER_BYTES - 8;
/// Decompressed; far above what the queue holds, so that a damaged length asks for no memory.
const MAX_BODY_BYTES: u64 = 256 << 20;

/// What is known of a frame without its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameInfo {
    /// With the header.
    pub(super) bytes: u64,
    pub(super) rows: u32,
    pub(super) last_run_id: i64,
    pub(super) last_event_id: i64,
    pub(super) oldest_ms: UnixMillis,
}

#[derive(Serialize)]
struct BodyOut<'a> {
    runs: Vec<RunOut<'a>>,
    events: Vec<Event>,
    calls: Vec<&'a CallBatch>,
}

#[derive(Serialize)]
struct RunOut<'a> {
    run: std::borrow::Cow<'a, Observation>,
    limits: &'a [RateLimit],
}

#[derive(Deserialize)]
struct Body {
    runs: Vec<Run>,
    events: Vec<Event>,
    /// Frames of before have none.
    #[serde(default)]
    calls: Vec<CallBatch>,
}

#[derive(Deserialize)]
struct Run {
    run: Observation,
    limits: Vec<RateLimit>,
}

/// The kept rows of a part as one frame.
pub(super) fn encode(part: &Part, oldest_ms: UnixMillis) -> io::Result<(Vec<u8>, FrameInfo)> {
    let runs = part
        .observations
        .iter()
        .map(|run| RunOut {
            run: finite(run),
            limits: &run.rate_limits,
        })
        .collect();
    let events = part.events.iter().map(|event| {
        let attributes = event
            .attributes
            .iter()
            .filter(|metric| is_finite(metric))
            .cloned()
            .collect();
        Event {
            attributes,
            ..event.clone()
        }
    });
    let body = BodyOut {
        runs,
        events: events.collect(),
        calls: part.calls.iter().map(Arc::as_ref).collect(),
    };
    let mut frame = vec![0; HEADER_BYTES];
    let mut encoder = ZlibEncoder::new(&mut frame, Compression::fast());
    serde_json::to_writer(&mut encoder, &body)?;
    encoder.finish()?.flush()?;
    let body_bytes =
        u32::try_from(frame.len() - HEADER_BYTES).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let info = FrameInfo {
        bytes: frame.len() as u64,
        rows: part.kept_rows() as u32,
        last_run_id: part.last_run_id().max(
            part.events
                .iter()
                .map(|event| event.run_id)
                .max()
                .unwrap_or(0),
        ),
        last_event_id: part.events.iter().map(|event| event.id).max().unwrap_or(0),
        oldest_ms,
    };
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend(MAGIC);
    header.extend(body_bytes.to_le_bytes());
    header.extend(info.rows.to_le_bytes());
    header.extend(info.last_run_id.to_le_bytes());
    header.extend(info.last_event_id.to_le_bytes());
    header.extend(info.oldest_ms.to_le_bytes());
    frame[..SUMMED_BYTES].copy_from_slice(&header);
    let sum = checksum(&frame[..SUMMED_BYTES], &frame[HEADER_BYTES..]);
    frame[SUMMED_BYTES..HEADER_BYTES].copy_from_slice(&sum);
    Ok((frame, info))
}

/// The frame at the beginning of these bytes; none if it is cut or damaged.
pub(super) fn inspect(bytes: &[u8]) -> Option<FrameInfo> {
    let header = bytes.get(..HEADER_BYTES)?;
    let number =
        |at: usize| i64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"));
    let short = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
    if header[..4] != MAGIC {
        return None;
    }
    let body = bytes.get(HEADER_BYTES..HEADER_BYTES.checked_add(short(4) as usize)?)?;
    if checksum(&header[..SUMMED_BYTES], body) != header[SUMMED_BYTES..] {
        return None;
    }
    Some(FrameInfo {
        bytes: (HEADER_BYTES + body.len()) as u64,
        rows: short(8),
        last_run_id: number(12),
        last_event_id: number(20),
        oldest_ms: number(28),
    })
}

/// The rows of one whole frame. A commit of them may have been tried before.
pub(super) fn decode(frame: &[u8]) -> io::Result<Part> {
    if inspect(frame).is_none_or(|info| info.bytes != frame.len() as u64) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the checksum of a frame is wrong",
        ));
    }
    let body = ZlibDecoder::new(&frame[HEADER_BYTES..]).take(MAX_BODY_BYTES);
    let Body {
        runs,
        events,
        calls,
    } = serde_json::from_reader(io::BufReader::new(body))?;
    let observations = runs
        .into_iter()
        .map(|Run { run, limits }| {
            Observation {
                rate_limits: limits,
                ..run
            }
            .into()
        })
        .collect();
    Ok(Part {
        observations,
        events,
        calls: calls.into_iter().map(Arc::new).collect(),
        is_doubtful: true,
        ..Part::default()
    })
}

fn checksum(header: &[u8], body: &[u8]) -> [u8; 8] {
    let digest = Sha256::new()
        .chain_update(header)
        .chain_update(body)
        .finalize();
    digest[..8].try_into().expect("sha256 has 32 bytes")
}

/// JSON has no word for NaN and infinity; the database leaves them out as well.
fn is_finite(metric: &Metric) -> bool {
    !matches!(metric.value, MetricValue::Number(number) if !number.is_finite())
}

fn finite(run: &Observation) -> std::borrow::Cow<'_, Observation> {
    if run.metrics.iter().all(is_finite) {
        return std::borrow::Cow::Borrowed(run);
    }
    let metrics = run
        .metrics
        .iter()
        .filter(|metric| is_finite(metric))
        .cloned()
        .collect();
    std::borrow::Cow::Owned(Observation {
        metrics,
        ..run.clone()
    })
}
