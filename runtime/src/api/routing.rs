//! The routing tree, and where an alert would go.

use std::collections::BTreeMap;
use std::sync::Arc;

use aide::transform::TransformOperation;
use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::{ApiError, ApiResult};
use super::state::ApiState;
use crate::alerts::{labelled, mutes_of};
use crate::domain::duration::format_duration;
use crate::domain::{
    Catalog, ChannelId, Destination, Fault, Firing, GroupBy, Labels, Matcher, Mute, Route,
    Severity, Timing, UnixMillis, now_ms,
};
use crate::spec::Texts;

/// A node of the routing tree, with what it has from the node above it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RouteBody {
    #[serde(rename = "match")]
    matchers: Vec<String>,
    /// Names of channels.
    receivers: Vec<String>,
    /// `...`: each alert by itself.
    group_by: Vec<String>,
    group_wait: String,
    group_interval: String,
    repeat_interval: String,
    mute_times: Vec<String>,
    /// Of rules that name none.
    escalation: Option<String>,
    #[serde(rename = "continue")]
    continues: bool,
    routes: Vec<RouteBody>,
}

impl RouteBody {
    fn new(route: &Route, above: Option<&Destination>, catalog: &Catalog) -> Self {
        let inherited = above.cloned().unwrap_or_else(|| Destination {
            path: String::new(),
            channels: Vec::new(),
            group_by: GroupBy::Labels(Vec::new()),
            timing: Timing::default(),
            mute_times: Vec::new(),
            escalation: None,
        });
        let own = route.settled(&inherited);
        Self {
            matchers: route.matchers.iter().map(Matcher::to_string).collect(),
            receivers: own
                .channels
                .iter()
                .map(|id| channel_name(catalog, id))
                .collect(),
            group_by: match &own.group_by {
                GroupBy::Labels(names) => names.clone(),
                GroupBy::Each => vec!["...".to_owned()],
            },
            group_wait: format_duration(own.timing.wait),
            group_interval: format_duration(own.timing.interval),
            repeat_interval: format_duration(own.timing.repeat),
            mute_times: own.mute_times.clone(),
            escalation: own.escalation.clone(),
            continues: route.continues,
            routes: route
                .routes
                .iter()
                .map(|below| Self::new(below, Some(&own), catalog))
                .collect(),
        }
    }
}

fn channel_name(catalog: &Catalog, id: &ChannelId) -> String {
    catalog
        .channels
        .get(id)
        .map_or_else(|| id.0.clone(), |channel| channel.name.clone())
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RoutesBody {
    /// Without a `route` in `alerts.yaml`, the tree that stands for the `notifications` at its
    /// top. Null: there are none either.
    route: Option<RouteBody>,
}

pub(super) async fn get(State(state): State<ApiState>) -> Json<RoutesBody> {
    let catalog = state.parts.services.catalog();
    Json(RoutesBody {
        route: catalog
            .route
            .as_ref()
            .map(|route| RouteBody::new(route, None, &catalog)),
    })
}

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("routeGet")
        .tag("alerts")
        .summary("The routing tree")
}

