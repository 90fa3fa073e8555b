//! Exports of a world, made of an author's function. The attribute macros implement one of these
//! traits; nothing here is written by hand in a plugin.

use std::time::Duration;

use crate::meter::{Question, ReadError, Reading};
use crate::notifier::{Notification, NotifyError, Receipt};
use crate::probe::{Check, Observation, Service, Stop};
use crate::rule::{Evaluation, RuleError, Verdict};
use crate::settings::{Fault, Setting, parse};
use crate::time::millis;
use crate::webhook::{Delivery, Reception, Reject};
use crate::wit::description;
use crate::wit::description::exports::external_tracking::plugin::description::ProposedSettings;
pub use crate::wit::types::Want;
use crate::wit::types::{PluginInfo, RuleInfo};

/// Longest id of an event that the host takes; a longer one is the sender's fault and not the
/// plugin's.
const MAX_ID_BYTES: usize = 256;

/// Description of a plugin by itself.
pub struct About {
    pub name: &'static str,
    pub version: &'static str,
    pub summary: &'static str,
    pub wants: fn() -> Vec<Want>,
    /// The rule is evaluated although no observation arrives.
    pub over_time: bool,
}

/// Common part of every kind of plugin.
pub trait Plugin {
    type Settings: Setting;
    const ABOUT: About;
    fn check_settings(settings: &Self::Settings, service: Option<&Service>) -> Vec<Fault>;
}

pub trait Probe: Plugin {
    fn check(check: &Check, settings: &Self::Settings) -> Result<Observation, Stop>;
}

pub trait Rule: Plugin {
    fn look_back(settings: &Self::Settings) -> Duration;
    fn evaluate(evaluation: &Evaluation, settings: &Self::Settings) -> Result<Verdict, RuleError>;
}

pub trait Notifier: Plugin {
    fn notify(
        notification: &Notification,
        settings: &Self::Settings,
    ) -> Result<Receipt, NotifyError>;
}

pub trait Webhook: Plugin {
    fn receive(delivery: &Delivery, settings: &Self::Settings) -> Result<Reception, Reject>;
}

pub trait Meter: Plugin {
    fn read(question: &Question, settings: &Self::Settings) -> Result<Reading, ReadError>;
}

pub fn describe<P: Plugin>() -> PluginInfo {
    let about = P::ABOUT;
    PluginInfo {
        name: about.name.to_owned(),
        version: about.version.to_owned(),
        summary: about.summary.to_owned(),
        settings_schema: P::Settings::schema(),
        wants: (about.wants)(),
        rule: about.over_time.then(|| RuleInfo {
            evaluated_over_time: true,
            attributes: Vec::new(),
        }),
        attributes: Vec::new(),
    }
}

/// Functions that an author may write to check settings: of the settings alone, or of the settings
/// and the service they are for. `Of` distinguishes the two.
pub trait SettingsCheck<S, Of> {
    fn check(self, settings: &S, service: Option<&Service>) -> Vec<Fault>;
}

impl<S, F: Fn(&S) -> Vec<Fault>> SettingsCheck<S, (S,)> for F {
    fn check(self, settings: &S, _service: Option<&Service>) -> Vec<Fault> {
        self(settings)
    }
}

impl<S, F: Fn(&S, Option<&Service>) -> Vec<Fault>> SettingsCheck<S, (S, Service)> for F {
    fn check(self, settings: &S, service: Option<&Service>) -> Vec<Fault> {
        self(settings, service)
    }
}

fn check_settings<P: Plugin>(proposed: ProposedSettings) -> Result<(), Vec<Fault>> {
    install_panic_hook();
    let settings = parse::<P::Settings>(&proposed.settings)?;
    let faults = P::check_settings(&settings, proposed.service.as_ref());
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

/// Writes the text of a panic to the log: else the host sees no more than a trap.
fn install_panic_hook() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| crate::log::error(panic.to_string())));
}

/// All faults in one text, for calls that can't answer a list.
fn together(faults: &[Fault]) -> String {
    let texts: Vec<String> = faults
        .iter()
        .map(|fault| format!("`{}`: {}", fault.path, fault.message))
        .collect();
    texts.join("; ")
}

macro_rules! describes {
    ($kind:ident) => {
        impl<P: $kind> description::exports::external_tracking::plugin::description::Guest
            for Adapter<P>
        {
            fn describe() -> PluginInfo {
                install_panic_hook();
                describe::<P>()
            }

            fn check_settings(proposed: ProposedSettings) -> Result<(), Vec<Fault>> {
                check_settings::<P>(proposed)
            }
        }
    };
}

