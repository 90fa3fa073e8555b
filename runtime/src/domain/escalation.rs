//! [`EscalationPolicy`]: which channels are notified next, and again, until an alert is
//! acknowledged or ends. Pure over the clock; what has to survive a restart is an
//! [`EscalationProgress`].

use std::time::Duration;

use chrono::{Datelike, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::{AlertState, AlertStep, ChannelId, UnixMillis};

#[derive(Debug, Clone, PartialEq)]
pub struct EscalationPolicy {
    pub name: String,
    /// Steps, one after another; never empty.
    pub steps: Vec<EscalationStep>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct EscalationStep {
    /// Time since the step before, or since the alert fired.
    pub wait: Duration,
    pub channels: Vec<ChannelId>,
    /// Repetitions of the step before the next one.
    pub repeat: Option<StepRepeat>,
    /// Times of day at which the step is taken; at others it is skipped.
    pub hours: Option<StepHours>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRepeat {
    pub every: Duration,
    /// Number of repetitions; none: until the alert is acknowledged or ends, and the next steps are
    /// never reached.
    pub times: Option<u32>,
}

/// A part of the day on some days of the week, by the clocks of a time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepHours {
    /// Monday is 0; empty: every day.
    pub weekdays: Vec<u8>,
    /// Minutes since midnight. With `to` not after `from`, the hours go on past midnight and belong
    /// to the day they began on.
    pub from: u32,
    pub to: u32,
    pub zone: Tz,
}

/// Progress of one alert's escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EscalationProgress {
    /// Index of the step that is next.
    pub step: usize,
    /// Times that this step was taken already.
    pub taken: u32,
    /// Moment of the next step; none while the escalation is paused, and at its end.
    pub due_ms: Option<UnixMillis>,
    /// Milliseconds that this step waits when the escalation goes on after a pause; none: no step
    /// is left.
    pub wait_ms: Option<i64>,
}

impl EscalationProgress {
    /// Returns the progress after a transition of the alert; none: the escalation is over. It
    /// pauses while the alert is acknowledged or muted. When the alert fires again, it goes on with
    /// the step that is next, which waits its whole time once more.
    pub fn on_step(self, step: &AlertStep) -> Option<Self> {
        let is_quiet = |state| matches!(state, AlertState::Acknowledged | AlertState::Suppressed);
        let due_ms = match (step.from, step.to) {
            (_, AlertState::Resolved) => return None,
            (_, to) if is_quiet(to) => None,
            (Some(from), AlertState::Firing) if is_quiet(from) => self
                .due_ms
                .or_else(|| Some(step.ts_ms.saturating_add(self.wait_ms?))),
            _ => self.due_ms,
        };
        Some(Self { due_ms, ..self })
    }

    /// Returns the progress of an escalation that has no step left.
    pub fn at_end(self) -> Self {
        Self {
            due_ms: None,
            wait_ms: None,
            ..self
        }
    }
}

/// One step that is to be taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenStep {
    pub step: usize,
    /// Number of the repetition, 0 for the first time.
    pub repetition: u32,
    pub channels: Vec<ChannelId>,
}

impl EscalationPolicy {
    pub fn begin(&self, fired_ms: UnixMillis) -> Option<EscalationProgress> {
        self.progress(0, 0, fired_ms)
    }

    /// Returns what is due at a moment, at most one step, and the progress after it; none: no step
    /// is left. After a long stop the steps that were missed are taken one by one, at once.
    pub fn advance(
        &self,
        progress: EscalationProgress,
        now_ms: UnixMillis,
    ) -> (Option<TakenStep>, Option<EscalationProgress>) {
        let mut progress = progress;
        loop {
            let Some(step) = self.steps.get(progress.step) else {
                return (None, None);
            };
            if progress.due_ms.is_none_or(|due_ms| now_ms < due_ms) {
                return (None, Some(progress));
            }
            if step
                .hours
                .as_ref()
                .is_some_and(|hours| !hours.contain(now_ms))
            {
                progress = match self.after(progress.step, now_ms) {
                    Some(next) => next,
                    None => return (None, None),
                };
                continue;
            }
            let taken = TakenStep {
                step: progress.step,
                repetition: progress.taken,
                channels: step.channels.clone(),
            };
            let next = match step.repeat {
                Some(repeat) if repeat.times.is_none_or(|times| progress.taken < times) => {
                    self.progress(progress.step, progress.taken + 1, now_ms)
                }
                _ => self.after(progress.step, now_ms),
            };
            return (Some(taken), next);
        }
    }

