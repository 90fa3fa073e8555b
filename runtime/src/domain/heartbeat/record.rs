//! What is known of a heartbeat. Times that ended while nobody listened are given one grace more:
//! `listening_since_ms` is the moment since which pings could arrive.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Heartbeat, Ping, Signal, later};
use crate::domain::UnixMillis;
use crate::domain::duration::format_duration;

/// State of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HeartbeatState {
    /// The first ping is waited for, without an end.
    Never,
    Up,
    /// A run has begun, and is within its time.
    Running,
    /// Due, and within the grace.
    Late,
    /// The grace is over, the job reported a failure, or a run did not end in time.
    Down,
}

impl HeartbeatState {
    pub const ALL: [HeartbeatState; 5] = [
        HeartbeatState::Never,
        HeartbeatState::Up,
        HeartbeatState::Running,
        HeartbeatState::Late,
        HeartbeatState::Down,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            HeartbeatState::Never => "never",
            HeartbeatState::Up => "up",
            HeartbeatState::Running => "running",
            HeartbeatState::Late => "late",
            HeartbeatState::Down => "down",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why a heartbeat is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownCause {
    /// No ping came.
    Silence,
    /// A run did not end.
    Overrun,
    /// The job reported it.
    Failure,
}

impl DownCause {
    const ALL: [DownCause; 3] = [DownCause::Silence, DownCause::Overrun, DownCause::Failure];

    pub fn as_str(self) -> &'static str {
        match self {
            DownCause::Silence => "silence",
            DownCause::Overrun => "overrun",
            DownCause::Failure => "failure",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }
}

/// What is known of a heartbeat, kept over restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatRecord {
    pub state: HeartbeatState,
    /// Moment since which it has this state.
    pub since_ms: UnixMillis,
    /// Some while it is down.
    pub cause: Option<DownCause>,
    /// Why it is late or down, for people.
    pub reason: Option<String>,
    /// Moment of the last success or failure.
    pub last_ms: Option<UnixMillis>,
    pub last_success_ms: Option<UnixMillis>,
    /// Moment of the start to which no end has come.
    pub started_ms: Option<UnixMillis>,
    /// How long the last run took; none if it reported no start.
    pub duration_ms: Option<i64>,
    /// Exit status of the last run, where it was given and is no success.
    pub exit_status: Option<u8>,
    /// Message of the last ping.
    pub message: Option<String>,
    pub pings: u64,
}

impl HeartbeatRecord {
    /// Returns the record of a heartbeat that waits for its first ping.
    pub fn new(now_ms: UnixMillis) -> Self {
        Self {
            state: HeartbeatState::Never,
            since_ms: now_ms,
            cause: None,
            reason: None,
            last_ms: None,
            last_success_ms: None,
            started_ms: None,
            duration_ms: None,
            exit_status: None,
            message: None,
            pings: 0,
        }
    }

    /// Returns the record after a ping. A start ends no outage: only a success does.
    pub fn pinged(&self, ping: &Ping, at_ms: UnixMillis) -> Self {
        let mut next = Self {
            message: ping.message.clone(),
            pings: self.pings.saturating_add(1),
            ..self.clone()
        };
        if ping.signal == Signal::Start {
            next.started_ms = Some(at_ms);
            if self.state != HeartbeatState::Down {
                next.enter(HeartbeatState::Running, at_ms);
            }
            return next;
        }
        let started_ms = next.started_ms.take();
        next.duration_ms = started_ms.map(|started_ms| at_ms.saturating_sub(started_ms).max(0));
        next.last_ms = Some(at_ms);
        next.exit_status = None;
        match ping.signal {
            Signal::Success | Signal::Start => {
                next.last_success_ms = Some(at_ms);
                next.enter(HeartbeatState::Up, at_ms);
            }
            Signal::Fail { exit_status } => {
                next.exit_status = exit_status;
                let reason = match exit_status {
                    Some(status) => format!("the job ended with exit status {status}"),
                    None => "the job reported a failure".to_owned(),
                };
                next.enter_down(DownCause::Failure, reason, at_ms);
            }
        }
        next
    }

