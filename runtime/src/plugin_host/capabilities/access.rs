//! Access of one run: network, history, secrets and limits.

use std::sync::{Arc, Mutex, PoisonError};

use super::transfer::TransferMeter;
use crate::domain::{
    Credential, History, LimitAnswer, MessageFile, RateLimit, RateLimitRules, UnixMillis,
    keep_latest, now_ms, read_rate_limits_by,
};
use crate::net::{HttpResponse, Net, Permission};
use crate::plugin_host::engine::memory::RunMemory;
use crate::plugin_host::policy::credentials::CredentialCache;
use crate::plugin_host::policy::grants::EffectiveGrants;
use crate::plugin_host::policy::mail_scope::MailScope;
use crate::plugin_host::policy::reach::SecretScope;
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::programs::Programs;
use crate::plugin_host::recording::recorder::Recorder;
use crate::plugin_host::recording::sent::SentParts;

/// Access of one run; nothing by default.
#[derive(Default)]
pub(in crate::plugin_host) struct Access {
    /// Effective grants, set by the runner.
    pub(in crate::plugin_host) grants: EffectiveGrants,
    pub(in crate::plugin_host) transfer: TransferMeter,
    /// Memory of all runs, for what the host keeps for this one; set by the runner.
    pub(in crate::plugin_host) memory: Option<Arc<RunMemory>>,
    pub(in crate::plugin_host) net: Option<NetAccess>,
    /// Programs of the machine that it may run.
    pub(in crate::plugin_host) programs: Programs,
    pub(in crate::plugin_host) history: Option<Arc<dyn History>>,
    pub(in crate::plugin_host) secrets: SealedSettings,
    /// Files of the message, which the host puts into the mail of it: none passes the guest.
    pub(in crate::plugin_host) files: Arc<Vec<MessageFile>>,
    /// The delivery of a webhook as it came, for comparisons.
    pub(in crate::plugin_host) sent: SentParts,
    /// The delivery is played again: it was signed when it came, and the secrets that were sent are
    /// no longer in it.
    pub(in crate::plugin_host) is_proven: bool,
    pub(in crate::plugin_host) credentials: Vec<Credential>,
    /// Where credentials and the secrets of settings may go.
    pub(in crate::plugin_host) scope: SecretScope,
    pub(in crate::plugin_host) credential_cache: Arc<CredentialCache>,
    /// Fixed moment for rules, which must be pure, and for replays: time of WASI's clocks, and seed
    /// of its random numbers.
    pub(in crate::plugin_host) frozen_ms: Option<UnixMillis>,
    /// Recorder of its host calls.
    pub(in crate::plugin_host) recorder: Recorder,
    /// Rules of the service by which rate limits are read.
    pub(in crate::plugin_host) rate_limit_rules: RateLimitRules,
    /// Rate limits read from answers.
    pub(in crate::plugin_host) rate_limits: Mutex<Vec<RateLimit>>,
}

impl Access {
    /// Reads the rate limits in an answer from `url` to a request with that credential, and returns
    /// them. Secrets are out of it already.
    pub(in crate::plugin_host) fn note_rate_limits(
        &self,
        url: &str,
        credential: Option<&str>,
        answer: &HttpResponse,
    ) -> Vec<RateLimit> {
        let Ok(url) = url::Url::parse(url) else {
            return Vec::new();
        };
        let Some(host) = url.host_str() else {
            return Vec::new();
        };
        let host = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        // A host can be a secret, too.
        let host = self.secrets.redact(&host);
        let answer = LimitAnswer {
            host: &host,
            status: answer.status,
            headers: &answer.headers,
            body: Some(&answer.body),
            now_ms: now_ms(),
        };
        let mut read = read_rate_limits_by(&self.rate_limit_rules, &answer);
        for limit in &mut read {
            limit.credential = credential.map(str::to_owned);
        }
        if !read.is_empty() {
            keep_latest(
                &mut self
                    .rate_limits
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
                read.clone(),
            );
        }
        read
    }
}

pub(in crate::plugin_host) struct NetAccess {
    pub(in crate::plugin_host) net: Net,
    pub(in crate::plugin_host) permission: Permission,
    /// `None` without a mail server, or for a kind of run that sends no mail.
    pub(in crate::plugin_host) mail: Option<MailScope>,
}
