//! When nobody comes: who is told next, and again, until somebody acknowledges the alert or it
//! ends. Pure over the clock; what has to survive a restart is a [`EscalationProgress`].

use std::time::Duration;

use chrono::{Datelike, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::{ChannelId, UnixMillis};

#[derive(Debug, Clone, PartialEq)]
pub struct EscalationPolicy {
    pub name: String,
    /// One after another; never empty.
    pub steps: Vec<EscalationStep>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct EscalationStep {
    /// From the step before, for the first one from the moment the alert fired.
    pub wait: Duration,
    pub channels: Vec<ChannelId>,
    /// How often the step is taken again before the next one, and how long after each other.
    pub repeat: Option<StepRepeat>,
    /// TakenStep at these times only; at others it is passed over.
    pub hours: Option<StepHours>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRepeat {
    pub every: Duration,
    /// None: until somebody comes. Then the steps behind it are never reached.
    pub times: Option<u32>,
}

/// A part of the day on some days of the week, by the clocks of a time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepHours {
    /// Monday is 0; empty: every day.
    pub weekdays: Vec<u8>,
    /// Minutes since midnight. With `to` not after `from`, it goes on past midnight and belongs to
    /// the day it began on.
    pub from: u32,
    pub to: u32,
    pub zone: Tz,
}

/// Where an escalation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EscalationProgress {
    /// Index of the step that is next.
    pub step: usize,
    /// How often it was taken already.
    pub taken: u32,
    pub due_ms: UnixMillis,
}

/// One step that is to be taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenStep {
    pub step: usize,
    /// 0 for the first time.
    pub repetition: u32,
    pub channels: Vec<ChannelId>,
}

impl EscalationPolicy {
    pub fn begin(&self, fired_ms: UnixMillis) -> Option<EscalationProgress> {
        let first = self.steps.first()?;
        Some(EscalationProgress {
            step: 0,
            taken: 0,
            due_ms: fired_ms.saturating_add(ms(first.wait)),
        })
    }

    /// What is due at a moment, at most one step, and where the escalation stands then; none: it
    /// has come to its end. After a long stop the steps that were missed are taken one by one,
    /// at once.
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
            if now_ms < progress.due_ms {
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
                    Some(EscalationProgress {
                        step: progress.step,
                        taken: progress.taken + 1,
                        due_ms: now_ms.saturating_add(ms(repeat.every)),
                    })
                }
                _ => self.after(progress.step, now_ms),
            };
            return (Some(taken), next);
        }
    }

    /// An acknowledgement ran out: it goes on where it stood, and waits the time of that step
    /// again.
    pub fn resume(
        &self,
        progress: EscalationProgress,
        now_ms: UnixMillis,
    ) -> Option<EscalationProgress> {
        Some(EscalationProgress {
            due_ms: now_ms.saturating_add(ms(self.wait(progress)?)),
            ..progress
        })
    }

    /// How long the step that is next waits from a standing start.
    pub fn wait(&self, progress: EscalationProgress) -> Option<Duration> {
        let step = self.steps.get(progress.step)?;
        Some(match step.repeat {
            Some(repeat) if progress.taken > 0 => repeat.every,
            _ => step.wait,
        })
    }

    fn after(&self, step: usize, now_ms: UnixMillis) -> Option<EscalationProgress> {
        let next = self.steps.get(step + 1)?;
        Some(EscalationProgress {
            step: step + 1,
            taken: 0,
            due_ms: now_ms.saturating_add(ms(next.wait)),
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
    fn goes_on_where_it_stood_when_an_acknowledgement_runs_out() {
        let policy = EscalationPolicy {
            name: "ops".to_owned(),
            steps: vec![step(0, "a"), step(10, "b")],
        };
        let (_, progress) = policy.advance(policy.begin(0).unwrap(), 0);
        let resumed = policy.resume(progress.unwrap(), 60 * MINUTE).unwrap();
        assert_eq!((resumed.step, resumed.due_ms), (1, 70 * MINUTE));
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