    /// Returns when the next ping is due; none before the first one, and while a run is under way.
    pub fn due_ms(&self, heartbeat: &Heartbeat) -> Option<UnixMillis> {
        heartbeat.due_after(self.last_ms?)
    }

    /// Returns when the state changes by the time alone; none: not before the next ping.
    pub fn next_change_ms(
        &self,
        heartbeat: &Heartbeat,
        listening_since_ms: UnixMillis,
    ) -> Option<UnixMillis> {
        let at_least_ms = later(listening_since_ms, heartbeat.grace);
        match self.state {
            HeartbeatState::Never | HeartbeatState::Down => None,
            HeartbeatState::Up => Some(self.due_ms(heartbeat)?.max(at_least_ms)),
            HeartbeatState::Late => {
                let since_ms = self.since_ms.max(listening_since_ms);
                Some(later(since_ms, heartbeat.grace))
            }
            HeartbeatState::Running => {
                let limit = heartbeat.run_limit();
                let ends_ms = later(self.started_ms?, limit);
                // A job that begins again and again, and never ends, has no more time for that.
                let due_ms = self.due_ms(heartbeat).unwrap_or(self.since_ms);
                let last_ms = later(due_ms.max(self.since_ms), heartbeat.grace + limit);
                Some(ends_ms.min(last_ms).max(at_least_ms))
            }
        }
    }

    /// Returns the next state at a moment; none while it stays as it is. A heartbeat that is up
    /// becomes late before it is down, however much time has passed.
    pub fn aged(
        &self,
        heartbeat: &Heartbeat,
        listening_since_ms: UnixMillis,
        now_ms: UnixMillis,
    ) -> Option<Self> {
        let change_ms = self.next_change_ms(heartbeat, listening_since_ms)?;
        if change_ms > now_ms {
            return None;
        }
        let mut next = self.clone();
        let grace = format_duration(heartbeat.grace);
        match self.state {
            HeartbeatState::Up => {
                next.enter(HeartbeatState::Late, change_ms);
                let due = moment(self.due_ms(heartbeat)?);
                next.reason = Some(format!("no ping since it was due at {due}"));
            }
            HeartbeatState::Late => {
                let due = moment(self.due_ms(heartbeat)?);
                let reason =
                    format!("no ping since it was due at {due}, and the grace of {grace} is over");
                next.enter_down(DownCause::Silence, reason, change_ms);
            }
            HeartbeatState::Running => {
                let started = moment(self.started_ms?);
                let limit = format_duration(heartbeat.run_limit());
                let reason = format!("the run that began at {started} did not end within {limit}");
                next.enter_down(DownCause::Overrun, reason, change_ms);
            }
            HeartbeatState::Never | HeartbeatState::Down => return None,
        }
        Some(next)
    }

    /// Moves all moments with a clock that was set back, so that what is to come after a time comes
    /// after that time.
    pub fn moved_back(&mut self, by_ms: i64) {
        let moments = [
            Some(&mut self.since_ms),
            self.last_ms.as_mut(),
            self.last_success_ms.as_mut(),
            self.started_ms.as_mut(),
        ];
        for moment in moments.into_iter().flatten() {
            *moment = moment.saturating_sub(by_ms);
        }
    }

    /// Moves moments that lie ahead of the clock to now: it was set back while the program was
    /// stopped.
    pub fn clamped(mut self, now_ms: UnixMillis) -> Self {
        let ahead_ms = [Some(self.since_ms), self.last_ms, self.started_ms]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(now_ms)
            .saturating_sub(now_ms);
        if ahead_ms > 0 {
            self.moved_back(ahead_ms);
        }
        self
    }

    fn enter(&mut self, state: HeartbeatState, at_ms: UnixMillis) {
        if self.state != state {
            self.since_ms = at_ms;
        }
        (self.state, self.cause, self.reason) = (state, None, None);
    }

    fn enter_down(&mut self, cause: DownCause, reason: String, at_ms: UnixMillis) {
        self.enter(HeartbeatState::Down, at_ms);
        (self.cause, self.reason) = (Some(cause), Some(reason));
    }
}

/// `2026-11-23 07:43:23 UTC`
fn moment(at_ms: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(at_ms)
        .unwrap_or_default()
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string()
}
