//! The memory of all runs together: reserved before a guest has it, so that hundreds of guests that
//! wait for a vendor which hangs can't use up the machine. Half of it is for small runs, so that
//! large ones can't keep those from running.

mod limiter;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

pub(in crate::plugin_host) use limiter::MemoryLimiter;

/// Unit of reservations: a page of WebAssembly.
const PAGE_BYTES: u64 = 64 << 10;

/// A buffer of the host that needs no reservation.
pub(in crate::plugin_host) const UNCOUNTED_BYTES: usize = 64 << 10;

/// A run of so much is small: guests in Rust and C have 200 KiB, those in `QuickJS` 1.3 MiB, those
/// in Python 12 MiB and more.
const SMALL_BYTES: u64 = 2 << 20;

/// How long a run that has memory waits for more. All runs may wait for each other: none does so
/// for longer.
const GROWTH_WAIT: Duration = Duration::from_secs(1);

/// Share of the machine's memory that runs get by default: one part in so many.
const SHARE: u64 = 4;

/// Where the machine's memory can't be found out, and the least otherwise.
const LEAST_BYTES: u64 = 256 << 20;

/// Cheap to share; all reservations of a host are made here.
#[derive(Debug)]
pub(in crate::plugin_host) struct RunMemory {
    limit: u64,
    small: Lane,
    large: Lane,
}

#[derive(Debug)]
struct Lane {
    free: Arc<Semaphore>,
    pages: u32,
}

/// Memory reserved for runs, and its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunMemoryUse {
    pub limit_bytes: u64,
    pub reserved_bytes: u64,
}

/// There was none in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin_host) struct NoMemory;

impl Lane {
    fn new(bytes: u64) -> Self {
        let pages = u32::try_from(bytes / PAGE_BYTES).unwrap_or(u32::MAX).max(1);
        Self {
            free: Arc::new(Semaphore::new(pages as usize)),
            pages,
        }
    }

    /// First come, first served.
    async fn take(&self, pages: u32, until: Instant) -> Result<OwnedSemaphorePermit, NoMemory> {
        if pages > self.pages {
            return Err(NoMemory);
        }
        match timeout_at(until, self.free.clone().acquire_many_owned(pages)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(NoMemory),
        }
    }

    fn used(&self) -> u64 {
        u64::from(self.pages).saturating_sub(self.free.available_permits() as u64) * PAGE_BYTES
    }
}

impl Default for RunMemory {
    fn default() -> Self {
        Self::new(default_bytes())
    }
}

impl RunMemory {
    pub(in crate::plugin_host) fn new(limit: u64) -> Self {
        Self {
            limit,
            small: Lane::new(limit / 2),
            large: Lane::new(limit - limit / 2),
        }
    }

    pub(in crate::plugin_host) fn in_use(&self) -> RunMemoryUse {
        RunMemoryUse {
            limit_bytes: self.limit,
            reserved_bytes: self.small.used() + self.large.used(),
        }
    }

    /// Reserves memory for a run that has none yet and is expected to need this much; waits until
    /// then.
    pub(in crate::plugin_host) async fn reserve(
        self: &Arc<Self>,
        expected: u64,
        until: Instant,
    ) -> Result<Reservation, NoMemory> {
        let is_large = expected > SMALL_BYTES;
        let lane = if is_large { &self.large } else { &self.small };
        // What it needed once may be more than there is by now.
        let pages = pages(expected).min(lane.pages);
        let permit = lane.take(pages, until).await?;
        Ok(Reservation {
            memory: self.clone(),
            is_large,
            permit,
        })
    }

    /// Takes pages without waiting, from the lane for large needs: for buffers of the host.
    fn try_take(&self, pages: u32) -> Option<OwnedSemaphorePermit> {
        self.large.free.clone().try_acquire_many_owned(pages).ok()
    }
}

fn pages(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PAGE_BYTES)).unwrap_or(u32::MAX)
}

