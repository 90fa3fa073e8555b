//! Rate limits of webhook deliveries: token buckets, one for each sender's address and one for each
//! webhook, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::caller::Caller;

/// Rate of one address, which behind a reverse proxy that is not trusted is that of all senders.
const CALLER: Rate = Rate {
    per_second: 50.0,
    burst: 500.0,
};
/// Rate of one webhook: enough for what a vendor sends after an outage of its own, and not so much
/// that strangers fill the disk.
const WEBHOOK: Rate = Rate {
    per_second: 20.0,
    burst: 300.0,
};
/// Rate of visits of one address to what needs no token: a page with its badges, and again.
const VISITS: Rate = Rate {
    per_second: 20.0,
    burst: 600.0,
};
/// Addresses and webhooks remembered; beyond them, newcomers share one bucket.
const KEPT: usize = 4_096;

#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    burst: f64,
}

pub(crate) struct WebhookRateLimit {
    caller_rate: Rate,
    callers: Mutex<Buckets<Option<Caller>>>,
    webhooks: Mutex<Buckets<Option<(String, String)>>>,
}

impl Default for WebhookRateLimit {
    fn default() -> Self {
        Self::of_callers(CALLER)
    }
}

impl WebhookRateLimit {
    /// Returns a limit of visits, by caller alone.
    pub(crate) fn of_visits() -> Self {
        Self::of_callers(VISITS)
    }

    fn of_callers(caller_rate: Rate) -> Self {
        Self {
            caller_rate,
            callers: Mutex::default(),
            webhooks: Mutex::default(),
        }
    }

    /// Takes a delivery of the caller from its bucket. Err: when to come again.
    pub(crate) fn admit_caller(&self, caller: Caller) -> Result<(), Duration> {
        self.callers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(Some(caller), self.caller_rate)
    }

    /// Takes a delivery for a webhook that exists from its bucket.
    pub(crate) fn admit_webhook(&self, service: &str, webhook: &str) -> Result<(), Duration> {
        let key = Some((service.to_owned(), webhook.to_owned()));
        self.webhooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(key, WEBHOOK)
    }
}

/// Buckets by key. The default key is for all that find no place.
struct Buckets<K>(HashMap<K, Bucket>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Hash + Eq + Default> Buckets<K> {
    fn take(&mut self, key: K, rate: Rate) -> Result<(), Duration> {
        let now = Instant::now();
        if self.0.len() >= KEPT && !self.0.contains_key(&key) {
            // Full buckets are the same as none.
            self.0
                .retain(|_, bucket| bucket.filled(now, rate) < rate.burst);
        }
        let key = if self.0.contains_key(&key) || self.0.len() < KEPT {
            key
        } else {
            K::default()
        };
        let bucket = self.0.entry(key).or_insert(Bucket {
            tokens: rate.burst,
            at: now,
        });
        bucket.tokens = bucket.filled(now, rate);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64(
                (1.0 - bucket.tokens) / rate.per_second,
            ));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

impl Bucket {
    fn filled(&self, now: Instant, rate: Rate) -> f64 {
        (self.tokens + (now - self.at).as_secs_f64() * rate.per_second).min(rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn caller(number: u32) -> Caller {
        IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + number)).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_taken_then_a_trickle() {
        let limit = WebhookRateLimit::default();
        for _ in 0..300 {
            assert!(limit.admit_webhook("shop", "github").is_ok());
        }
        let wait = limit.admit_webhook("shop", "github").unwrap_err();
        assert!(
            limit.admit_webhook("shop", "stripe").is_ok(),
            "others are not harmed"
        );
        tokio::time::advance(wait + Duration::from_millis(1)).await;
        assert!(limit.admit_webhook("shop", "github").is_ok());
        assert!(limit.admit_webhook("shop", "github").is_err());
        tokio::time::advance(Duration::from_secs(3_600)).await;
        let taken = (0..400)
            .filter(|_| limit.admit_webhook("shop", "github").is_ok())
            .count();
        assert_eq!(taken, 300, "patience does not add up");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_those_without_a_place_share_one() {
        let limit = WebhookRateLimit::default();
        for number in 0..KEPT as u32 {
            limit.admit_caller(caller(number)).unwrap();
        }
        let taken = (0..600)
            .filter(|number| limit.admit_caller(caller(1_000_000 + number)).is_ok())
            .count();
        assert_eq!(taken, 500);
        assert!(limit.callers.lock().unwrap().0.len() <= KEPT + 1);
        assert!(
            limit.admit_caller(caller(7)).is_ok(),
            "who was there before is not harmed"
        );
        // Buckets that have filled again make room.
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(limit.admit_caller(caller(2_000_000)).is_ok());
        assert!(limit.callers.lock().unwrap().0.len() < 10);
    }
}