/// Exports of the world `probe` for a plugin.
pub mod probes {
    use super::*;
    use crate::wit::probe::exports::external_tracking::plugin::probes as wit;

    pub struct Adapter<P>(std::marker::PhantomData<P>);
    describes!(Probe);

    impl<P: Probe> wit::Guest for Adapter<P> {
        fn check(context: wit::Context) -> Result<wit::Observation, wit::ProbeError> {
            install_panic_hook();
            let settings = parse(&context.settings)
                .map_err(|faults| wit::ProbeError::Settings(together(&faults)))?;
            match P::check(&context.into(), &settings) {
                Ok(observation) | Err(Stop::Found(observation)) => Ok(observation.into()),
                Err(Stop::Settings(text)) => Err(wit::ProbeError::Settings(text)),
                Err(Stop::Internal(text)) => Err(wit::ProbeError::Internal(text)),
            }
        }
    }
}

/// Exports of the world `rule` for a plugin.
pub mod rules {
    use super::*;
    use crate::wit::rule::exports::external_tracking::plugin::rules as wit;

    pub struct Adapter<P>(std::marker::PhantomData<P>);
    describes!(Rule);

    impl<P: Rule> wit::Guest for Adapter<P> {
        fn look_back(settings: String) -> wit::HistoryNeed {
            install_panic_hook();
            wit::HistoryNeed {
                look_back_ms: parse(&settings)
                    .map_or(0, |settings| millis(P::look_back(&settings))),
                attributes: Vec::new(),
            }
        }

        fn evaluate(context: wit::Context) -> Result<wit::Verdict, wit::RuleError> {
            install_panic_hook();
            let settings = parse(&context.settings)
                .map_err(|faults| wit::RuleError::Settings(together(&faults)))?;
            match P::evaluate(&context.into(), &settings) {
                Ok(verdict) => Ok(verdict.into()),
                Err(RuleError::Settings(text)) => Err(wit::RuleError::Settings(text)),
                Err(RuleError::Internal(text)) => Err(wit::RuleError::Internal(text)),
            }
        }
    }
}

/// Exports of the world `notifier` for a plugin.
pub mod notifiers {
    use super::*;
    use crate::wit::notifier::exports::external_tracking::plugin::notifiers as wit;

    pub struct Adapter<P>(std::marker::PhantomData<P>);
    describes!(Notifier);

    impl<P: Notifier> wit::Guest for Adapter<P> {
        fn notify(
            context: wit::Context,
            notification: wit::Notification,
        ) -> Result<wit::Receipt, wit::NotifyError> {
            install_panic_hook();
            let settings = parse(&context.settings)
                .map_err(|faults| wit::NotifyError::Permanent(together(&faults)))?;
            Ok(P::notify(&notification, &settings)?.into())
        }
    }
}

/// Exports of the world `webhook` for a plugin.
pub mod webhooks {
    use super::*;
    use crate::wit::webhook::exports::external_tracking::plugin::webhooks as wit;

    pub struct Adapter<P>(std::marker::PhantomData<P>);
    describes!(Webhook);

    impl<P: Webhook> wit::Guest for Adapter<P> {
        fn receive(
            context: wit::Context,
            request: wit::Request,
        ) -> Result<wit::Reception, wit::Reject> {
            install_panic_hook();
            let settings = parse(&context.settings)
                .map_err(|faults| wit::Reject::Settings(together(&faults)))?;
            let reception = P::receive(&Delivery::new(context, request), &settings)?;
            let is_long = |id: &String| id.len() > MAX_ID_BYTES;
            if reception
                .events
                .iter()
                .any(|event| event.id.as_ref().is_some_and(is_long))
            {
                let text = format!("the id of an event is longer than {MAX_ID_BYTES} bytes");
                return Err(Reject::Malformed(text).into());
            }
            Ok(reception.into())
        }
    }
}

/// Exports of the world `meter` for a plugin.
pub mod meters {
    use super::*;
    use crate::wit::meter::exports::external_tracking::plugin::meters as wit;

    pub struct Adapter<P>(std::marker::PhantomData<P>);
    describes!(Meter);

    impl<P: Meter> wit::Guest for Adapter<P> {
        fn read(context: wit::Context) -> Result<wit::Reading, wit::ReadError> {
            install_panic_hook();
            let settings = parse(&context.settings)
                .map_err(|faults| wit::ReadError::Settings(together(&faults)))?;
            Ok(P::read(&context.into(), &settings)?.into())
        }
    }
}

#[cfg(test)]
mod tests;