/// The memory of one run; given back when it is dropped.
#[derive(Debug)]
pub(in crate::plugin_host) struct Reservation {
    memory: Arc<RunMemory>,
    is_large: bool,
    permit: OwnedSemaphorePermit,
}

impl Reservation {
    /// So much in all, which it may have already. `until` is when a run that has nothing gives up.
    async fn grow(&mut self, total: u64, has: u64, until: Instant) -> Result<(), NoMemory> {
        let (wanted, held) = (pages(total), self.permit.num_permits() as u32);
        if wanted <= held {
            return Ok(());
        }
        let until = if has == 0 {
            until
        } else {
            until.min(Instant::now() + GROWTH_WAIT)
        };
        if self.is_large {
            self.permit
                .merge(self.memory.large.take(wanted - held, until).await?);
        } else if total <= SMALL_BYTES {
            self.permit
                .merge(self.memory.small.take(wanted - held, until).await?);
        } else {
            self.permit = self.memory.large.take(wanted, until).await?;
            self.is_large = true;
        }
        Ok(())
    }
}

/// Buffers of the host for a run; given back when it is dropped.
#[derive(Debug, Default)]
pub(in crate::plugin_host) struct HostMemory(Option<OwnedSemaphorePermit>);

impl HostMemory {
    /// So much in all; false: there is no more, and nothing changed.
    pub(in crate::plugin_host) fn grow(&mut self, memory: &RunMemory, total: usize) -> bool {
        let (wanted, held) = (
            pages(total as u64),
            self.0.as_ref().map_or(0, |held| held.num_permits() as u32),
        );
        if wanted <= held {
            return true;
        }
        let Some(more) = memory.try_take(wanted - held) else {
            return false;
        };
        match &mut self.0 {
            Some(held) => held.merge(more),
            None => self.0 = Some(more),
        }
        true
    }

    /// Gives back what is beyond so many bytes.
    pub(in crate::plugin_host) fn shrink(&mut self, total: usize) {
        if let Some(held) = &mut self.0 {
            let kept = pages(total as u64) as usize;
            drop(held.split(held.num_permits().saturating_sub(kept)));
        }
    }
}

/// Memory for bytes that the program takes in for a run that has not begun; given back when it is
/// dropped. Without limit by default.
#[derive(Debug, Default)]
pub struct InboundMemory {
    memory: Option<Arc<RunMemory>>,
    held: HostMemory,
}

impl InboundMemory {
    pub(in crate::plugin_host) fn of(memory: &Arc<RunMemory>) -> Self {
        Self {
            memory: Some(memory.clone()),
            held: HostMemory::default(),
        }
    }

    /// Reserves so many bytes in all; false: there is no more.
    pub fn grow(&mut self, total: usize) -> bool {
        match &self.memory {
            Some(memory) if total > UNCOUNTED_BYTES => self.held.grow(memory, total),
            _ => true,
        }
    }
}

/// Memory that the runs of a plugin needed lately, so that a run that needs much waits before it
/// begins and not in its middle.
#[derive(Debug, Default)]
pub(in crate::plugin_host) struct ExpectedMemory(AtomicU64);

impl ExpectedMemory {
    pub(in crate::plugin_host) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// More counts at once, less little by little.
    pub(in crate::plugin_host) fn note(&self, peak: u64) {
        let before = self.bytes();
        let now = if peak >= before {
            peak
        } else {
            before - (before - peak).div_ceil(8)
        };
        self.0.store(now, Ordering::Relaxed);
    }
}

/// A quarter of the memory of the machine, or of the program's control group.
fn default_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let of_machine = read("/proc/meminfo").and_then(|text| machine_bytes(&text));
    let of_group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    let bytes = of_machine.into_iter().chain(of_group).min().unwrap_or(0);
    (bytes / SHARE).max(LEAST_BYTES)
}

fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1_024)
}

#[cfg(test)]
mod tests;
