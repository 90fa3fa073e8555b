//! A host for tests, in this thread: returns the answers of the test, and keeps what the plugin
//! did.
//!
//! ```
//! use extrack_plugin::prelude::*;
//! use extrack_plugin::fake;
//!
//! let host = fake::Host::install();
//! host.answer_http("GET https://api.example.com/health", fake::response(200, r#"{"ok":true}"#));
//!
//! let response = http::get("https://api.example.com/health").send().unwrap();
//! assert_eq!(response.json().unwrap()["ok"], true);
//! assert_eq!(host.http_requests()[0].method, "GET");
//! ```

mod history;
mod message;
mod net;
mod recording;
mod request;
mod stream;
mod tape;
mod webhook;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use serde_json::{Value, json};

use crate::cel::CelError;
use crate::history::{RateLimit, Sample, Usage};
use crate::log::Level;
use crate::mail::{MailError, Message};
use crate::net::NetError;
use crate::settings::Secret;
use crate::wit::{cel, dns, http, icmp, mail, programs};

pub use history::{rate_limit, sample};
pub use message::{awkward, notification, resolved, with_attribute, with_omitted};
pub(crate) use net::join;
pub use net::{certificate, dns_response, echoes, finished, response, tls_session};
pub use request::Request;
pub use stream::{Connection, Socket, StreamScript};
pub use webhook::delivery;

/// 2026-01-01T00:00:00Z
const START_MS: u64 = 1_767_225_600_000;

thread_local! {
    static INSTALLED: RefCell<Option<Rc<RefCell<State>>>> = const { RefCell::new(None) };
}

/// Stand-in for a CEL engine: takes an expression and its variables.
type Cel = Box<dyn Fn(&str, &Value) -> Result<Value, CelError>>;

/// Answers by what was asked, in turn; the last one is given again and again.
type Answers<T> = BTreeMap<String, VecDeque<Result<T, NetError>>>;

pub(crate) struct State {
    http: Answers<http::Response>,
    http_requests: Vec<Request>,
    dns: Answers<dns::Response>,
    icmp: Answers<icmp::Echoes>,
    programs: Answers<programs::Finished>,
    stream: Answers<StreamScript>,
    written: Vec<u8>,
    udp: Answers<StreamScript>,
    datagrams: Vec<Vec<u8>>,
    mail: VecDeque<Result<String, MailError>>,
    mails: Vec<Message>,
    samples: Vec<Sample>,
    rate_limits: Vec<RateLimit>,
    usage: Vec<Usage>,
    features: Vec<String>,
    /// Milliseconds; none: since the first sample.
    watched_ms: Option<u64>,
    cel: Option<Cel>,
    logs: Vec<(Level, String)>,
    hidden: Vec<String>,
    now_ms: u64,
    monotonic_us: u64,
    random: u8,
    /// Answers before anything else, where there is one.
    tape: Option<tape::Tape>,
}

/// The fake host of this thread, until it is dropped.
pub struct Host(Rc<RefCell<State>>);

impl Host {
    /// Puts a host in place that answers nothing yet. Its clock stands at 2026-01-01T00:00:00Z.
    pub fn install() -> Self {
        let state = Rc::new(RefCell::new(State {
            http: Answers::new(),
            http_requests: Vec::new(),
            dns: Answers::new(),
            icmp: Answers::new(),
            programs: Answers::new(),
            stream: Answers::new(),
            written: Vec::new(),
            udp: Answers::new(),
            datagrams: Vec::new(),
            mail: VecDeque::new(),
            mails: Vec::new(),
            samples: Vec::new(),
            rate_limits: Vec::new(),
            usage: Vec::new(),
            features: Vec::new(),
            watched_ms: None,
            cel: None,
            logs: Vec::new(),
            hidden: Vec::new(),
            now_ms: START_MS,
            monotonic_us: 0,
            random: 0,
            tape: None,
        }));
        INSTALLED.with(|installed| *installed.borrow_mut() = Some(Rc::clone(&state)));
        Self(state)
    }

    /// Sets the answer to a request such as `GET https://api.example.com/health`. Several answers are
    /// given in turn.
    pub fn answer_http(&self, request: &str, answer: impl Into<Answer<http::Response>>) {
        self.0
            .borrow_mut()
            .http
            .entry(request.to_owned())
            .or_default()
            .push_back(answer.into().0);
    }

    /// Sets the answer to a query such as `A api.example.com`.
    pub fn answer_dns(&self, query: &str, answer: impl Into<Answer<dns::Response>>) {
        self.0
            .borrow_mut()
            .dns
            .entry(query.to_owned())
            .or_default()
            .push_back(answer.into().0);
    }

