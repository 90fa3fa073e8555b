//! When a failed delivery is tried again, and when it is given up.

use std::time::Duration;

use crate::domain::{Notification, UnixMillis};

use super::DeliverySettings;

/// How long to wait after a failed attempt; none to give up. `attempts` includes the failed one,
/// `spread` is a random number from 0 to 1 that keeps a thousand messages to one channel from
/// coming back in one moment.
pub(super) fn retry_after(
    settings: &DeliverySettings,
    notification: &Notification,
    attempts: u32,
    asked: Option<Duration>,
    now_ms: UnixMillis,
    spread: f64,
) -> Option<Duration> {
    let age_ms = u128::try_from(now_ms - notification.resent_ms.unwrap_or(notification.created_ms))
        .unwrap_or(0);
    if attempts >= settings.least_attempts && age_ms >= settings.give_up_after.as_millis() {
        return None;
    }
    let doubled = settings
        .first_retry
        .saturating_mul(1 << attempts.saturating_sub(1).min(20));
    // From three quarters to all of it.
    let wait = doubled
        .min(settings.longest_retry)
        .mul_f64(0.75 + 0.25 * spread.clamp(0.0, 1.0));
    Some(wait.max(asked.unwrap_or_default().min(settings.longest_retry_after)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::fakes::notification;

    #[test]
    fn waits_double_up_to_a_bound_and_honour_what_was_asked_for() {
        let settings = DeliverySettings::default();
        let seconds = |attempts, asked: Option<u64>| {
            let asked = asked.map(Duration::from_secs);
            retry_after(&settings, &notification(0), attempts, asked, 0, 1.0)
                .unwrap()
                .as_secs()
        };
        for (attempts, asked, wanted) in [
            (1, None, 5),
            (2, None, 10),
            (7, None, 320),
            (8, None, 600),
            (4_000_000_000, None, 600),
            (1, Some(90), 90),
            (8, Some(90), 600),
            (1, Some(10_000_000), 3_600),
        ] {
            assert_eq!(seconds(attempts, asked), wanted, "{attempts} {asked:?}");
        }
        let shortest = retry_after(&settings, &notification(0), 1, None, 0, 0.0);
        assert_eq!(shortest, Some(Duration::from_millis(3_750)));
    }

    #[test]
    fn gives_up_only_after_a_day_and_enough_attempts() {
        let settings = DeliverySettings::default();
        let day_ms = 86_400_000;
        for (attempts, age_ms, gives_up) in [
            (20, day_ms, true),
            (150, day_ms - 1, false),
            // The program was off over the week-end.
            (3, 3 * day_ms, false),
            // The clock was set back.
            (30, -day_ms, false),
        ] {
            let wait = retry_after(&settings, &notification(0), attempts, None, age_ms, 0.5);
            assert_eq!(wait.is_none(), gives_up, "{attempts} {age_ms}");
        }
    }
}
