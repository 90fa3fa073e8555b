//! Which calls may be sent again, and how many of them: never one that could be done twice, and
//! never so many that a vendor in trouble gets more than before.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, Method};
use tokio::time::Instant;

use crate::domain::UnixMillis;

/// Largest body that is kept to be sent again.
pub(super) const MAX_BODY_BYTES: u64 = 64 * 1024;
/// Longest `Retry-After` that a call waits for.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// First pause where the vendor names none; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);

const SHARE: f64 = 0.2;
const A_SECOND: f64 = 1.0;
const MOST: f64 = 100.0;

/// A fifth of the calls, and one a second.
#[derive(Debug)]
pub(super) struct RetryBudget {
    balance: Mutex<(f64, Instant)>,
}

impl RetryBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            balance: Mutex::new((A_SECOND, now)),
        }
    }

    pub(super) fn deposit(&self) {
        let mut balance = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        balance.0 = (balance.0 + SHARE).min(MOST);
    }

    pub(super) fn withdraw(&self, now: Instant) -> bool {
        let mut balance = self.balance.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(balance.1).as_secs_f64();
        *balance = ((balance.0 + passed * A_SECOND).min(MOST), now);
        if balance.0 < 1.0 {
            return false;
        }
        balance.0 -= 1.0;
        true
    }
}

/// Doing it twice is doing it once, by its method or because the client says so.
pub(super) fn is_repeatable(method: &Method, headers: &HeaderMap) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE
    ) || headers.contains_key("idempotency-key")
}

/// A gateway of the vendor's answered, or the vendor has no room for a moment.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 502..=504)
}

/// Returns how long to wait before the next attempt; none: longer than a call waits.
pub(super) fn pause(retry_after: Option<Duration>, attempts: u32) -> Option<Duration> {
    match retry_after {
        Some(asked) => (asked <= LONGEST_WAIT).then_some(asked),
        None => Some(PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(6))),
    }
}

/// Seconds, or a date of HTTP.
pub(super) fn retry_after(headers: &HeaderMap, now_ms: UnixMillis) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(86_400)));
    }
    let moment = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    let ms = moment.as_millisecond().saturating_sub(now_ms);
    Some(Duration::from_millis(
        ms.clamp(0, 86_400_000).unsigned_abs(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_calls_and_one_a_second_is_repeated() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        assert!(budget.withdraw(start) && !budget.withdraw(start));
        for _ in 0..51 {
            budget.deposit();
        }
        let granted = (0..20).filter(|_| budget.withdraw(start)).count();
        assert_eq!(granted, 10);
        assert!(budget.withdraw(start + Duration::from_secs(1)));
    }

    #[test]
    fn the_moment_to_try_again_is_read_in_both_forms() {
        for (text, wanted) in [
            ("7", Some(7_000)),
            ("Thu, 01 Jan 1970 00:00:30 GMT", Some(20_000)),
            ("Thu, 01 Jan 1970 00:00:05 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            let read = retry_after(&headers, 10_000).map(|wait| wait.as_millis());
            assert_eq!(read, wanted, "{text}");
        }
        assert_eq!(pause(Some(Duration::from_secs(11)), 1), None);
        assert_eq!(pause(None, 3), Some(PAUSE * 4));
    }
}
