//! Channels as they are written out, and what each is known by. A message that waits, a group and a
//! rate limit name a channel by its id, so the id stays when the settings change: a mended address
//! is still the same channel.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Compiler, canonical, channel_options};
use crate::domain::fault::child;
use crate::domain::{Channel, ChannelId, Origin, PluginKind, slug};
use crate::spec::NotificationSpec;

const MAX_NOTIFICATIONS: usize = 32;

/// The list in which channels are written out. A channel without a name is known by it, by its
/// notifier, and by how many channels of that notifier come before it there.
#[derive(Debug, Clone)]
pub(crate) struct ChannelPlace(Text);

type Text = std::borrow::Cow<'static, str>;

impl ChannelPlace {
    /// `notifications` at the top of `alerts.yaml`.
    pub(crate) const TOP: Self = Self(Text::Borrowed("notifications"));
    /// `channels` of `alerts.yaml`, which all have names.
    pub(crate) const NAMED: Self = Self(Text::Borrowed("channels"));
    pub(crate) const WATCHDOG: Self = Self(Text::Borrowed("watchdog"));

    /// `service`: the slug of the service that the rule belongs to; none for a rule of
    /// `alerts.yaml`.
    pub(crate) fn of_rule(service: Option<&str>, rule: &str) -> Self {
        let text = match service {
            Some(slug) => json!(["services", slug, rule]),
            None => json!(["alerts", rule]),
        };
        Self(text.to_string().into())
    }

    pub(crate) fn of_step(policy: &str, step: usize) -> Self {
        Self(json!(["escalations", policy, step]).to_string().into())
    }
}

/// Notifier and settings: the same for channels that reach the same people.
pub(crate) fn settings_key(channel: &Channel) -> String {
    canonical(&json!({ "plugin": channel.plugin, "settings": channel.settings }))
}

impl Compiler<'_> {
    /// Compiles channels, each given with its index in its list.
    pub(crate) async fn channels<'s>(
        &mut self,
        specs: impl ExactSizeIterator<Item = (usize, &'s NotificationSpec)> + Clone,
        at: &str,
        place: &ChannelPlace,
    ) -> Vec<Arc<Channel>> {
        if specs.len() > MAX_NOTIFICATIONS {
            self.report
                .fault(at, format!("must have at most {MAX_NOTIFICATIONS} entries"));
        }
        let mut channels: Vec<Arc<Channel>> = Vec::new();
        // A name makes no other channel of the same settings here: one message is enough.
        let mut seen: Vec<String> = Vec::new();
        for (nth, (index, spec)) in specs.clone().take(MAX_NOTIFICATIONS).enumerate() {
            let at = child(at, index);
            let position = position_of(spec, specs.clone().take(nth).map(|(_, before)| before));
            let Some(channel) = self.channel(spec, &at, place, position).await else {
                continue;
            };
            let content = content(spec);
            if seen.contains(&content) || channels.iter().any(|other| other.id == channel.id) {
                self.report.warn(
                    &at,
                    "is the same channel as one before, and gets one message, not two",
                );
                continue;
            }
            seen.push(content);
            channels.push(channel);
        }
        channels
    }

    /// `position`: how many channels of the same notifier without a name come before it at its
    /// place.
    pub(super) async fn channel(
        &mut self,
        spec: &NotificationSpec,
        at: &str,
        place: &ChannelPlace,
        position: usize,
    ) -> Option<Arc<Channel>> {
        if let Some(name) = &spec.name {
            self.name_check(name, &child(at, "name"));
        }
        if !self.plugin_exists(PluginKind::Notifier, &spec.channel, &child(at, "channel")) {
            return None;
        }
        let settings = Value::Object(spec.settings.0.clone());
        let locate = |pointer: &str| format!("{at}{pointer}");
        self.settings_check(
            PluginKind::Notifier,
            &spec.channel,
            &settings,
            NotificationSpec::keys(),
            locate,
        )
        .await;
        let options = self.channel_options(spec, at);
        let id = self.channel_id(spec, at, place, position);
        let name = spec.name.clone().unwrap_or_else(|| spec.channel.clone());
        let plugin = spec.channel.clone();
        Some(Arc::new(Channel {
            id,
            name,
            plugin,
            settings,
            origin: self.origin,
            options,
        }))
    }

    /// Returns the id: in the files a name is one channel, wherever it is written out. A service
    /// made over the API has names of its own: it must not take over a channel of the files.
    fn channel_id(
        &mut self,
        spec: &NotificationSpec,
        at: &str,
        place: &ChannelPlace,
        position: usize,
    ) -> ChannelId {
        let Some(name) = &spec.name else {
            return id_of(
                &spec.channel,
                &json!(["place", place.0, spec.channel, position]),
            );
        };
        let at_place = json!(["name", name, place.0]);
        if self.origin == Origin::Api {
            return id_of(name, &at_place);
        }
        let content = content(spec);
        let known = self
            .channel_names
            .entry(name.clone())
            .or_insert_with(|| content.clone());
        if *known == content {
            return id_of(name, &json!(["name", name]));
        }
        let message = format!(
            "another channel is named `{name}` and has other settings: they are two channels; give one another name"
        );
        self.report.warn(child(at, "name"), message);
        id_of(name, &at_place)
    }
}

/// How many channels of the same notifier without a name come before one at its place.
pub(super) fn position_of<'s>(
    spec: &NotificationSpec,
    before: impl Iterator<Item = &'s NotificationSpec>,
) -> usize {
    before
        .filter(|other| other.name.is_none() && other.channel == spec.channel)
        .count()
}

/// Returns everything but the name, as text.
fn content(spec: &NotificationSpec) -> String {
    let settings = Value::Object(spec.settings.0.clone());
    canonical(&json!([
        spec.channel,
        settings,
        channel_options::identity(spec)
    ]))
}

/// A word for people, and 12 hex digits that make it one of a kind.
fn id_of(word: &str, identity: &Value) -> ChannelId {
    let digest = hex::encode(Sha256::digest(canonical(identity).as_bytes()));
    let word: String = slug(word).chars().filter(char::is_ascii).take(40).collect();
    ChannelId(format!(
        "{}-{}",
        if word.is_empty() { "channel" } else { &word },
        &digest[..12]
    ))
}
