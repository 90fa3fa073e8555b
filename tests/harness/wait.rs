//! Waiting for a thing, not for a time: looks again until it is there, and shows what was there
//! instead.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Time limit for anything that is to happen within seconds, on a machine that is busy with other
/// tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(50);

/// Looks until the answer is `Ok`; `Err` names what was seen instead.
#[track_caller]
pub fn wait_for<T>(
    what: &str,
    patience: Duration,
    look: impl AsyncFnMut() -> Result<T, String>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        let mut look = look;
        let end = Instant::now() + patience;
        loop {
            let seen = match look().await {
                Ok(found) => return found,
                Err(seen) => seen,
            };
            assert!(
                Instant::now() < end,
                "waited {} s for: {what}\nlast seen: {seen}\nfrom {caller}",
                patience.as_secs_f32()
            );
            sleep(PAUSE).await;
        }
    }
}