    /// Sets the answers to echo requests to a host. See [`echoes`].
    pub fn answer_icmp(&self, host: &str, answer: impl Into<Answer<icmp::Echoes>>) {
        self.0
            .borrow_mut()
            .icmp
            .entry(host.to_owned())
            .or_default()
            .push_back(answer.into().0);
    }

    /// Sets how a program ends, by its path and its arguments, such as `/bin/check -w 5`. See [`finished`].
    pub fn answer_program(&self, command: &str, answer: impl Into<Answer<programs::Finished>>) {
        self.0
            .borrow_mut()
            .programs
            .entry(command.to_owned())
            .or_default()
            .push_back(answer.into().0);
    }

    /// Sets how a TCP connection to `host:port` goes.
    pub fn answer_stream(&self, target: &str, answer: impl Into<Answer<StreamScript>>) {
        self.0
            .borrow_mut()
            .stream
            .entry(target.to_owned())
            .or_default()
            .push_back(answer.into().0);
    }

    /// Sets which datagrams come from `host:port`; then there is silence.
    pub fn answer_udp(&self, target: &str, answer: impl Into<Answer<StreamScript>>) {
        self.0
            .borrow_mut()
            .udp
            .entry(target.to_owned())
            .or_default()
            .push_back(answer.into().0);
    }

    /// Sets the mail server's answer to the next message.
    pub fn answer_mail(&self, answer: Result<String, MailError>) {
        self.0.borrow_mut().mail.push_back(answer);
    }

    /// Stands in for the CEL engine, which only the real host has.
    pub fn answer_cel(&self, evaluate: impl Fn(&str, &Value) -> Result<Value, CelError> + 'static) {
        self.0.borrow_mut().cel = Some(Box::new(evaluate));
    }

    /// Sets the history a rule sees, oldest first; windows end at the host's clock. See [`sample`].
    pub fn set_history(&self, samples: impl IntoIterator<Item = Sample>) {
        self.0.borrow_mut().samples = samples.into_iter().collect();
    }

    /// Sets the readings of rate limits, oldest first. See [`rate_limit`].
    pub fn set_rate_limits(&self, readings: impl IntoIterator<Item = RateLimit>) {
        self.0.borrow_mut().rate_limits = readings.into_iter().collect();
    }

    /// Sets the usage and cost to date that a rule sees; empty by default.
    pub fn set_usage(&self, usage: impl IntoIterator<Item = Usage>) {
        self.0.borrow_mut().usage = usage.into_iter().collect();
    }

    /// Sets the features that the host has; none by default.
    pub fn set_features<T: Into<String>>(&self, features: impl IntoIterator<Item = T>) {
        self.0.borrow_mut().features = features.into_iter().map(Into::into).collect();
    }

    /// Sets how long the service has been watched; by default, since the first run of the history.
    pub fn set_watched(&self, watched: std::time::Duration) {
        self.0.borrow_mut().watched_ms = Some(crate::time::millis(watched));
    }

    /// Milliseconds since 1970.
    pub fn set_now_ms(&self, now_ms: u64) {
        self.0.borrow_mut().now_ms = now_ms;
    }

    pub fn now_ms(&self) -> u64 {
        self.0.borrow().now_ms
    }

    /// Requests made, in order.
    pub fn http_requests(&self) -> Vec<Request> {
        self.0.borrow().http_requests.clone()
    }

    /// Returns everything written to connections, in order.
    pub fn stream_written(&self) -> Vec<u8> {
        self.0.borrow().written.clone()
    }

    /// Returns the datagrams sent, in order.
    pub fn udp_sent(&self) -> Vec<Vec<u8>> {
        self.0.borrow().datagrams.clone()
    }

    /// Messages handed to the mail server, in order.
    pub fn mails(&self) -> Vec<Message> {
        self.0.borrow().mails.clone()
    }

    /// Lines logged, in order.
    pub fn logs(&self) -> Vec<(Level, String)> {
        self.0.borrow().logs.clone()
    }

    /// Texts kept out of recordings, in order.
    pub fn hidden(&self) -> Vec<String> {
        self.0.borrow().hidden.clone()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        INSTALLED.with(|installed| {
            let mut installed = installed.borrow_mut();
            if installed
                .as_ref()
                .is_some_and(|state| Rc::ptr_eq(state, &self.0))
            {
                *installed = None;
            }
        });
    }
}

/// An answer, or the error that comes in its place.
pub struct Answer<T>(Result<T, NetError>);

