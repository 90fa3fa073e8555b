//! Compiles `escalations` and `watchdog` into policies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Compiler;
use super::channel::{ChannelPlace, position_of};
use crate::domain::fault::{child, suggest};
use crate::domain::{
    Channel, ChannelId, EscalationPolicy, EscalationStep, StepHours, StepRepeat, Watchdog,
};
use crate::spec::{
    EscalationSpec, EscalationStepSpec, NotificationSpec, NotifySpec, PluginSettings,
    StepHoursSpec, WatchdogSpec,
};

/// More is a mistake.
const MAX_ESCALATIONS: usize = 200;
const MAX_STEPS: usize = 32;
const MAX_NOTIFIED: usize = 32;

/// Faster than anyone can answer.
const MIN_REPEAT: Duration = Duration::from_secs(10);

const WATCHDOG_INTERVAL: Duration = Duration::from_secs(60);
const MIN_WATCHDOG_INTERVAL: Duration = Duration::from_secs(5);

const DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
const DAY_MINUTES: u32 = 24 * 60;

/// Policies by name, and the channels that they name themselves.
#[derive(Default)]
pub(crate) struct Escalations {
    pub(crate) policies: BTreeMap<String, Arc<EscalationPolicy>>,
    pub(crate) channels: Vec<Arc<Channel>>,
}

