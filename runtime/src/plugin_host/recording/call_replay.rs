//! Answers the host calls of a run from a recording, in order, and remembers where the run first
//! asked for something else.

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::plugin_host::contract::bindings::imports::log::Level;
use crate::plugin_host::recording::format::json::from_value;
use crate::plugin_host::recording::format::json::{Json, to_value};
use crate::plugin_host::recording::format::{CallCost, Missing, RecordedCall};
use crate::plugin_host::recording::format::{GivenAnswer, LogLine};

/// A host call, as it was asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asked {
    pub function: String,
    pub request: Value,
}

/// The first call that was not as recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Number of the call in the replay, from 1.
    pub position: usize,
    /// `None`: the recorded run made no more calls.
    pub recorded: Option<Asked>,
    /// `None`: the replay made no more calls.
    pub replayed: Option<Asked>,
}

/// Why a replay can't go on. Travels as the error of a trap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::plugin_host) enum ReplayStop {
    #[error(
        "asked for `{function}`{what} as the recorded run never did, and a replay can't find out what the answer would have been; \
         for HTTP, `--answer 'METHOD URL=FILE'` gives it"
    )]
    NotRecorded {
        function: &'static str,
        what: String,
    },
    #[error("the recorded run was cut off in `{function}`")]
    CutOff { function: &'static str },
    #[error("the recorded answer of `{function}` was too large to be kept")]
    TooLarge { function: &'static str },
    #[error("the recorded answer of `{function}` can't be read: {reason}")]
    Unreadable {
        function: &'static str,
        reason: String,
    },
}

/// Functions without outside effects, which a replay may execute when the recording has no answer.
const PURE: [&str; 6] = [
    "host.features",
    "cel.check",
    "cel.evaluate",
    "clock.now-ms",
    "clock.monotonic-us",
    "random.bytes",
];

pub(in crate::plugin_host) struct CallReplay {
    /// Not asked for yet, in order; with their cost.
    left: VecDeque<RecordedCall>,
    /// Answers to HTTP requests that were not recorded.
    given: Vec<GivenAnswer>,
    /// The recorded run was cut off: where its calls end, it ended.
    was_cut_off: bool,
    made: usize,
    difference: Option<Difference>,
    stop: Option<ReplayStop>,
    log: Vec<LogLine>,
}

impl CallReplay {
    pub(in crate::plugin_host) fn new(calls: Vec<RecordedCall>, was_cut_off: bool) -> Self {
        let (given, log) = (Vec::new(), Vec::new());
        Self {
            left: calls.into(),
            given,
            was_cut_off,
            made: 0,
            difference: None,
            stop: None,
            log,
        }
    }

    pub(in crate::plugin_host) fn with_answers(self, given: Vec<GivenAnswer>) -> Self {
        Self { given, ..self }
    }

    /// Answers with the next recorded call if it is the same; else the difference is noted, and the
    /// next call that is the same answers. `None`: the host executes it.
    pub(in crate::plugin_host) fn answer<Q, A>(
        &mut self,
        function: &'static str,
        request: &Q,
    ) -> Result<Option<(A, CallCost)>, ReplayStop>
    where
        Q: Serialize + Send + Sync,
        A: DeserializeOwned,
    {
        let answered = self.find(function, request);
        if let Err(stop) = &answered {
            self.stop.get_or_insert(stop.clone());
        }
        answered
    }

    fn find<A: DeserializeOwned>(
        &mut self,
        function: &'static str,
        request: &dyn Json,
    ) -> Result<Option<(A, CallCost)>, ReplayStop> {
        if self.left.is_empty() && self.was_cut_off && self.difference.is_none() {
            return Err(ReplayStop::CutOff { function });
        }
        self.made += 1;
        let unreadable = |error: serde_json::Error| ReplayStop::Unreadable {
            function,
            reason: error.to_string(),
        };
        let request = to_value(request).map_err(unreadable)?;
        let found = self
            .left
            .iter()
            .position(|call| call.function == function && call.request == request);
        if found != Some(0) {
            let replayed = Asked {
                function: function.to_owned(),
                request: request.clone(),
            };
            self.differs(Some(replayed));
        }
        let call = match found.and_then(|index| self.left.remove(index)) {
            Some(call) => call,
            None if PURE.contains(&function) => return Ok(None),
            None => {
                let answer = self.given_answer(function, &request);
                let answer = answer.ok_or_else(|| ReplayStop::NotRecorded {
                    function,
                    what: what(&request),
                })?;
                return from_value(answer)
                    .map(|answer| Some((answer, CallCost::default())))
                    .map_err(unreadable);
            }
        };
        match call.missing {
            None => from_value(call.answer)
                .map(|answer| Some((answer, call.cost)))
                .map_err(unreadable),
            Some(Missing::CutOff) => Err(ReplayStop::CutOff { function }),
            Some(Missing::TooLarge) => Err(ReplayStop::TooLarge { function }),
        }
    }

    /// Returns a given answer in the contract's shape.
    fn given_answer(&self, function: &str, request: &Value) -> Option<Value> {
        let is_it = |given: &&GivenAnswer| {
            function == "http.send"
                && request["method"] == given.method.as_str()
                && shown(&request["url"]) == given.url
        };
        let given = self.given.iter().find(is_it)?;
        let phases = json!({
            "dns_us": null, "connect_us": null, "tls_us": null, "first_byte_us": null, "body_us": null, "total_us": 0,
            "attributes": [],
        });
        Some(json!({"Ok": {
            "status": 200,
            "version": "HTTP/1.1",
            "headers": [],
            "body": given.body,
            "trailers": [],
            "truncated": false,
            "phases": phases,
            "peer": "",
            "certificate": null,
            "attributes": [],
        }}))
    }

    fn differs(&mut self, replayed: Option<Asked>) {
        let position = self.made + usize::from(replayed.is_none());
        let next = self.left.front();
        let recorded = next.map(|call| Asked {
            function: call.function.clone(),
            request: call.request.clone(),
        });
        self.difference.get_or_insert(Difference {
            position,
            recorded,
            replayed,
        });
    }

    pub(in crate::plugin_host) fn log(&mut self, level: Level, message: &str) {
        self.log.push(LogLine {
            level: level.into(),
            message: message.to_owned(),
        });
    }

    /// The run is over: calls that are left were not made.
    pub(in crate::plugin_host) fn end(mut self) -> ReplayedCalls {
        if !self.left.is_empty() && self.stop.is_none() {
            self.differs(None);
        }
        ReplayedCalls {
            calls: self.made,
            difference: self.difference,
            stop: self.stop,
            log: self.log,
        }
    }
}

/// ` GET https://…` of an HTTP request.
fn what(request: &Value) -> String {
    match (request["method"].as_str(), shown(&request["url"])) {
        (Some(method), url) if !url.is_empty() => format!(" (`{method} {url}`)"),
        _ => String::new(),
    }
}

/// A text of a request; a secret in it is `***`.
fn shown(text: &Value) -> String {
    match text {
        Value::String(text) => text.clone(),
        Value::Array(chunks) => chunks
            .iter()
            .map(|chunk| chunk.as_str().unwrap_or("***"))
            .collect(),
        _ => String::new(),
    }
}

/// The result of a replay, beside its answer.
pub(in crate::plugin_host) struct ReplayedCalls {
    pub(in crate::plugin_host) calls: usize,
    pub(in crate::plugin_host) difference: Option<Difference>,
    pub(in crate::plugin_host) stop: Option<ReplayStop>,
    pub(in crate::plugin_host) log: Vec<LogLine>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn player(calls: Value) -> CallReplay {
        CallReplay::new(serde_json::from_value(calls).unwrap(), false)
    }

    fn answer(
        player: &mut CallReplay,
        function: &'static str,
        request: Value,
    ) -> Result<Option<String>, ReplayStop> {
        player
            .answer::<_, String>(function, &request)
            .map(|answer| answer.map(|(answer, _)| answer))
    }

    fn three() -> CallReplay {
        player(json!([
            {"function": "dns.resolve", "request": {"name": "a"}, "answer": "1"},
            {"function": "http.send", "request": {"url": "b"}, "answer": "2"},
            {"function": "http.send", "request": {"url": "b"}, "answer": "3"},
        ]))
    }

    #[test]
    fn the_same_calls_get_the_recorded_answers_in_order() {
        let mut player = three();
        assert_eq!(
            answer(&mut player, "dns.resolve", json!({"name": "a"})),
            Ok(Some("1".into()))
        );
        assert_eq!(
            answer(&mut player, "http.send", json!({"url": "b"})),
            Ok(Some("2".into()))
        );
        assert_eq!(
            answer(&mut player, "http.send", json!({"url": "b"})),
            Ok(Some("3".into()))
        );
        let played = player.end();
        assert_eq!(
            (played.calls, played.difference, played.stop),
            (3, None, None)
        );
    }

    #[test]
    fn the_first_difference_is_kept_and_what_is_known_is_still_answered() {
        let mut player = three();
        assert_eq!(
            answer(&mut player, "http.send", json!({"url": "b"})),
            Ok(Some("2".into()))
        );
        assert_eq!(answer(&mut player, "clock.now-ms", json!(null)), Ok(None));
        assert_eq!(
            answer(&mut player, "dns.resolve", json!({"name": "a"})),
            Ok(Some("1".into()))
        );
        let difference = player.end().difference.unwrap();
        assert_eq!(difference.position, 1);
        assert_eq!(difference.recorded.unwrap().function, "dns.resolve");
        assert_eq!(
            difference.replayed.unwrap(),
            Asked {
                function: "http.send".into(),
                request: json!({"url": "b"})
            }
        );
    }

    #[test]
    fn what_was_never_asked_has_no_answer() {
        let mut player = three();
        let stop = answer(&mut player, "dns.resolve", json!({"name": "other"})).unwrap_err();
        assert_eq!(
            stop,
            ReplayStop::NotRecorded {
                function: "dns.resolve",
                what: String::new()
            }
        );
        let played = player.end();
        assert_eq!(played.stop, Some(stop));
        assert_eq!(
            played.difference.unwrap().recorded.unwrap().request,
            json!({"name": "a"})
        );
    }

    #[test]
    fn a_request_that_was_not_recorded_gets_the_answer_that_is_given() {
        let given = GivenAnswer {
            method: "GET".into(),
            url: "https://a/v2".into(),
            body: b"{}".to_vec(),
        };
        let mut player = three().with_answers(vec![given]);
        let request = json!({"method": "GET", "url": "https://a/v2", "headers": [["accept", "x"]]});
        let (answer, _) = player
            .answer::<_, Value>("http.send", &request)
            .unwrap()
            .unwrap();
        assert_eq!(
            (&answer["Ok"]["status"], &answer["Ok"]["body"]),
            (&json!(200), &json!(b"{}"))
        );
        let other = json!({"method": "GET", "url": "https://a/v3"});
        let stop = player.answer::<_, Value>("http.send", &other).unwrap_err();
        assert!(
            stop.to_string().contains("`GET https://a/v3`")
                && stop.to_string().contains("--answer"),
            "{stop}"
        );
    }

    #[test]
    fn calls_that_are_not_made_are_a_difference() {
        let mut player = three();
        answer(&mut player, "dns.resolve", json!({"name": "a"})).unwrap();
        let difference = player.end().difference.unwrap();
        assert_eq!((difference.position, difference.replayed), (2, None));
    }

    #[test]
    fn a_run_that_was_cut_off_ends_where_its_calls_end() {
        let calls = json!([{"function": "http.send", "request": 1, "answer": "1"}]);
        let mut player = CallReplay::new(serde_json::from_value(calls).unwrap(), true);
        assert_eq!(
            answer(&mut player, "http.send", json!(1)),
            Ok(Some("1".into()))
        );
        assert_eq!(
            answer(&mut player, "http.send", json!(1)),
            Err(ReplayStop::CutOff {
                function: "http.send"
            })
        );
        let played = player.end();
        assert_eq!((played.calls, played.difference), (1, None));
    }

    #[test]
    fn an_answer_that_is_missing_ends_the_run() {
        for (missing, stop) in [
            (
                "cut-off",
                ReplayStop::CutOff {
                    function: "http.send",
                },
            ),
            (
                "too-large",
                ReplayStop::TooLarge {
                    function: "http.send",
                },
            ),
        ] {
            let mut player =
                player(json!([{"function": "http.send", "request": 1, "missing": missing}]));
            assert_eq!(answer(&mut player, "http.send", json!(1)), Err(stop));
            assert_eq!(player.end().difference, None);
        }
    }
}
