//! The routing tree, and where an alert would go.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::alerts::{labelled, mutes_of};
use crate::api::http::endpoint::Endpoint;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::state::ApiState;
use crate::api_types::alert_routes::{
    DestinationBody, DestinationChannel, RouteBody, RoutePreviewBody, RoutePreviewSpec, RoutesBody,
};
use crate::api_types::scope::Scope::Read;
use crate::domain::duration::format_duration;
use crate::domain::{
    Catalog, ChannelId, Destination, Fault, Firing, GroupBy, Labels, Matcher, Mute, Route,
    Severity, Timing, UnixMillis, now_ms,
};

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/routes", get)
            .id("routeGet")
            .summary("The routing tree"),
        Endpoint::post(Read, "/api/v1/routes/preview", preview)
            .id("routePreview")
            .summary("Channels and groups that an alert would go to; sends nothing"),
    ]
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

pub(crate) async fn get(State(state): State<ApiState>) -> Json<RoutesBody> {
    let catalog = state.deps.registry.catalog();
    Json(RoutesBody {
        route: catalog
            .route
            .as_ref()
            .map(|route| RouteBody::new(route, None, &catalog)),
    })
}

pub(crate) async fn preview(
    State(state): State<ApiState>,
    Json(spec): Json<RoutePreviewSpec>,
) -> ApiResult<Json<RoutePreviewBody>> {
    let now_ms = now_ms();
    let catalog = state.deps.registry.catalog();
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

/// Returns the route with the channels that the alert names itself.
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
    let control = &state.deps.control;
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

impl ApiError {
    pub(crate) fn invalid_preview(faults: Vec<Fault>) -> Self {
        Self::invalid("invalid-preview", "Nothing to preview", faults)
    }
}
