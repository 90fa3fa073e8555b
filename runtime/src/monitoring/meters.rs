//! Readings of what vendors bill: when each meter is due, how many at once, and where the figures go:
//! into the invoices, which are compared with what was counted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::{
    Catalog, MeterSpan, Service, UnixMillis, VendorMeter, error_chain, meter_lines, meter_spans,
    now_ms,
};
use crate::plugin_host::{MeterCall, PluginHost};
use crate::store::{Replaced, ResultStore};

/// Readings at the same time: they are no hurry, and vendors allow few questions.
const AT_ONCE: usize = 2;
/// The first readings behind a start are spread over this time.
const FIRST_WITHIN: Duration = Duration::from_secs(10);
/// Time until a reading that failed is repeated; each further failure doubles it, up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(300);
/// Doublings, after which the interval is shorter in any case.
const MAX_DOUBLINGS: u32 = 16;
/// Wait where nothing is due: a new catalog ends it sooner.
const IDLE: Duration = Duration::from_secs(3_600);

/// Slug of the service, and name of its meter.
type MeterKey = (String, String);

/// Last reading of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterStatus {
    pub name: String,
    pub read_ms: UnixMillis,
    /// Lines of the invoices that the reading became; none after a failure.
    pub lines: usize,
    /// Why it failed; none: it did not.
    pub error: Option<String>,
    /// Failures in a row.
    pub failures: u32,
}

/// Last readings of all meters. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct MeterBoard(Arc<Mutex<HashMap<MeterKey, MeterStatus>>>);

impl MeterBoard {
    /// Returns the last readings of a service's meters, by name; none of one that was not read yet.
    pub(super) fn of(&self, service: &str) -> Vec<MeterStatus> {
        let board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_service = board.iter().filter(|((slug, _), _)| slug == service);
        let mut found: Vec<MeterStatus> = of_service.map(|(_, status)| status.clone()).collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    fn note(&self, key: MeterKey, status: MeterStatus) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.insert(key, status);
    }

    fn retain(&self, is_known: impl Fn(&MeterKey) -> bool) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.retain(|key, _| is_known(key));
    }
}

/// Reads all meters until the shutdown.
pub struct MeterReader {
    pub(super) host: PluginHost,
    pub(super) results: ResultStore,
    pub(super) catalog: watch::Receiver<Arc<Catalog>>,
    pub(super) board: MeterBoard,
}

/// A meter with the moment at which it is due.
struct Due {
    service: Arc<Service>,
    meter: VendorMeter,
    at: Instant,
    failures: u32,
    is_running: bool,
}

/// One reading that has ended.
struct Done {
    key: MeterKey,
    meter: VendorMeter,
    read_ms: UnixMillis,
    lines: Result<usize, String>,
}