impl Compiler<'_> {
    pub(crate) async fn escalations(
        &mut self,
        specs: &[(String, EscalationSpec)],
        at: &str,
    ) -> Escalations {
        let mut escalations = Escalations::default();
        if specs.len() > MAX_ESCALATIONS {
            self.report
                .fault(at, format!("must have at most {MAX_ESCALATIONS} entries"));
        }
        for (name, spec) in specs.iter().take(MAX_ESCALATIONS) {
            let at = child(at, name);
            self.name_check(name, &at);
            let steps_at = child(&at, "steps");
            if spec.steps.is_empty() || spec.steps.len() > MAX_STEPS {
                self.report.fault(
                    &steps_at,
                    format!("must have between 1 and {MAX_STEPS} entries"),
                );
            }
            let mut steps = Vec::new();
            for (index, step) in spec.steps.iter().take(MAX_STEPS).enumerate() {
                let step_at = child(&steps_at, index);
                let place = ChannelPlace::of_step(name, index);
                let step = self
                    .step(step, &step_at, &place, &mut escalations.channels)
                    .await;
                if index + 1 < spec.steps.len()
                    && step.repeat.is_some_and(|repeat| repeat.times.is_none())
                {
                    let message = "is repeated until somebody comes, so the steps behind it are never reached; \
                                   say how many `times`";
                    self.report.fault(child(&step_at, "repeat"), message);
                }
                steps.push(step);
            }
            let policy = EscalationPolicy {
                name: name.clone(),
                steps,
            };
            escalations.policies.insert(name.clone(), Arc::new(policy));
        }
        escalations
    }

    async fn step(
        &mut self,
        spec: &EscalationStepSpec,
        at: &str,
        place: &ChannelPlace,
        channels: &mut Vec<Arc<Channel>>,
    ) -> EscalationStep {
        let wait = self
            .duration(spec.wait.as_ref(), 1_000, &child(at, "wait"))
            .unwrap_or_default();
        let notify_at = child(at, "notify");
        if spec.notify.is_empty() || spec.notify.len() > MAX_NOTIFIED {
            self.report.fault(
                &notify_at,
                format!("must have between 1 and {MAX_NOTIFIED} entries"),
            );
        }
        let mut notified: Vec<ChannelId> = Vec::new();
        for (index, notify) in spec.notify.iter().take(MAX_NOTIFIED).enumerate() {
            let before = spec
                .notify
                .iter()
                .take(index)
                .filter_map(NotifySpec::channel);
            let position = notify.channel().map_or(0, |spec| position_of(spec, before));
            let Some(channel) = self
                .notified(notify, &child(&notify_at, index), place, position)
                .await
            else {
                continue;
            };
            if !notified.contains(&channel.id) {
                notified.push(channel.id.clone());
                channels.push(channel);
            }
        }
        let repeat = spec.repeat.as_ref().and_then(|repeat| {
            let place = child(&child(at, "repeat"), "every");
            let every = self.duration(Some(&repeat.every), 1_000, &place)?;
            if every < MIN_REPEAT {
                self.report.fault(place, "must be at least 10s");
            }
            Some(StepRepeat {
                every,
                times: repeat.times,
            })
        });
        let hours = spec
            .hours
            .as_ref()
            .and_then(|hours| self.hours(hours, &child(at, "hours")));
        EscalationStep {
            wait,
            channels: notified,
            repeat,
            hours,
        }
    }

    /// Resolves a channel by its name, or as it is written out.
    async fn notified(
        &mut self,
        spec: &NotifySpec,
        at: &str,
        place: &ChannelPlace,
        position: usize,
    ) -> Option<Arc<Channel>> {
        match spec {
            NotifySpec::Channel(spec) => self.channel(spec, at, place, position).await,
            NotifySpec::Name(name) => {
                let found = self.named_channels.get(name).cloned();
                if found.is_none() {
                    let known = suggest(name, self.named_channels.keys().map(String::as_str));
                    self.report
                        .fault(at, format!("there is no channel `{name}`{known}"));
                }
                found
            }
        }
    }

    fn hours(&mut self, spec: &StepHoursSpec, at: &str) -> Option<StepHours> {
        let mut weekdays = Vec::new();
        for (index, day) in spec.days.iter().enumerate() {
            let lower = day.to_lowercase();
            match DAYS
                .iter()
                .position(|known| lower.len() >= 3 && known.starts_with(&lower))
            {
                Some(day) => weekdays.push(day as u8),
                None => {
                    let message = format!(
                        "`{day}` is not a day; write `mon`, `tue`, `wed`, `thu`, `fri`, `sat` or `sun`"
                    );
                    self.report.fault(child(&child(at, "days"), index), message);
                }
            }
        }
        let from = self.minute(spec.from.as_deref(), 0, &child(at, "from"));
        let to = self.minute(spec.to.as_deref(), DAY_MINUTES, &child(at, "to"));
        let zone = match spec.timezone.as_deref().unwrap_or("UTC").parse() {
            Ok(zone) => Some(zone),
            Err(_) => {
                self.report.fault(
                    child(at, "timezone"),
                    "is not a known time zone; write e.g. `Europe/Berlin`",
                );
                None
            }
        };
        Some(StepHours {
            weekdays,
            from: from?,
            to: to?,
            zone: zone?,
        })
    }

    /// Minutes since midnight.
    fn minute(&mut self, text: Option<&str>, default: u32, at: &str) -> Option<u32> {
        let Some(text) = text else {
            return Some(default);
        };
        let minute = text.split_once(':').and_then(|(hour, minute)| {
            let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
            (minute < 60 && hour * 60 + minute <= DAY_MINUTES && hour <= 24)
                .then_some(hour * 60 + minute)
        });
        if minute.is_none() {
            self.report.fault(
                at,
                format!("`{text}` is not a time of day; write e.g. `09:00`"),
            );
        }
        minute
    }

    pub(crate) async fn watchdog(
        &mut self,
        spec: &WatchdogSpec,
        at: &str,
    ) -> Option<(Watchdog, Arc<Channel>)> {
        let place = child(at, "interval");
        let interval = self
            .duration(spec.interval.as_ref(), 1_000, &place)
            .unwrap_or(WATCHDOG_INTERVAL);
        if interval < MIN_WATCHDOG_INTERVAL {
            self.report.fault(place, "must be at least 5s");
        }
        let channel = match (&spec.url, &spec.notify) {
            (Some(url), None) => {
                let settings = PluginSettings(Map::from_iter([(
                    "url".to_owned(),
                    Value::from(url.as_str()),
                )]));
                let spec = NotificationSpec {
                    channel: "webhook".to_owned(),
                    settings,
                    ..NotificationSpec::default()
                };
                let channel = self.channel(&spec, at, &ChannelPlace::WATCHDOG, 0).await;
                channel.map(|channel| {
                    Arc::new(Channel {
                        name: "watchdog".to_owned(),
                        ..Channel::clone(&channel)
                    })
                })
            }
            (None, Some(notify)) => {
                self.notified(notify, &child(at, "notify"), &ChannelPlace::WATCHDOG, 0)
                    .await
            }
            _ => {
                self.report.fault(
                    at,
                    "needs to know where it is sent to: either a `url` or `notify`",
                );
                None
            }
        }?;
        Some((
            Watchdog {
                channel: channel.id.clone(),
                interval,
            },
            channel,
        ))
    }
}
