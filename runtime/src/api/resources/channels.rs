//! Channels: the list, previews of messages, and test messages.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;

use super::audit;
use crate::api::http::auth::Principal;
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::optional_body::OptionalBody;
use crate::api::http::page::{Page, PageQuery};
use crate::api::http::state::ApiState;
use crate::api_types::channels::{
    ChannelBody, FallbackBody, PreviewBody, PreviewRequest, RateLimitBody, TestBody, TestRequest,
};
use crate::api_types::scope::Scope::{Read, Write};
use crate::domain::{
    AlertId, Catalog, Channel, DeliveryError, Fault, Message, MessageTemplate, MessageTexts,
    NotificationStatus,
};
use crate::spec::MessageTemplateSpec;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/channels", list)
            .id("channelList")
            .summary("All channels of the configuration, without their settings"),
        Endpoint::post(Write, "/api/v1/channels/{name}/preview", preview)
            .id("channelPreview")
            .summary("Preview of a message; nothing is sent"),
        Endpoint::post(Write, "/api/v1/channels/{name}/test", test)
            .slow()
            .id("channelTest")
            .summary("Send a sample message now")
            .description(
                "One attempt, past the rate limit and without a row among the notifications.",
            ),
    ]
}

/// A sample holds at most so many alerts of a kind.
const MAX_SAMPLES: usize = 100;

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

pub(crate) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<Json<Page<ChannelBody>>> {
    let catalog = state.deps.registry.catalog();
    let mut items: Vec<ChannelBody> = catalog.channels.values().map(ChannelBody::from).collect();
    let key = |item: &ChannelBody| format!("{}\0{}", item.name, item.id);
    items.sort_by_cached_key(key);
    Ok(Json(Page::of_sorted(items, &query, key)?))
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct ChannelPath {
    /// Name of the channel; its id where several have the name.
    pub(crate) name: String,
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

async fn preview(
    State(state): State<ApiState>,
    Path(ChannelPath { name }): Path<ChannelPath>,
    OptionalBody(request): OptionalBody<PreviewRequest>,
) -> ApiResult<Json<PreviewBody>> {
    let catalog = state.deps.registry.catalog();
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
            let faults = state.deps.evaluator.template_faults(&template).await;
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
        .deps
        .evaluator
        .template_render(template, message)
        .await;
    rendered.map_err(|fault| ApiError::invalid_template(vec![fault.under("/template")]))
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
            let count = |count: Option<usize>| count.unwrap_or(0).min(MAX_SAMPLES);
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
    let found = state.deps.control.alert_get(AlertId(id)).await?;
    let (alert, _) = found.ok_or_else(|| ApiError::alert_not_found(&id.to_string()))?;
    let service = catalog.services.get(&alert.service);
    let service_name =
        service.map_or_else(|| alert.service.clone(), |service| service.name.clone());
    let status = if alert.state.is_open() {
        NotificationStatus::Firing
    } else {
        NotificationStatus::Resolved
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

pub(crate) async fn test(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(ChannelPath { name }): Path<ChannelPath>,
    OptionalBody(request): OptionalBody<TestRequest>,
) -> ApiResult<Json<TestBody>> {
    let channel = find(&state.deps.registry.catalog(), &name)?;
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
    let result = state.deps.notifier.notify(&channel, &message).await;
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

impl ApiError {
    pub(crate) fn channel_not_found(name: &str) -> Self {
        let detail = format!("there is no channel `{name}`; `GET /api/v1/channels` lists them");
        Self::not_found("channel-not-found", "Channel not found", detail)
    }

    pub(crate) fn channel_ambiguous(name: &str, ids: &[&str]) -> Self {
        let detail = format!(
            "several channels are named `{name}`; use an id: {}",
            ids.join(", ")
        );
        Self::conflict(
            "channel-ambiguous",
            "Several channels have that name",
            detail,
        )
    }

    pub(crate) fn invalid_template(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-template", "Invalid message template", faults)
    }
}
