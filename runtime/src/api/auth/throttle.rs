//! Rate limit of wrong tokens: a few failures a minute for each client, in bounded memory.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::time::Instant;

use super::address::ClientAddress;

/// Failures that one caller may make in a [`WINDOW`].
const FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Callers remembered; beyond them all newcomers share one allowance.
const CALLERS: usize = 4096;

const EVERYONE_ELSE: Caller = Caller(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

/// An address, or for IPv6 the network a household gets (/64).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::api) struct Caller(IpAddr);

impl From<Option<IpAddr>> for Caller {
    fn from(address: Option<IpAddr>) -> Self {
        address.map_or(EVERYONE_ELSE, Self::from)
    }
}

impl From<IpAddr> for Caller {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let address = parts
            .extensions
            .get::<ClientAddress>()
            .map(|ClientAddress(address)| *address);
        Ok(address.into())
    }
}

#[derive(Default)]
pub(in crate::api) struct Throttle(Mutex<HashMap<Caller, Failures>>);

struct Failures {
    count: u32,
    since: Instant,
}

impl Throttle {
    /// Counts a failure. Err: there were too many; how long until they are forgotten. A success
    /// needs no leave: otherwise everybody behind the address of somebody who guesses would be
    /// shut out.
    pub(in crate::api) fn failed(&self, caller: Caller) -> Result<(), Duration> {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if failures.len() >= CALLERS {
            failures.retain(|_, failure| now - failure.since < WINDOW);
        }
        let key = if failures.contains_key(&caller) || failures.len() < CALLERS {
            caller
        } else {
            EVERYONE_ELSE
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
    use super::*;

    fn caller(text: &str) -> Caller {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[tokio::test(start_paused = true)]
    async fn ten_failures_in_a_minute_are_enough() {
        let throttle = Throttle::default();
        for _ in 0..FAILURES {
            assert!(throttle.failed(caller("10.0.0.1")).is_ok());
        }
        assert_eq!(throttle.failed(caller("10.0.0.1")), Err(WINDOW));
        assert!(
            throttle.failed(caller("10.0.0.2")).is_ok(),
            "others are not harmed"
        );
        tokio::time::advance(WINDOW).await;
        assert!(throttle.failed(caller("10.0.0.1")).is_ok());
    }

    #[test]
    fn of_a_hundred_that_fail_at_once_ten_pass() {
        let throttle = Throttle::default();
        let passed = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..100)
                .map(|_| scope.spawn(|| throttle.failed(caller("10.0.0.1")).is_ok()))
                .collect();
            threads
                .into_iter()
                .map(|thread| usize::from(thread.join().unwrap()))
                .sum::<usize>()
        });
        assert_eq!(passed, FAILURES as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_the_flood_shares_one_allowance() {
        let throttle = Throttle::default();
        for number in 0..(CALLERS as u32 + 100) {
            let _ = throttle.failed(Caller::from(IpAddr::from(Ipv4Addr::from_bits(
                0x0a00_0000 + number,
            ))));
        }
        assert!(throttle.0.lock().unwrap().len() <= CALLERS + 1);
        assert!(throttle.failed(caller("192.0.2.1")).is_err());
        tokio::time::advance(WINDOW).await;
        assert!(throttle.failed(caller("192.0.2.1")).is_ok());
    }

    #[test]
    fn an_ipv6_network_is_one_caller() {
        assert_eq!(
            caller("2001:db8:1:2:aaaa::1"),
            caller("2001:db8:1:2:bbbb::2")
        );
        assert_ne!(caller("2001:db8:1:2::1"), caller("2001:db8:1:3::1"));
        assert_eq!(caller("::ffff:10.0.0.1"), caller("10.0.0.1"));
    }
}
