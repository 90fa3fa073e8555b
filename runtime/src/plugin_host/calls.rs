//! The calls other parts make: check a service, evaluate a rule, send a message, receive a
//! delivery, read what a vendor bills, look at settings. One file each.

pub(super) mod account;
pub(super) mod keep;
pub(super) mod meter;
pub(super) mod notifier;
pub(super) mod probe;
pub(super) mod request;
pub(super) mod rule;
pub(super) mod rule_session;
pub(super) mod settings;
pub(super) mod webhook;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::health::Labels;
use super::policy::credentials::CredentialCache;
use super::policy::grants::EffectiveGrants;
use super::policy::reach::ChannelReach;
use super::programs::Programs;
use super::recording::recordings::Recordings;
use super::run::{RunError, Runner};
use super::versions::active::ActivePlugins;
use super::versions::loader::LoadedPlugin;
use super::versions::shadow::Shadows;
use super::versions::trial::TrialNews;
use crate::domain::{PluginKind, PluginRun, RunIds, RunOutcome};
use crate::net::Net;

pub(super) use keep::cut;
pub(super) use meter::metered;
pub(super) use notifier::delivered;
pub(super) use probe::{Checked, observed, unanswered};
pub(super) use rule::{Evaluated, judged};
pub use rule_session::{RuleSession, RuleVersion};
pub(super) use webhook::received;
pub use webhook::{DeliveredCall, ReceiveError};

/// A plugin gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    #[error("there is no {kind} plugin `{name}`", kind = kind.as_str())]
    Unknown { kind: PluginKind, name: String },
    #[error("plugin `{plugin}` {reason}")]
    Broken {
        plugin: String,
        outcome: RunOutcome,
        reason: String,
    },
}

/// The parts that a call needs: a place to run, the active versions, and where its traces go.
pub(super) struct Calls {
    pub(super) runner: Runner,
    pub(super) active: Arc<ActivePlugins>,
    pub(super) shadows: Arc<Shadows>,
    pub(super) net: Net,
    /// Tokens and certificates that runs share.
    pub(super) credential_cache: Arc<CredentialCache>,
    pub(super) channel_reach: ChannelReach,
    pub(super) has_mail: bool,
    pub(super) programs: Programs,
    pub(super) recordings: Recordings,
    /// Takes the account of every run.
    pub(super) runs: mpsc::Sender<PluginRun>,
    pub(super) run_ids: RunIds,
    pub(super) labels: Labels,
    /// Takes what becomes of the trials of versions.
    pub(super) trial_news: mpsc::Sender<TrialNews>,
}

impl Calls {
    /// Returns an id for a run; a run's observation carries the same.
    pub(super) fn next_run_id(&self) -> i64 {
        self.run_ids.next()
    }

    /// Returns what a run of this version may do at the moment.
    pub(super) fn grants_of(&self, plugin: &LoadedPlugin) -> EffectiveGrants {
        self.runner.grants_of(&plugin.name, &plugin.wants)
    }

    /// Returns how long a run of this version may take, by its budget or else by default.
    fn patience(&self, plugin: &LoadedPlugin, default: Duration) -> Duration {
        self.grants_of(plugin)
            .budget()
            .wall_clock
            .unwrap_or(default)
    }

    fn known(&self, kind: PluginKind, name: &str) -> Result<Arc<LoadedPlugin>, PluginError> {
        self.active
            .of_kind(kind, name)
            .ok_or_else(|| PluginError::Unknown {
                kind,
                name: name.to_owned(),
            })
    }
}

fn end<T>(answer: &Result<T, RunError>) -> (RunOutcome, Option<String>) {
    match answer {
        Ok(_) => (RunOutcome::Ok, None),
        Err(broken) => (broken.outcome, Some(broken.reason.clone())),
    }
}
