//! Write plugins for External Tracking: probes that check a service, rules that evaluate its
//! history, notifiers that send messages, webhooks that take in a service's events, meters that read
//! what a vendor bills. One function with an attribute and one struct of settings make a plugin:
//!
//! ```
//! use extrack_plugin::prelude::*;
//!
//! #[derive(Settings)]
//! struct Settings {
//!     /// Path to ask for.
//!     #[setting(default = "/v1/quota")]
//!     path: String,
//!     /// Fewer requests left than this is worth a warning.
//!     #[setting(default = 100, min = 1)]
//!     warn_below: i64,
//! }
//!
//! #[probe(name = "quota", summary = "Asks how many requests are left")]
//! fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
//!     let response = http::get(check.service.url(&settings.path)).auth("default").send()?;
//!     let left = response.json()?["remaining"].as_i64().ok_or_else(|| Stop::unhealthy("found no `remaining`"))?;
//!     let observation = if left < settings.warn_below {
//!         Observation::degraded(format!("{left} requests left, wanted at least {}", settings.warn_below))
//!     } else {
//!         Observation::healthy()
//!     };
//!     Ok(observation.metric("remaining", left))
//! }
//! # fn main() {}
//! ```
//!
//! On `wasm32` the modules below call the host; everywhere else they ask a [`fake::Host`], so that
//! a plugin is tested with plain `cargo test`.

#[cfg(test)]
extern crate self as extrack_plugin;

pub mod cel;
pub mod clock;
pub mod dns;
#[cfg(not(target_arch = "wasm32"))]
pub mod fake;
#[cfg(target_arch = "wasm32")]
mod handles;
pub mod history;
pub mod host;
pub mod http;
pub mod icmp;
pub mod jsonpath;
pub mod log;
pub mod mail;
pub mod meter;
pub mod net;
pub mod notifier;
pub mod probe;
pub mod programs;
pub mod random;
pub mod rule;
pub mod secrets;
pub mod settings;
pub mod signatures;
pub mod stream;
pub mod time;
pub mod udp;
pub mod url;
pub mod value;
pub mod webhook;

pub use extrack_plugin_macros::{Settings, meter, notifier, probe, rule, webhook};
pub use serde;
pub use serde_json as json;

#[doc(hidden)]
pub mod export;
#[doc(hidden)]
pub mod wit;

/// Names that nearly every plugin uses.
pub mod prelude {
    pub use std::time::Duration;

    pub use crate::meter::{Figure, Question, ReadError, Reading};
    pub use crate::net::NetError;
    pub use crate::notifier::{Alert, Notification, NotifyError, Receipt};
    pub use crate::probe::{Check, ErrorKind, Failure, Observation, Service, Status, Stop};
    pub use crate::rule::{Evaluation, Finding, Verdict};
    pub use crate::settings::{Fault, NoSettings, Secret, Secrets, Setting};
    pub use crate::signatures::{Algorithm, Scheme};
    pub use crate::value::Value;
    pub use crate::webhook::{Delivery, Event, Reception, Reject, Report};
    pub use crate::{Settings, meter, notifier, probe, rule, webhook};
    pub use crate::{
        cel, clock, dns, history, host, http, icmp, json, jsonpath, log, mail, programs, random,
        stream, time, udp,
    };
}

/// The author's guide: what it shows has to compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct AuthorsGuide;
