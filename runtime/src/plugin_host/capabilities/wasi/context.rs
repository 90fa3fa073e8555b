//! State of WASI for one run: clocks, random numbers, standard output and requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use memchr::memchr;
use tokio::io::{AsyncWrite, empty};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, async_trait};
use wasmtime_wasi_http::WasiHttpCtx;

use crate::domain::UnixMillis;
use crate::plugin_host::capabilities::wasi_http::Requests;
use crate::plugin_host::contract::bindings::imports::log::Level;
use crate::plugin_host::run::log::RunLog;

/// Random bytes of one call.
const RANDOM_BYTES: u64 = 64 << 10;

/// Bytes of headers of one request or answer, as they lie in memory.
const FIELD_BYTES: usize = 128 << 10;

/// Written at once to standard output; also the longest line kept while its end is awaited.
const OUTPUT_BYTES: usize = 4 << 10;

/// State of WASI, made when a guest first asks for it.
pub(in crate::plugin_host) struct Wasi {
    pub(super) context: WasiCtx,
    pub(super) http: WasiHttpCtx,
    pub(in crate::plugin_host::capabilities) requests: Requests,
}

impl Wasi {
    pub(super) fn new(
        log: &Arc<RunLog>,
        frozen_ms: Option<UnixMillis>,
        requests: Requests,
    ) -> Self {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELD_BYTES);
        Self {
            context: wasi_context(log, frozen_ms),
            http,
            requests,
        }
    }
}

fn wasi_context(log: &Arc<RunLog>, frozen_ms: Option<UnixMillis>) -> WasiCtx {
    let mut builder = WasiCtx::builder();
    builder
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(RANDOM_BYTES)
        .stdout(Output::new(log, Stream::Output))
        .stderr(Output::new(log, Stream::Error));
    if let Some(now_ms) = frozen_ms {
        let now_ms = now_ms.max(0) as u64;
        // Another number for another moment, the same for the same one.
        let seed = || Deterministic::new([now_ms.to_le_bytes(), (!now_ms).to_le_bytes()].concat());
        builder
            .wall_clock(Frozen(Duration::from_millis(now_ms)))
            .monotonic_clock(Frozen(Duration::from_millis(now_ms)))
            .secure_random(seed())
            .insecure_random(seed())
            .insecure_random_seed(u128::from(now_ms));
    }
    builder.build()
}

/// A clock that stands.
struct Frozen(Duration);

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        self.0.as_nanos() as u64
    }
}

#[derive(Clone, Copy)]
enum Stream {
    Output,
    Error,
}

/// Standard output or error: whole lines go into the run's log.
#[derive(Clone)]
struct Output {
    lines: Arc<Lines>,
}

struct Lines {
    log: Arc<RunLog>,
    stream: Stream,
    /// The line whose end has not come.
    pending: Mutex<Vec<u8>>,
}

impl Output {
    fn new(log: &Arc<RunLog>, stream: Stream) -> Self {
        Self {
            lines: Arc::new(Lines {
                log: log.clone(),
                stream,
                pending: Mutex::default(),
            }),
        }
    }
}

impl Lines {
    fn write(&self, bytes: &[u8]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            if pending.is_empty() {
                self.say(line);
            } else {
                pending.extend_from_slice(line);
                self.say(&std::mem::take(&mut *pending));
            }
        }
        pending.extend_from_slice(rest);
        if pending.len() > OUTPUT_BYTES {
            self.say(&std::mem::take(&mut *pending));
        }
    }

    fn say(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        match self.stream {
            Stream::Output => self.log.write(Level::Info, line),
            Stream::Error => self.log.write_standard_error(line),
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let pending = std::mem::take(
            self.pending
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.say(&pending);
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    /// Asked for by WASI 0.3 alone, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(empty())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // As `check-write` permits at any time; `wasmtime` leaves it to us to hold a guest to it.
        if bytes.len() > OUTPUT_BYTES {
            return Err(StreamError::trap(
                "wrote more to standard output or error than `check-write` permits",
            ));
        }
        self.lines.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin_host::capabilities::label::RunLabel;

    #[test]
    fn lines_are_logged_when_they_end_and_the_last_one_at_the_end_of_the_run() {
        let log = Arc::new(RunLog::new(RunLabel::of("p"), Arc::default()));
        let mut output = Output::new(&log, Stream::Error);
        output.write(Bytes::from_static(b"first\r\nsec")).unwrap();
        assert_eq!(log.last_error().as_deref(), Some("first"));
        output
            .clone()
            .write(Bytes::from_static(b"ond\n\nthird"))
            .unwrap();
        assert_eq!(log.last_error().as_deref(), Some("first | second"));
        drop(output);
        assert_eq!(log.last_error().as_deref(), Some("first | second | third"));
        assert_eq!(log.bytes(), 16);
    }

    #[test]
    fn lines_and_their_parts_come_out_as_they_were_written() {
        let log = Arc::new(RunLog::new(RunLabel::of("p"), Arc::default()));
        let mut output = Output::new(&log, Stream::Error);
        for part in ["a", "b\nc", "d\n", "\n\n", "e\nf\ng"] {
            output.write(Bytes::from_static(part.as_bytes())).unwrap();
        }
        assert_eq!(log.last_error().as_deref(), Some("ab | cd | e | f"));
        assert_eq!(*output.lines.pending.lock().unwrap(), b"g");
    }

    #[test]
    fn more_than_was_permitted_is_a_trap_and_is_not_looked_at() {
        let log = Arc::new(RunLog::new(RunLabel::of("p"), Arc::default()));
        let mut output = Output::new(&log, Stream::Output);
        let permitted = output.check_write().unwrap();
        output.write(Bytes::from(vec![b'\n'; permitted])).unwrap();
        let refused = output.write(Bytes::from(vec![b'\n'; 8 << 20]));
        assert!(matches!(refused, Err(StreamError::Trap(_))), "{refused:?}");
        assert!(output.lines.pending.lock().unwrap().is_empty());
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let log = Arc::new(RunLog::new(RunLabel::of("p"), Arc::default()));
        let mut output = Output::new(&log, Stream::Output);
        for _ in 0..10 {
            output.write(Bytes::from(vec![b'x'; OUTPUT_BYTES])).unwrap();
        }
        assert!(output.lines.pending.lock().unwrap().len() <= OUTPUT_BYTES);
        assert!(log.bytes() >= 8 * OUTPUT_BYTES as u64);
    }
}
