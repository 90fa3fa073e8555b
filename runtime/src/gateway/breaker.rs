//! Keeps calls from a vendor that fails. Counts the vendor's answers only, never our own refusals,
//! and takes what the probes find as well.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Length of a window in which answers are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// Answers in a window before their share decides.
const LEAST: u32 = 20;
/// The same while the probes find the service down.
const LEAST_WHILE_DOWN: u32 = 3;
/// First time that it stays open; doubled with each trial that fails.
const OPEN: Duration = Duration::from_secs(5);
const LONGEST_OPEN: Duration = Duration::from_secs(60);
/// Most of a `Retry-After` that is obeyed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);
/// A trial of which nothing came back is over after this long.
const TRIAL: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    window_since: Option<Instant>,
    good: u32,
    bad: u32,
    is_down: bool,
    opened_in_a_row: u32,
}

#[derive(Debug, Default, Clone, Copy)]
enum Mode {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    /// One call is on its way to find out.
    Trial {
        since: Instant,
    },
}

/// What a vendor's answer, or the lack of one, shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Works,
    Fails { retry_after: Option<Duration> },
}

impl Breaker {
    /// Lets a call pass, or returns how long none will.
    pub(super) fn pass(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state();
        match state.mode {
            Mode::Closed => Ok(()),
            Mode::Open { until } if now < until => Err(until - now),
            Mode::Trial { since } if now < since + TRIAL => Err(Duration::from_secs(1)),
            Mode::Open { .. } | Mode::Trial { .. } => {
                state.mode = Mode::Trial { since: now };
                Ok(())
            }
        }
    }

    pub(super) fn note(&self, shown: Shown, now: Instant) {
        let mut state = self.state();
        match (state.mode, shown) {
            // Calls that began before it opened.
            (Mode::Open { .. }, _) => {}
            (Mode::Trial { .. }, Shown::Works) => *state = state.closed(),
            (Mode::Trial { .. }, Shown::Fails { retry_after }) => state.open(retry_after, now),
            (Mode::Closed, shown) => state.count(shown, now),
        }
    }

    /// Takes what the probes find.
    pub(super) fn probed(&self, is_down: bool, now: Instant) {
        let mut state = self.state();
        let recovered = state.is_down && !is_down;
        state.is_down = is_down;
        if recovered && matches!(state.mode, Mode::Open { .. }) {
            state.mode = Mode::Open { until: now };
        }
    }

    #[cfg(test)]
    fn is_open(&self) -> bool {
        !matches!(self.state().mode, Mode::Closed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn closed(&self) -> Self {
        Self {
            is_down: self.is_down,
            ..Self::default()
        }
    }

    fn count(&mut self, shown: Shown, now: Instant) {
        if self.window_since.is_none_or(|since| now >= since + WINDOW) {
            (self.window_since, self.good, self.bad) = (Some(now), 0, 0);
        }
        let Shown::Fails { retry_after } = shown else {
            self.good += 1;
            return;
        };
        self.bad += 1;
        let least = if self.is_down {
            LEAST_WHILE_DOWN
        } else {
            LEAST
        };
        if self.bad + self.good >= least && self.bad >= self.good {
            self.open(retry_after, now);
        }
    }

    fn open(&mut self, retry_after: Option<Duration>, now: Instant) {
        let pause = OPEN
            .saturating_mul(1 << self.opened_in_a_row.min(8))
            .min(LONGEST_OPEN);
        let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        self.opened_in_a_row = self.opened_in_a_row.saturating_add(1);
        self.mode = Mode::Open {
            until: now + pause.max(asked),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILS: Shown = Shown::Fails { retry_after: None };

    #[test]
    fn it_opens_on_a_share_of_failures_and_tries_one_call() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            breaker.note(Shown::Works, start);
        }
        for _ in 0..9 {
            breaker.note(FAILS, start);
        }
        assert!(breaker.pass(start).is_ok());
        breaker.note(FAILS, start);
        assert_eq!(breaker.pass(start), Err(OPEN));
        let later = start + OPEN;
        assert!(breaker.pass(later).is_ok());
        assert!(breaker.pass(later).is_err(), "one trial at a time");
        breaker.note(FAILS, later);
        assert_eq!(breaker.pass(later), Err(OPEN * 2));
        let last = later + OPEN * 2;
        assert!(breaker.pass(last).is_ok());
        breaker.note(Shown::Works, last);
        assert!(breaker.pass(last).is_ok() && breaker.pass(last).is_ok());
    }

    #[test]
    fn it_waits_as_long_as_the_vendor_asks_within_reason() {
        for (asked, wanted) in [(30, 30), (86_400, 300), (1, 5)] {
            let (breaker, now) = (Breaker::default(), Instant::now());
            for _ in 0..LEAST {
                let retry_after = Some(Duration::from_secs(asked));
                breaker.note(Shown::Fails { retry_after }, now);
            }
            assert_eq!(breaker.pass(now), Err(Duration::from_secs(wanted)));
        }
    }

    #[test]
    fn probes_make_it_open_sooner_and_try_sooner() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        breaker.probed(true, now);
        for _ in 0..LEAST_WHILE_DOWN {
            assert!(breaker.pass(now).is_ok());
            breaker.note(FAILS, now);
        }
        assert!(breaker.is_open() && breaker.pass(now).is_err());
        breaker.probed(false, now);
        assert!(breaker.pass(now).is_ok(), "a trial at once");
    }

    #[test]
    fn old_failures_do_not_count() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 0..LEAST * 3 {
            breaker.note(FAILS, now);
            now += WINDOW / 10;
        }
        assert!(!breaker.is_open());
    }
}