impl<T> From<T> for Answer<T> {
    fn from(answer: T) -> Self {
        Answer(Ok(answer))
    }
}

impl<T> From<Result<T, NetError>> for Answer<T> {
    fn from(answer: Result<T, NetError>) -> Self {
        Answer(answer)
    }
}

macro_rules! from_error {
    ($($type:ty),*) => {$(
        impl From<NetError> for Answer<$type> {
            fn from(error: NetError) -> Self {
                Answer(Err(error))
            }
        }
    )*};
}
from_error!(
    http::Response,
    dns::Response,
    icmp::Echoes,
    programs::Finished,
    crate::stream::Session,
    StreamScript
);

/// Asks the host of this thread.
pub(crate) fn with<T>(ask: impl FnOnce(&mut State) -> T) -> T {
    let installed = INSTALLED.with(|installed| installed.borrow().clone());
    let state = installed.expect(
        "a plugin under test needs a host: `let host = extrack_plugin::fake::Host::install();`",
    );
    ask(&mut state.borrow_mut())
}

/// Length of a secret: in a recording the one of then, whose value nobody has.
pub(crate) fn secret_length(secret: &Secret) -> usize {
    let recorded = INSTALLED.with(|installed| installed.borrow().clone());
    let recorded = recorded.and_then(|state| {
        let asked = json!({"secret": secret.pointer()});
        state
            .borrow_mut()
            .recorded::<usize>("secrets.length", &asked)
    });
    recorded.unwrap_or(secret.value().len())
}

/// The next answer under a key.
fn next<T: Clone>(answers: &mut Answers<T>, key: &str, function: &str) -> Result<T, NetError> {
    let known: Vec<String> = answers.keys().cloned().collect();
    match answers.get_mut(key) {
        Some(queue) if queue.len() > 1 => queue.pop_front().expect("more than one is left"),
        Some(queue) => queue
            .front()
            .cloned()
            .expect("a queue is made with its first answer"),
        None => panic!(
            "the fake host has no answer for `{key}`; give it one with `{function}`; it has {known:?}"
        ),
    }
}

impl State {
    pub(crate) fn mail(&mut self, message: &Message) -> Result<String, MailError> {
        self.mails.push(message.clone());
        if let Some(answer) = self.recorded::<Result<String, mail::MailError>>("mail.send", message)
        {
            return answer.map_err(MailError::from);
        }
        self.mail
            .pop_front()
            .unwrap_or_else(|| Ok("250 queued".to_owned()))
    }

    pub(crate) fn cel_check(
        &mut self,
        expression: &str,
        variables: &[String],
    ) -> Result<(), CelError> {
        let asked = json!({"expression": expression, "variables": variables});
        if let Some(answer) = self.recorded_or::<Result<(), cel::CelError>>("cel.check", &asked) {
            return answer.map_err(CelError::from);
        }
        match self.cel_evaluate(expression, &Value::Null) {
            Err(CelError::Invalid(text)) => Err(CelError::Invalid(text)),
            _ => Ok(()),
        }
    }

    pub(crate) fn cel_evaluate(
        &mut self,
        expression: &str,
        variables: &Value,
    ) -> Result<Value, CelError> {
        if let Some(answer) = self.recorded_cel(expression, variables) {
            return answer;
        }
        let cel = self
            .cel
            .as_ref()
            .expect("the fake host has no CEL engine; stand in for it with `answer_cel`");
        cel(expression, variables)
    }

    pub(crate) fn features(&mut self) -> Vec<String> {
        self.recorded_or("host.features", &())
            .unwrap_or_else(|| self.features.clone())
    }

    pub(crate) fn log(&mut self, level: Level, message: &str) {
        self.logs.push((level, message.to_owned()));
    }

    pub(crate) fn hide(&mut self, text: &str) {
        self.hidden.push(text.to_owned());
    }

    pub(crate) fn now_ms(&mut self) -> u64 {
        self.recorded_or("clock.now-ms", &()).unwrap_or(self.now_ms)
    }

    pub(crate) fn monotonic_us(&mut self) -> u64 {
        self.monotonic_us += 1;
        self.recorded_or("clock.monotonic-us", &())
            .unwrap_or(self.monotonic_us)
    }

    /// Not random at all, so that tests repeat.
    pub(crate) fn random(&mut self, count: u32) -> Vec<u8> {
        if let Some(bytes) = self.recorded_or("random.bytes", &json!({"count": count})) {
            return bytes;
        }
        (0..count.min(4_096))
            .map(|_| {
                self.random = self.random.wrapping_add(1);
                self.random
            })
            .collect()
    }
}
