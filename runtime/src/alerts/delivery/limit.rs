//! How many attempts a channel has left in the span of its rate limit.

use std::collections::{HashMap, VecDeque};

use crate::domain::{ChannelId, MessageRate, UnixMillis};

/// When the attempts of each limited channel began, oldest first.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    begun: HashMap<ChannelId, VecDeque<UnixMillis>>,
}

impl Limiter {
    /// Whether the attempts of a channel from before the start were added.
    pub(super) fn knows(&self, channel: &ChannelId) -> bool {
        self.begun.contains_key(channel)
    }

    pub(super) fn tell(&mut self, channel: &ChannelId, begun: Vec<UnixMillis>) {
        self.begun.insert(channel.clone(), begun.into());
    }

    pub(super) fn begin(&mut self, channel: &ChannelId, now_ms: UnixMillis) {
        self.begun
            .entry(channel.clone())
            .or_default()
            .push_back(now_ms);
    }

    /// Attempts that may begin now. One that lies in the future began before the clock was set
    /// back, and does not count.
    pub(super) fn room(
        &mut self,
        channel: &ChannelId,
        limit: MessageRate,
        now_ms: UnixMillis,
    ) -> usize {
        let begun = self.begun.entry(channel.clone()).or_default();
        let span_ms = i64::try_from(limit.per.as_millis()).unwrap_or(i64::MAX);
        begun.retain(|at| *at <= now_ms && now_ms - *at < span_ms);
        (limit.messages as usize).saturating_sub(begun.len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn attempts_leave_room_again_when_they_are_as_old_as_the_span() {
        let channel = ChannelId("slack-1".to_owned());
        let limit = MessageRate {
            messages: 3,
            per: Duration::from_secs(60),
            digest: true,
        };
        let mut limiter = Limiter::default();
        assert!(!limiter.knows(&channel));
        limiter.tell(&channel, vec![-100_000, 0]);
        limiter.begin(&channel, 10_000);
        for (second, wanted) in [(10, 1), (59, 1), (60, 2), (69, 2), (70, 3)] {
            assert_eq!(
                limiter.room(&channel, limit, second * 1_000),
                wanted,
                "{second}"
            );
        }
        for second in [100, 101, 102, 103] {
            limiter.begin(&channel, second * 1_000);
        }
        assert_eq!(limiter.room(&channel, limit, 104_000), 0);
        assert_eq!(
            limiter.room(&channel, limit, 50_000),
            3,
            "the clock was set back"
        );
    }
}