impl MeterReader {
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut plan = HashMap::new();
        let mut readings = JoinSet::new();
        self.apply_catalog(&mut plan);
        loop {
            self.start_due(&mut plan, &mut readings);
            let next = next_due(&plan, readings.len());
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = self.catalog.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.apply_catalog(&mut plan);
                }
                Some(done) = readings.join_next() => match done {
                    Ok(done) => self.note(&mut plan, done),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// Meters that are as before keep their moment; new ones and changed ones are read soon.
    fn apply_catalog(&mut self, plan: &mut HashMap<MeterKey, Due>) {
        let catalog = self.catalog.borrow_and_update().clone();
        let mut before = std::mem::take(plan);
        for (slug, service) in &catalog.services {
            if catalog.paused.contains_key(slug) {
                continue;
            }
            for meter in &service.meters {
                let key = (slug.clone(), meter.name.clone());
                let old = before.remove(&key);
                // A change of the service may mend what failed.
                let is_same = old.as_ref().is_some_and(|old| {
                    old.meter == *meter && (old.failures == 0 || Arc::ptr_eq(&old.service, service))
                });
                let (service, meter) = (Arc::clone(service), meter.clone());
                let due = match old {
                    Some(old) if is_same => Due { service, ..old },
                    old => Due {
                        service,
                        meter,
                        at: Instant::now() + FIRST_WITHIN.mul_f64(rand::random()),
                        failures: 0,
                        // Its end is that of the reading under way.
                        is_running: old.is_some_and(|old| old.is_running),
                    },
                };
                plan.insert(key, due);
            }
        }
        self.board.retain(|key| plan.contains_key(key));
    }

    fn start_due(&self, plan: &mut HashMap<MeterKey, Due>, readings: &mut JoinSet<Done>) {
        let now = Instant::now();
        let free = AT_ONCE.saturating_sub(readings.len());
        let mut due: Vec<(&MeterKey, &mut Due)> = plan
            .iter_mut()
            .filter(|(_, due)| !due.is_running && due.at <= now)
            .collect();
        due.sort_by_key(|(_, due)| due.at);
        for (key, due) in due.into_iter().take(free) {
            due.is_running = true;
            let reading = read(
                self.host.clone(),
                self.results.clone(),
                key.clone(),
                Arc::clone(&due.service),
                due.meter.clone(),
            );
            readings.spawn(reading);
        }
    }

    fn note(&self, plan: &mut HashMap<MeterKey, Due>, done: Done) {
        let Done {
            key,
            meter: read,
            read_ms,
            lines,
        } = done;
        // Its meter was removed meanwhile.
        let Some(due) = plan.get_mut(&key) else {
            return;
        };
        due.is_running = false;
        // It was changed meanwhile, and is read again at its moment.
        if due.meter != read {
            return;
        }
        let (service, meter) = (key.0.as_str(), key.1.as_str());
        let outcome = match &lines {
            Ok(_) => "ok",
            Err(_) => "failed",
        };
        metrics::counter!("extrack_meter_readings_total", "outcome" => outcome).increment(1);
        due.failures = match &lines {
            Ok(_) => 0,
            Err(error) => {
                tracing::warn!(service, meter, %error, "a meter could not be read");
                due.failures.saturating_add(1)
            }
        };
        due.at = Instant::now() + pause(due.meter.interval, due.failures, rand::random());
        let status = MeterStatus {
            name: key.1.clone(),
            read_ms,
            lines: *lines.as_ref().unwrap_or(&0),
            error: lines.err(),
            failures: due.failures,
        };
        self.board.note(key, status);
    }
}

/// Returns when there is something to do; not while as many readings as may be are under way.
fn next_due(plan: &HashMap<MeterKey, Due>, running: usize) -> Instant {
    let waiting = plan.values().filter(|due| !due.is_running);
    let soonest = waiting.map(|due| due.at).min();
    soonest
        .filter(|_| running < AT_ONCE)
        .unwrap_or_else(|| Instant::now() + IDLE)
}

/// Returns the time until the next reading. `share` from 0 to 1 moves it by up to a tenth, so that
/// meters of one interval do not stay together.
fn pause(interval: Duration, failures: u32, share: f64) -> Duration {
    let wanted = match failures {
        0 => interval,
        failures => {
            let doublings = (failures - 1).min(MAX_DOUBLINGS);
            FIRST_RETRY.saturating_mul(1 << doublings).min(interval)
        }
    };
    wanted.mul_f64(0.9 + 0.2 * share)
}

/// Reads all spans of a meter, and puts each in the place of what was read of its month before.
async fn read(
    host: PluginHost,
    results: ResultStore,
    key: MeterKey,
    service: Arc<Service>,
    meter: VendorMeter,
) -> Done {
    let read_ms = now_ms();
    let mut lines = Ok(0);
    for span in meter_spans(read_ms) {
        let read = read_span(&host, &results, &service, &meter, &span).await;
        lines = lines.and_then(|sum| Ok(sum + read?));
        if lines.is_err() {
            break;
        }
    }
    Done {
        key,
        meter,
        read_ms,
        lines,
    }
}

async fn read_span(
    host: &PluginHost,
    results: &ResultStore,
    service: &Service,
    meter: &VendorMeter,
    span: &MeterSpan,
) -> Result<usize, String> {
    let call = MeterCall {
        service,
        meter,
        span,
    };
    let figures = host.read_meter(call).await;
    let figures = figures.map_err(|error| error.to_string())?;
    let lines = meter_lines(&service.slug, &meter.name, span, &figures, now_ms())?;
    let count = lines.len();
    let (id, slug) = (
        span.invoice_id(&service.slug, &meter.name),
        service.slug.clone(),
    );
    let replaced = results.invoice_replace(id, slug, lines).await;
    match replaced.map_err(|error| error_chain(&error))? {
        Replaced::Same | Replaced::Changed => Ok(count),
        Replaced::Full => Err("there is no room for more lines of invoices".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_repeated_ever_later_and_never_later_than_the_interval() {
        let six_hours = Duration::from_secs(6 * 3_600);
        for (failures, minutes) in [
            (0, 360),
            (1, 5),
            (2, 10),
            (3, 20),
            (7, 320),
            (8, 360),
            (99, 360),
        ] {
            let wanted = Duration::from_secs(minutes * 60);
            assert_eq!(pause(six_hours, failures, 0.5), wanted, "{failures}");
        }
        assert_eq!(
            pause(Duration::from_secs(600), 1, 0.0),
            Duration::from_secs(270)
        );
    }

    #[test]
    fn the_board_keeps_the_last_reading_of_each_meter_that_there_is() {
        let board = MeterBoard::default();
        let status = |name: &str, failures| MeterStatus {
            name: name.to_owned(),
            read_ms: 7,
            lines: 0,
            error: None,
            failures,
        };
        let key = |service: &str, name: &str| (service.to_owned(), name.to_owned());
        board.note(key("pay", "b"), status("b", 1));
        board.note(key("pay", "b"), status("b", 2));
        board.note(key("pay", "a"), status("a", 0));
        board.note(key("other", "c"), status("c", 0));
        assert_eq!(board.of("pay"), [status("a", 0), status("b", 2)]);
        board.retain(|(_, name)| name == "a");
        assert_eq!(board.of("pay"), [status("a", 0)]);
        assert_eq!(board.of("other"), []);
    }
}