    fn after(&self, step: usize, now_ms: UnixMillis) -> Option<EscalationProgress> {
        self.progress(step + 1, 0, now_ms)
    }

    /// Returns the progress at which a step waits its time from now on; none without such a step.
    fn progress(&self, step: usize, taken: u32, now_ms: UnixMillis) -> Option<EscalationProgress> {
        let next = self.steps.get(step)?;
        let wait_ms = ms(match next.repeat {
            Some(repeat) if taken > 0 => repeat.every,
            _ => next.wait,
        });
        Some(EscalationProgress {
            step,
            taken,
            due_ms: Some(now_ms.saturating_add(wait_ms)),
            wait_ms: Some(wait_ms),
        })
    }
}

impl StepHours {
    pub fn contain(&self, now_ms: UnixMillis) -> bool {
        let Some(utc) = Utc.timestamp_millis_opt(now_ms).single() else {
            return false;
        };
        let local = utc.with_timezone(&self.zone);
        let minute = local.hour() * 60 + local.minute();
        let weekday = local.weekday().num_days_from_monday() as u8;
        let on = |day: u8| self.weekdays.is_empty() || self.weekdays.contains(&day);
        if self.from < self.to {
            return on(weekday) && (self.from..self.to).contains(&minute);
        }
        (on(weekday) && minute >= self.from) || (on((weekday + 6) % 7) && minute < self.to)
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn step(wait_minutes: u64, channel: &str) -> EscalationStep {
        EscalationStep {
            wait: Duration::from_secs(wait_minutes * 60),
            channels: vec![ChannelId(channel.to_owned())],
            repeat: None,
            hours: None,
        }
    }

    fn repeated(step: EscalationStep, every_minutes: u64, times: Option<u32>) -> EscalationStep {
        EscalationStep {
            repeat: Some(StepRepeat {
                every: Duration::from_secs(every_minutes * 60),
                times,
            }),
            ..step
        }
    }

    /// Looks every minute from the moment the alert fired, and notes each step as `minute:
    /// channel`.
    fn play(steps: Vec<EscalationStep>, start_ms: i64, minutes: i64) -> Vec<String> {
        let policy = EscalationPolicy {
            name: "ops".to_owned(),
            steps,
        };
        let mut progress = policy.begin(start_ms);
        let mut story = Vec::new();
        for minute in 0..=minutes {
            while let Some(current) = progress {
                let (taken, next) = policy.advance(current, start_ms + minute * MINUTE);
                progress = next;
                match taken {
                    Some(taken) => story.push(format!("{minute}: {}", taken.channels[0].0)),
                    None => break,
                }
            }
        }
        story
    }

    #[test]
    fn steps_follow_each_other_as_the_table_says() {
        for (name, steps, minutes, wanted) in [
            (
                "at once, then after ten minutes",
                vec![step(0, "a"), step(10, "b")],
                60,
                vec!["0: a", "10: b"],
            ),
            (
                "a step is repeated before the next",
                vec![repeated(step(5, "a"), 2, Some(2)), step(10, "b")],
                60,
                vec!["5: a", "7: a", "9: a", "19: b"],
            ),
            (
                "for ever",
                vec![repeated(step(0, "a"), 30, None), step(0, "never")],
                90,
                vec!["0: a", "30: a", "60: a", "90: a"],
            ),
        ] {
            assert_eq!(play(steps, 0, minutes), wanted, "{name}");
        }
    }

    #[test]
    fn a_step_out_of_hours_is_passed_over() {
        let office = StepHours {
            weekdays: vec![0, 1, 2, 3, 4],
            from: 9 * 60,
            to: 17 * 60,
            zone: chrono_tz::Europe::Berlin,
        };
        let steps = || {
            vec![
                EscalationStep {
                    hours: Some(office.clone()),
                    ..step(0, "office")
                },
                step(5, "on call"),
            ]
        };
        // 2026-11-23 is a Monday; Berlin is an hour ahead.
        let monday = |hour: i64| 1_795_392_000_000 + hour * 60 * MINUTE;
        assert_eq!(play(steps(), monday(8), 30), ["0: office", "5: on call"]);
        assert_eq!(play(steps(), monday(7), 30), ["5: on call"]);
        assert_eq!(play(steps(), monday(16), 30), ["5: on call"]);
        assert_eq!(
            play(steps(), monday(-24 + 10), 30),
            ["5: on call"],
            "a Sunday"
        );
    }

    #[test]
    fn hours_past_midnight_belong_to_the_day_they_began_on() {
        let night = StepHours {
            weekdays: vec![4],
            from: 22 * 60,
            to: 6 * 60,
            zone: chrono_tz::UTC,
        };
        // 2026-11-27 is a Friday.
        let friday = 1_795_392_000_000 + 4 * 24 * 60 * MINUTE;
        for (hour, wanted) in [
            (21, false),
            (22, true),
            (24 + 5, true),
            (24 + 6, false),
            (24 + 22, false),
            (5, false),
        ] {
            assert_eq!(night.contain(friday + hour * 60 * MINUTE), wanted, "{hour}");
        }
    }

    #[test]
    fn transitions_pause_resume_and_end_an_escalation() {
        use AlertState::*;
        let running = EscalationProgress {
            step: 1,
            taken: 2,
            due_ms: Some(500),
            wait_ms: Some(300),
        };
        let paused = EscalationProgress {
            due_ms: None,
            ..running
        };
        let after = |progress: EscalationProgress, from, to| {
            progress.on_step(&AlertStep {
                from: Some(from),
                to,
                ts_ms: 1_000,
                is_news: false,
            })
        };
        for quiet in [Acknowledged, Suppressed] {
            assert_eq!(after(running, Firing, quiet), Some(paused));
            assert_eq!(after(paused, quiet, quiet), Some(paused));
            let resumed = after(paused, quiet, Firing).unwrap();
            assert_eq!((resumed.step, resumed.due_ms), (1, Some(1_300)));
            let ended = running.at_end();
            assert_eq!(after(ended, quiet, Firing), Some(ended), "no step is left");
            assert_eq!(after(paused, quiet, Resolved), None);
        }
        assert_eq!(after(running, Firing, Firing), Some(running), "news");
        assert_eq!(after(running, Firing, Resolved), None);
    }

    #[test]
    fn goes_on_where_it_stood_when_an_acknowledgement_runs_out() {
        let policy = EscalationPolicy {
            name: "ops".to_owned(),
            steps: vec![step(0, "a"), step(10, "b")],
        };
        let (_, progress) = policy.advance(policy.begin(0).unwrap(), 0);
        let step = |from, to, ts_ms| AlertStep {
            from: Some(from),
            to,
            ts_ms,
            is_news: false,
        };
        let paused = progress
            .unwrap()
            .on_step(&step(AlertState::Firing, AlertState::Acknowledged, MINUTE))
            .unwrap();
        assert_eq!(policy.advance(paused, 1_000 * MINUTE), (None, Some(paused)));
        let resumed = paused
            .on_step(&step(
                AlertState::Acknowledged,
                AlertState::Firing,
                60 * MINUTE,
            ))
            .unwrap();
        assert_eq!((resumed.step, resumed.due_ms), (1, Some(70 * MINUTE)));
    }

    #[test]
    fn after_a_long_stop_what_was_missed_is_taken_one_by_one() {
        let policy = EscalationPolicy {
            name: "ops".to_owned(),
            steps: vec![step(0, "a"), step(0, "b")],
        };
        let (first, progress) = policy.advance(policy.begin(0).unwrap(), 1_000 * MINUTE);
        let (second, end) = policy.advance(progress.unwrap(), 1_000 * MINUTE);
        assert_eq!(
            (first.unwrap().step, second.unwrap().step, end),
            (0, 1, None)
        );
    }
}