/// Either `alert` and `service`, or `labels`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RoutePreviewSpec {
    /// Name of an alert of that service, e.g. `Service Down`.
    alert: Option<String>,
    /// Slug.
    service: Option<String>,
    /// Labels of an alert that need not exist, by name, e.g. `{"severity": "critical", "tag":
    /// ["eu", "paid"]}`.
    #[serde(default)]
    labels: BTreeMap<String, Texts>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoutePreviewBody {
    /// By which it is matched; several values of one name are joined by commas.
    labels: BTreeMap<String, String>,
    destinations: Vec<DestinationBody>,
    /// What mutes it now, e.g. `silence 3`; null: nothing.
    muted_by: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DestinationBody {
    /// The matchers on the way from the top of the tree, which is `{}`; null where the alert names
    /// its channels itself.
    path: Option<String>,
    channels: Vec<DestinationChannel>,
    /// Alerts with the same key are told of together.
    group_key: String,
    group_labels: BTreeMap<String, String>,
    group_wait: String,
    group_interval: String,
    repeat_interval: String,
    /// The mute time that keeps it quiet now.
    quiet_by: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DestinationChannel {
    id: String,
    name: String,
    plugin: String,
}

pub(super) async fn preview(
    State(state): State<ApiState>,
    Json(spec): Json<RoutePreviewSpec>,
) -> ApiResult<Json<RoutePreviewBody>> {
    let now_ms = now_ms();
    let catalog = state.parts.services.catalog();
    let (alert, own_channels) = subject(&spec, &catalog)?;
    let destinations = match own_channels {
        Some(channels) => vec![at_once(&alert, &channels, &catalog)],
        None => match &catalog.route {
            Some(route) => route
                .destinations(&alert.labels)
                .iter()
                .map(|destination| routed(destination, &alert.labels, &catalog, now_ms))
                .collect(),
            None => Vec::new(),
        },
    };
    Ok(Json(RoutePreviewBody {
        muted_by: muted_by(&state, &alert, &catalog, now_ms)
            .await?
            .map(|mute| mute.to_string()),
        labels: alert
            .labels
            .iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        destinations,
    }))
}

pub(super) fn preview_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("routePreview")
        .tag("alerts")
        .summary("Who would be told of an alert, together with which others; tells nobody")
}

/// With the channels that the alert names itself.
fn subject(
    spec: &RoutePreviewSpec,
    catalog: &Catalog,
) -> ApiResult<(Firing, Option<Vec<ChannelId>>)> {
    let fault = |pointer: &str, message: String| {
        ApiError::invalid_preview(vec![Fault::new(pointer, message)])
    };
    match (&spec.alert, &spec.service) {
        (Some(name), Some(slug)) if spec.labels.is_empty() => {
            let Some(rules) = catalog.rules.get(slug) else {
                return Err(ApiError::service_not_found(slug));
            };
            let Some(rule) = rules.iter().find(|rule| rule.name == *name) else {
                let names: Vec<String> = rules
                    .iter()
                    .map(|rule| format!("`{}`", rule.name))
                    .collect();
                let message = format!(
                    "service `{slug}` has no alert `{name}`; known: {}",
                    names.join(", ")
                );
                return Err(fault("/alert", message));
            };
            let service = catalog.services.get(slug).map(Arc::as_ref);
            let labels = Labels::of(name, slug, rule.severity, service);
            let severity = rule.severity;
            let firing = Firing {
                name: name.clone(),
                service: slug.clone(),
                labels,
                severity,
            };
            Ok((firing, (!rule.is_routed).then(|| rule.channels.clone())))
        }
        (None, None) if !spec.labels.is_empty() => {
            let mut labels = Labels::default();
            for (name, values) in &spec.labels {
                values
                    .as_slice()
                    .iter()
                    .for_each(|value| labels.add(name, value));
            }
            let severity = Severity::parse(&labels.joined("severity")).unwrap_or(Severity::Warning);
            let (name, service) = (labels.joined("alertname"), labels.joined("service"));
            Ok((
                Firing {
                    name,
                    service,
                    labels,
                    severity,
                },
                None,
            ))
        }
        _ => Err(fault(
            "",
            "give either an `alert` and its `service`, or `labels`".to_owned(),
        )),
    }
}

async fn muted_by(
    state: &ApiState,
    alert: &Firing,
    catalog: &Catalog,
    now_ms: UnixMillis,
) -> ApiResult<Option<Mute>> {
    let control = &state.parts.control;
    let silences = control.silence_ending_after(now_ms).await?;
    let silences = silences.into_iter().map(|stored| stored.silence).collect();
    let windows = control.maintenance_open_after(now_ms).await?;
    let windows = windows
        .into_iter()
        .map(|stored| Arc::new(stored.window))
        .collect();
    let mutes = mutes_of(catalog, silences, windows);
    let open = control.alert_open_list().await?;
    let firing: Vec<Firing> = open
        .iter()
        .filter(|alert| alert.fired_ms.is_some())
        .map(|alert| labelled(alert, catalog))
        .collect();
    Ok(mutes.find(alert, &firing, now_ms))
}

fn at_once(alert: &Firing, channels: &[ChannelId], catalog: &Catalog) -> DestinationBody {
    let names = ["alertname", "service", "severity"];
    DestinationBody {
        path: None,
        channels: channels.iter().map(|id| channel(id, catalog)).collect(),
        group_key: format!("{}:{}", alert.name, alert.service),
        group_labels: names
            .into_iter()
            .map(|name| (name.to_owned(), alert.labels.joined(name)))
            .collect(),
        group_wait: format_duration(Timing::AT_ONCE.wait),
        group_interval: format_duration(Timing::AT_ONCE.interval),
        repeat_interval: "never".to_owned(),
        quiet_by: None,
    }
}

fn routed(
    destination: &Destination,
    labels: &Labels,
    catalog: &Catalog,
    now_ms: UnixMillis,
) -> DestinationBody {
    let is_now = |name: &&String| {
        catalog
            .mute_times
            .get(*name)
            .is_some_and(|time| time.open_at(now_ms).is_some())
    };
    DestinationBody {
        path: Some(destination.path.clone()),
        channels: destination
            .channels
            .iter()
            .map(|id| channel(id, catalog))
            .collect(),
        group_key: destination.group_key(labels),
        group_labels: destination.group_labels(labels).into_iter().collect(),
        group_wait: format_duration(destination.timing.wait),
        group_interval: format_duration(destination.timing.interval),
        repeat_interval: format_duration(destination.timing.repeat),
        quiet_by: destination.mute_times.iter().find(is_now).cloned(),
    }
}

fn channel(id: &ChannelId, catalog: &Catalog) -> DestinationChannel {
    let plugin = catalog
        .channels
        .get(id)
        .map(|channel| channel.plugin.clone())
        .unwrap_or_default();
    DestinationChannel {
        id: id.0.clone(),
        name: channel_name(catalog, id),
        plugin,
    }
}
