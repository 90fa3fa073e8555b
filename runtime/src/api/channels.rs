//! Channels: which there are, what a message would say, and whether one arrives.

use std::sync::Arc;
use std::time::Instant;

use aide::transform::TransformOperation;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit;
use super::auth::Principal;
use super::error::{ApiError, ApiResult};
use super::optional_body::OptionalBody;
use super::page::{Page, PageQuery};
use super::state::ApiState;
use crate::domain::{
    AlertId, Catalog, Channel, DeliveryError, Message, MessageTemplate, MessageTexts,
    NotificationStatus, Origin,
};
use crate::spec::MessageTemplateSpec;

/// A sample holds at most so many alerts of a kind.
const MOST_SAMPLES: usize = 100;

/// A notifier plugin with settings, without the settings: they may hold secrets.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChannelBody {
    id: String,
    name: String,
    /// Notifier.
    plugin: String,
    origin: Origin,
    /// Name of its message template.
    template: Option<String>,
    rate_limit: Option<RateLimitBody>,
    fallback: Option<FallbackBody>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RateLimitBody {
    messages: u32,
    per_ms: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct FallbackBody {
    /// Name of the other channel.
    channel: String,
    after_ms: u64,
}

impl From<&Arc<Channel>> for ChannelBody {
    fn from(channel: &Arc<Channel>) -> Self {
        let options = &channel.options;
        let limit = options.rate_limit.map(|limit| RateLimitBody {
            messages: limit.messages,
            per_ms: limit.per.as_millis() as u64,
        });
        let fallback = options.fallback.as_ref().map(|fallback| FallbackBody {
            channel: fallback.channel.clone(),
            after_ms: fallback.after.as_millis() as u64,
        });
        Self {
            id: channel.id.0.clone(),
            name: channel.name.clone(),
            plugin: channel.plugin.clone(),
            origin: channel.origin,
            template: options
                .template
                .as_ref()
                .map(|template| template.name.clone()),
            rate_limit: limit,
            fallback,
        }
    }
}

pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<ChannelBody>>> {
    let catalog = state.parts.services.catalog();
    let mut items: Vec<ChannelBody> = catalog.channels.values().map(ChannelBody::from).collect();
    let key = |item: &ChannelBody| format!("{}\0{}", item.name, item.id);
    items.sort_by_cached_key(key);
    Ok(Json(Page::of_sorted(items, &query, key)?))
}

pub(super) fn list_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("channelList")
        .tag("channels")
        .summary("All channels of the configuration, without their settings")
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ChannelPath {
    /// Name of the channel; its id where several have the name.
    name: String,
}

fn find(catalog: &Catalog, name: &str) -> ApiResult<Arc<Channel>> {
    let by_id = catalog
        .channels
        .values()
        .find(|channel| channel.id.0 == name);
    let named: Vec<&Arc<Channel>> = catalog
        .channels
        .values()
        .filter(|channel| channel.name == name)
        .collect();
    match (by_id, named.as_slice()) {
        (Some(channel), _) => Ok(Arc::clone(channel)),
        (None, [channel]) => Ok(Arc::clone(channel)),
        (None, []) => Err(ApiError::channel_not_found(name)),
        (None, several) => {
            let ids: Vec<&str> = several
                .iter()
                .map(|channel| channel.id.0.as_str())
                .collect();
            Err(ApiError::channel_ambiguous(name, &ids))
        }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PreviewRequest {
    /// Sample alerts that fire; 1 if nothing else is asked for, at most 100.
    firing: Option<usize>,
    /// Sample alerts that ended; at most 100.
    resolved: Option<usize>,
    /// Id of an alert, in place of samples.
    alert: Option<i64>,
    /// A template to try, in place of the channel's.
    template: Option<MessageTemplateSpec>,
}

/// What the message would say.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PreviewBody {
    channel: String,
    status: NotificationStatus,
    /// Null: the notifier's own words.
    template: Option<String>,
    title: String,
    text: Option<String>,
    html: Option<String>,
}

pub(super) async fn preview(
    State(state): State<ApiState>,
    Path(ChannelPath { name }): Path<ChannelPath>,
    OptionalBody(request): OptionalBody<PreviewRequest>,
) -> ApiResult<Json<PreviewBody>> {
    let catalog = state.parts.services.catalog();
    let channel = find(&catalog, &name)?;
    let message = Message {
        receiver: channel.name.clone(),
        ..message(&state, &catalog, &request).await?
    };
    let template = match request.template {
        Some(MessageTemplateSpec { title, text, html }) => {
            let texts = MessageTexts { title, text, html };
            let template = MessageTemplate {
                name: "the one in the request".to_owned(),
                sources: texts,
            };
            let faults = state.parts.evaluator.template_faults(&template).await;
            if !faults.is_empty() {
                return Err(ApiError::invalid_template(
                    faults
                        .into_iter()
                        .map(|fault| fault.under("/template"))
                        .collect(),
                ));
            }
            Some(Arc::new(template))
        }
        None => channel.options.template.clone(),
    };
    let texts = match &template {
        Some(template) => rendered(&state, template, &message).await?,
        None => MessageTexts::default(),
    };
    Ok(Json(PreviewBody {
        channel: channel.name.clone(),
        status: message.status,
        template: template.map(|template| template.name.clone()),
        title: texts.title.unwrap_or_else(|| message.title()),
        text: texts.text,
        html: texts.html,
    }))
}

async fn rendered(
    state: &ApiState,
    template: &MessageTemplate,
    message: &Message,
) -> ApiResult<MessageTexts> {
    let rendered = state
        .parts
        .evaluator
        .template_render(template, message)
        .await;
    rendered.map_err(|fault| ApiError::invalid_template(vec![fault.under("/template")]))
}

pub(super) fn preview_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("channelPreview")
        .tag("channels")
        .summary("What a message would say; nothing is sent")
}

async fn message(
    state: &ApiState,
    catalog: &Catalog,
    request: &PreviewRequest,
) -> ApiResult<Message> {
    let public_url = state
        .settings
        .public_url
        .as_ref()
        .map(|url| url.to_string())
        .unwrap_or_default();
    let sample = match (request.firing, request.resolved) {
        (None, None) => Message::sample(1, 0),
        (firing, resolved) => {
            let count = |count: Option<usize>| count.unwrap_or(0).min(MOST_SAMPLES);
            match (count(firing), count(resolved)) {
                (0, 0) => {
                    return Err(ApiError::bad_parameter(
                        "/firing",
                        "a message holds at least one alert",
                    ));
                }
                (firing, resolved) => Message::sample(firing, resolved),
            }
        }
    };
    let sample = Message {
        external_url: public_url,
        ..sample
    };
    let Some(id) = request.alert else {
        return Ok(sample);
    };
    let found = state.parts.control.alert_get(AlertId(id)).await?;
    let (alert, _) = found.ok_or_else(|| ApiError::alert_not_found(&id.to_string()))?;
    let service = catalog.services.get(&alert.service);
    let service_name =
        service.map_or_else(|| alert.service.clone(), |service| service.name.clone());
    let status = match alert.state.is_open() {
        true => NotificationStatus::Firing,
        false => NotificationStatus::Resolved,
    };
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let group_labels = vec![
        label("alertname", &alert.name),
        label("service", &alert.service),
    ];
    Ok(Message {
        status,
        group_labels,
        alerts: vec![(alert, service_name)],
        ..sample
    })
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TestRequest {
    /// `firing` if not given.
    status: Option<NotificationStatus>,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestBody {
    channel: String,
    delivered: bool,
    /// What the other side answered, or why it failed.
    answer: String,
    /// A failure that another attempt may mend.
    retryable: bool,
    /// What the other side calls the message.
    reference: Option<String>,
    duration_ms: u64,
}

pub(super) async fn test(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(ChannelPath { name }): Path<ChannelPath>,
    OptionalBody(request): OptionalBody<TestRequest>,
) -> ApiResult<Json<TestBody>> {
    let channel = find(&state.parts.services.catalog(), &name)?;
    let mut message = match request.status.unwrap_or(NotificationStatus::Firing) {
        NotificationStatus::Firing => Message::sample(1, 0),
        NotificationStatus::Resolved => Message::sample(0, 1),
    };
    for (alert, _) in &mut message.alerts {
        alert.summary = "a test of this channel; nothing is wrong".to_owned();
    }
    message.receiver = channel.name.clone();
    message.external_url = state
        .settings
        .public_url
        .as_ref()
        .map(|url| url.to_string())
        .unwrap_or_default();
    if let Some(template) = &channel.options.template {
        message.texts = rendered(&state, template, &message).await?;
    }
    audit::note(&state, &principal, "channel.test", &channel.name).await;
    let started = Instant::now();
    let result = state.parts.notifier.notify(&channel, &message).await;
    let duration_ms = started.elapsed().as_millis() as u64;
    let (delivered, retryable, answer, reference) = match result {
        Ok(receipt) => (true, false, receipt.answer, receipt.reference),
        Err(DeliveryError::Retryable { message, .. }) => (false, true, message, None),
        Err(DeliveryError::Permanent(message)) => (false, false, message, None),
    };
    Ok(Json(TestBody {
        channel: channel.name.clone(),
        delivered,
        answer,
        retryable,
        reference,
        duration_ms,
    }))
}

pub(super) fn test_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("channelTest")
        .tag("channels")
        .summary("Sends a sample message now")
        .description("One attempt, past the rate limit and without a row among the notifications.")
}
