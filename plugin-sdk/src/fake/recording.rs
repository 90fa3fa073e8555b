//! A recording of a real run in place of written answers: download one from a server (`GET
//! /api/v1/recordings/RUN_ID`, or `extrack plugin recordings`), keep it beside the tests, and the
//! run happens again.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::tape::Tape;
use super::{Host, State};
use crate::cel::CelError;
use crate::meter::Question;
use crate::notifier::Notification;
use crate::probe::Check;
use crate::rule::Evaluation;
use crate::webhook::Delivery;
use crate::wit::{cel, meter, notifier, probe, rule};

use meter::exports::external_tracking::plugin::meters;
use notifier::exports::external_tracking::plugin::notifiers;
use probe::exports::external_tracking::plugin::probes;
use rule::exports::external_tracking::plugin::rules;

impl Host {
    /// Puts a host in place that answers as it did in a recorded run. A request that was not made
    /// then fails the test.
    ///
    /// ```no_run
    /// # use extrack_plugin::prelude::*;
    /// # use extrack_plugin::fake;
    /// # #[derive(Settings)] struct Settings {}
    /// # fn check(_: &Check, _: &Settings) -> Result<Observation, Stop> { Ok(Observation::healthy()) }
    /// let host = fake::Host::replay(&std::fs::read_to_string("tests/recording-4711.json").unwrap());
    /// let observation = check(&host.recorded_check(), &host.recorded_settings()).unwrap();
    /// assert_eq!(observation.status, Status::Healthy);
    /// ```
    ///
    /// # Panics
    ///
    /// If the text is not a recording, or one of another format.
    pub fn replay(recording: &str) -> Self {
        let tape = Tape::read(recording)
            .unwrap_or_else(|reason| panic!("this is not a recording of a run: {reason}"));
        let host = Self::install();
        {
            let mut state = host.0.borrow_mut();
            state.now_ms = tape.ts_ms;
            state.tape = Some(tape);
        }
        host
    }

    /// Returns the input of the recorded run of a probe.
    pub fn recorded_check(&self) -> Check {
        self.argument::<probes::Context>(0).into()
    }

    /// Returns the input of the recorded evaluation of a rule.
    pub fn recorded_evaluation(&self) -> Evaluation {
        self.argument::<rules::Context>(0).into()
    }

    /// Returns the message of the recorded run of a notifier.
    pub fn recorded_notification(&self) -> Notification {
        self.argument::<notifiers::Notification>(1)
    }

    /// Returns the delivery of the recorded run of a webhook.
    pub fn recorded_delivery(&self) -> Delivery {
        Delivery::new(self.argument(0), self.argument(1))
    }

    /// Returns the input of the recorded reading of a meter.
    pub fn recorded_question(&self) -> Question {
        self.argument::<meters::Context>(0).into()
    }

    /// The settings of the recorded run; secrets name their places, as always.
    pub fn recorded_settings<S: crate::settings::Setting>(&self) -> S {
        let settings =
            self.with_tape(|tape| tape.arguments[0]["settings"].as_str().map(str::to_owned));
        let settings = settings.expect("every kind of plugin is given settings");
        S::from_json(&settings)
            .unwrap_or_else(|faults| panic!("the recorded settings have faults: {faults:?}"))
    }

    fn argument<T: DeserializeOwned>(&self, index: usize) -> T {
        let argument = self.with_tape(|tape| tape.arguments.get(index).cloned());
        let argument =
            argument.unwrap_or_else(|| panic!("the recorded run had no argument {}", index + 1));
        serde_json::from_value(argument)
            .unwrap_or_else(|error| panic!("a run of another kind was recorded: {error}"))
    }

    fn with_tape<T>(&self, ask: impl FnOnce(&Tape) -> T) -> T {
        let state = self.0.borrow();
        ask(state
            .tape
            .as_ref()
            .expect("this host was not made with `Host::replay`"))
    }
}

impl State {
    /// Returns the recorded answer; none where this host plays no recording.
    pub(crate) fn recorded<A: DeserializeOwned>(
        &mut self,
        function: &str,
        request: &impl Serialize,
    ) -> Option<A> {
        let request = serde_json::to_value(request).expect("what a plugin asks is plain data");
        let tape = self.tape.as_mut()?;
        let found = tape.find(function, &request);
        Some(found.unwrap_or_else(|| {
            let left: Vec<String> = tape.calls.iter().map(|call| Value::from(call.clone()).to_string()).collect();
            panic!(
                "the recorded run did not ask `{function}` {request}; what it asked and was not asked again:\n{}",
                left.join("\n")
            )
        }))
    }

    /// The variables travel as text, in whichever order.
    pub(crate) fn recorded_cel(
        &mut self,
        expression: &str,
        variables: &Value,
    ) -> Option<Result<Value, CelError>> {
        let tape = self.tape.as_mut()?;
        let index = tape.calls.iter().position(|call| {
            let Some(request) = call.get("request") else {
                return false;
            };
            let text = request["variables"].as_str().unwrap_or_default();
            call.get("function")
                .is_some_and(|name| name == "cel.evaluate")
                && request["expression"] == expression
                && serde_json::from_str::<Value>(text).is_ok_and(|recorded| recorded == *variables)
        })?;
        let request = tape.calls[index].get("request").cloned()?;
        let answer: Result<String, cel::CelError> = tape.find("cel.evaluate", &request)?;
        Some(match answer {
            Ok(text) => {
                serde_json::from_str(&text).map_err(|error| CelError::Failed(error.to_string()))
            }
            Err(error) => Err(error.into()),
        })
    }

    /// Returns the recorded answer of a call that the fake host can also answer by itself. None too
    /// if the recorded run did not make it.
    pub(crate) fn recorded_or<A: DeserializeOwned>(
        &mut self,
        function: &str,
        request: &impl Serialize,
    ) -> Option<A> {
        let request = serde_json::to_value(request).expect("what a plugin asks is plain data");
        self.tape.as_mut()?.find(function, &request)
    }
}

#[cfg(test)]
mod tests;
