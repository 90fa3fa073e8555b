//! Message templates, and what a channel has beside its plugin's settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Compiler;
use crate::domain::fault::{child, suggest};
use crate::domain::{ChannelOptions, Fallback, MessageRate, MessageTemplate, MessageTexts};
use crate::spec::{DurationSpec, MessageTemplateSpec, NotificationSpec};

/// Limit of message templates: a team can't keep more apart.
const MAX_TEMPLATES: usize = 100;

/// A message that failed for so long goes to the fallback too.
const FALLBACK_AFTER: Duration = Duration::from_secs(15 * 60);

/// Limit of the interval: a later digest would be of no use.
const MAX_LIMIT_PERIOD: Duration = Duration::from_secs(24 * 3_600);

/// The notifier whose messages open and close incidents by the key of their group.
const INCIDENTS: &str = "pagerduty";

pub(crate) type MessageTemplates = BTreeMap<String, Arc<MessageTemplate>>;

impl Compiler<'_> {
    /// Compiles message templates. Those with faults are known nevertheless, so that no other fault
    /// follows.
    pub(crate) async fn message_templates(
        &mut self,
        specs: &BTreeMap<String, MessageTemplateSpec>,
    ) {
        const AT: &str = "/messageTemplates";
        if specs.len() > MAX_TEMPLATES {
            self.report
                .fault(AT, format!("must have at most {MAX_TEMPLATES} entries"));
        }
        let mut templates = MessageTemplates::new();
        for (name, spec) in specs.iter().take(MAX_TEMPLATES) {
            let at = child(AT, name);
            self.name_check(name, &at);
            let MessageTemplateSpec { title, text, html } = spec.clone();
            if title.is_none() && text.is_none() && html.is_none() {
                self.report
                    .fault(&at, "is empty; write a `title`, a `text` or an `html`");
            }
            let template = MessageTemplate {
                name: name.clone(),
                sources: MessageTexts { title, text, html },
            };
            for fault in self.plugins.evaluator().template_faults(&template).await {
                self.report.add(fault.under(&at));
            }
            templates.insert(name.clone(), Arc::new(template));
        }
        self.message_templates = Arc::new(templates);
    }

    fn message_rate(&mut self, spec: &NotificationSpec, at: &str) -> Option<MessageRate> {
        let limit = spec.rate_limit.as_ref()?;
        let at_limit = child(at, "rateLimit");
        let at = child(&at_limit, "per");
        let per = self.duration(Some(&limit.per), 1_000, &at)?;
        if per.is_zero() || per > MAX_LIMIT_PERIOD {
            self.report.fault(at, "has to be between 1 ms and a day");
            return None;
        }
        if limit.digest && spec.channel == INCIDENTS {
            let message =
                "a digest opens an incident that no alert's end closes; write `digest: false`";
            self.report.warn(child(&at_limit, "digest"), message);
        }
        Some(MessageRate {
            messages: limit.messages.max(1),
            per,
            digest: limit.digest,
        })
    }

    pub(super) fn channel_options(&mut self, spec: &NotificationSpec, at: &str) -> ChannelOptions {
        let template = spec.template.as_ref().and_then(|name| {
            let found = self.message_templates.get(name).cloned();
            if found.is_none() {
                let hint = suggest(name, self.message_templates.keys().map(String::as_str));
                let message = format!(
                    "alerts.yaml has no message template `{name}` below `messageTemplates`{hint}"
                );
                self.report.fault(child(at, "template"), message);
            }
            found
        });
        let rate_limit = self.message_rate(spec, at);
        let after = self.duration(
            spec.fallback_after.as_ref(),
            1_000,
            &child(at, "fallbackAfter"),
        );
        if spec.fallback_after.is_some() && spec.fallback.is_none() {
            self.report.fault(
                child(at, "fallbackAfter"),
                "there is no `fallback` to go to; name a channel",
            );
        }
        let fallback = spec.fallback.clone().map(|channel| {
            if spec.name.as_ref().unwrap_or(&spec.channel) == &channel {
                self.report.fault(
                    child(at, "fallback"),
                    "is the channel itself; name another one",
                );
            }
            self.fallbacks
                .push((child(at, "fallback"), channel.clone()));
            Fallback {
                channel,
                after: after.unwrap_or(FALLBACK_AFTER),
            }
        });
        ChannelOptions {
            template,
            rate_limit,
            fallback,
        }
    }
}

/// Returns what makes it another channel than one with the same settings; null without options, as
/// ids were before there were any.
pub(super) fn identity(spec: &NotificationSpec) -> Value {
    let text = |duration: &DurationSpec| serde_json::to_value(duration).unwrap_or_default();
    let limit = spec
        .rate_limit
        .as_ref()
        .map(|limit| json!([limit.messages, text(&limit.per), limit.digest]));
    match (&spec.template, &limit, &spec.fallback) {
        (None, None, None) => Value::Null,
        _ => json!([
            spec.template,
            limit,
            spec.fallback,
            spec.fallback_after.as_ref().map(text)
        ]),
    }
}
