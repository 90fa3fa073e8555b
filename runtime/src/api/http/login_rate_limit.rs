//! Rate limit of wrong tokens and passwords: a few failures a minute for each client, in bounded
//! memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::caller::Caller;

/// Failures that one caller may make in a [`WINDOW`].
const FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Callers remembered; beyond them all newcomers share one allowance.
const CALLERS: usize = 4096;

#[derive(Default)]
pub(crate) struct LoginRateLimit(Mutex<HashMap<Caller, Failures>>);

struct Failures {
    count: u32,
    since: Instant,
}

impl LoginRateLimit {
    /// Counts a failure. Err: there were too many; how long until they are forgotten. A success is
    /// never limited: otherwise one client that guesses would lock out all others behind its
    /// address.
    pub(crate) fn failed(&self, caller: Caller) -> Result<(), Duration> {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if failures.len() >= CALLERS {
            failures.retain(|_, failure| now - failure.since < WINDOW);
        }
        let key = if failures.contains_key(&caller) || failures.len() < CALLERS {
            caller
        } else {
            Caller::EVERYONE_ELSE
        };
        let failure = failures.entry(key).or_insert(Failures {
            count: 0,
            since: now,
        });
        if now - failure.since >= WINDOW {
            *failure = Failures {
                count: 0,
                since: now,
            };
        }
        failure.count = failure.count.saturating_add(1);
        if failure.count > FAILURES {
            Err(WINDOW - (now - failure.since))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn caller(text: &str) -> Caller {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[tokio::test(start_paused = true)]
    async fn ten_failures_in_a_minute_are_enough() {
        let limit = LoginRateLimit::default();
        for _ in 0..FAILURES {
            assert!(limit.failed(caller("10.0.0.1")).is_ok());
        }
        assert_eq!(limit.failed(caller("10.0.0.1")), Err(WINDOW));
        assert!(
            limit.failed(caller("10.0.0.2")).is_ok(),
            "others are not harmed"
        );
        tokio::time::advance(WINDOW).await;
        assert!(limit.failed(caller("10.0.0.1")).is_ok());
    }

    #[test]
    fn of_a_hundred_that_fail_at_once_ten_pass() {
        let limit = LoginRateLimit::default();
        let passed = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..100)
                .map(|_| scope.spawn(|| limit.failed(caller("10.0.0.1")).is_ok()))
                .collect();
            threads
                .into_iter()
                .map(|thread| usize::from(thread.join().unwrap()))
                .sum::<usize>()
        });
        assert_eq!(passed, FAILURES as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_callers_beyond_it_share_one_allowance() {
        let limit = LoginRateLimit::default();
        for number in 0..(CALLERS as u32 + 100) {
            let _ = limit.failed(Caller::from(IpAddr::from(Ipv4Addr::from_bits(
                0x0a00_0000 + number,
            ))));
        }
        assert!(limit.0.lock().unwrap().len() <= CALLERS + 1);
        assert!(limit.failed(caller("192.0.2.1")).is_err());
        tokio::time::advance(WINDOW).await;
        assert!(limit.failed(caller("192.0.2.1")).is_ok());
    }
}
