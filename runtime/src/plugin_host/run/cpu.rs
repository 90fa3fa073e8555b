//! The CPU time of a run: what the threads that worked for it were busy with. What passes while it
//! waits, or while others have the processor, is not its.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Shared by everything that works for one run.
#[derive(Debug, Default)]
pub(in crate::plugin_host) struct CpuMeter {
    /// CPU time of polls that ended and of work done elsewhere, ns.
    spent: AtomicU64,
    /// The CPU clock of the thread when the poll under way began, ns.
    began: AtomicU64,
    /// Wall clock of the polls: the rest of a run, it waited.
    at_work: AtomicU64,
}

impl CpuMeter {
    /// Adds work that was done for the run on another thread or in another task.
    pub(in crate::plugin_host) fn charge(&self, work: Duration) {
        self.spent.fetch_add(nanos(work), Ordering::Relaxed);
    }

    /// CPU time of what has ended.
    pub(in crate::plugin_host) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }

    /// CPU time with that of the poll under way, which is the second. Only asked within a poll of
    /// [`CpuMeter::measure`].
    pub(in crate::plugin_host) fn spent_in_poll(&self) -> (Duration, Duration) {
        let poll =
            Duration::from_nanos(thread_nanos().saturating_sub(self.began.load(Ordering::Relaxed)));
        (self.spent() + poll, poll)
    }

    /// Wall clock of what has ended.
    pub(in crate::plugin_host) fn at_work(&self) -> Duration {
        Duration::from_nanos(self.at_work.load(Ordering::Relaxed))
    }

    /// Forgets what was before: another call of the same instance begins.
    pub(in crate::plugin_host) fn reset(&self) {
        self.spent.store(0, Ordering::Relaxed);
        self.at_work.store(0, Ordering::Relaxed);
    }

    /// The guest's own work; one at a time.
    pub(in crate::plugin_host) async fn measure<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            let (start, began) = (Instant::now(), thread_nanos());
            self.began.store(began, Ordering::Relaxed);
            let polled = work.as_mut().poll(context);
            self.charge(Duration::from_nanos(thread_nanos().saturating_sub(began)));
            self.at_work
                .fetch_add(nanos(start.elapsed()), Ordering::Relaxed);
            polled
        })
        .await
    }

    /// Work of the host in a task beside the guest.
    pub(in crate::plugin_host) async fn measure_beside<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            let began = thread_nanos();
            let polled = work.as_mut().poll(context);
            self.charge(Duration::from_nanos(thread_nanos().saturating_sub(began)));
            polled
        })
        .await
    }
}

/// CPU time of this thread since it began.
fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    (time.tv_sec.max(0) as u64)
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec.max(0) as u64)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(least: Duration) {
        let began = thread_nanos();
        while thread_nanos() - began < nanos(least) {
            std::hint::black_box(began);
        }
    }

    #[tokio::test]
    async fn work_counts_wherever_it_is_done_and_waiting_does_not() {
        let meter = CpuMeter::default();
        meter
            .measure(async {
                work(Duration::from_millis(20));
                assert!(meter.spent_in_poll().0 >= Duration::from_millis(20));
                for _ in 0..20 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                work(Duration::from_millis(10));
            })
            .await;
        let spent = meter.spent();
        assert!(
            (30..80).contains(&spent.as_millis()),
            "{spent:?}: without the 100 ms of waiting"
        );
        meter
            .measure_beside(async { work(Duration::from_millis(10)) })
            .await;
        meter.charge(Duration::from_millis(100));
        assert!(meter.spent() >= spent + Duration::from_millis(110));
        meter.reset();
        assert_eq!(
            (meter.spent(), meter.at_work()),
            (Duration::ZERO, Duration::ZERO)
        );
    }

    #[tokio::test]
    async fn a_thread_that_does_not_run_costs_nothing() {
        let meter = CpuMeter::default();
        // A blocked poll, as on a machine that has no processor for it.
        meter
            .measure(async { std::thread::sleep(Duration::from_millis(100)) })
            .await;
        assert!(meter.at_work() >= Duration::from_millis(100));
        assert!(
            meter.spent() < Duration::from_millis(50),
            "{:?}",
            meter.spent()
        );
    }
}
