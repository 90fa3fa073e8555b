//! What the forms of the page do.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form, Json};
use maud::html;
use serde::Deserialize;

use crate::api::dashboard::layout;
use crate::api::dashboard::replies::refused;
use crate::api::dashboard::wording::prose;
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::optional_body::OptionalBody;
use crate::api::http::state::ApiState;
use crate::api::resources::channels::ChannelPath;
use crate::api::resources::maintenance::MaintenancePath;
use crate::api::resources::silences::SilencePath;
use crate::api::resources::{channels, maintenance, silences};
use crate::api_types::channels::TestRequest;
use crate::api_types::silences::SilenceSpec;
use crate::domain::Fault;
use crate::spec::{DurationSpec, MaintenanceSpec, Texts};

const PAGE: &str = "/routing";

pub(super) fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[derive(Debug, Deserialize)]
pub(crate) struct TestForm {
    channel: String,
}

pub(crate) async fn test_channel(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Form(form): Form<TestForm>,
) -> Response {
    let path = Path(ChannelPath { name: form.channel });
    let request = OptionalBody(TestRequest::default());
    match channels::test(state, principal, path, request).await {
        Err(error) => refused(error, PAGE),
        Ok(Json(test)) => layout::room(layout::Room {
            title: "Test message",
            path: PAGE,
            events: None,
            body: html! {
                h1 { @if test.delivered { "The test message was delivered" } @else { "The test message was not delivered" } }
                section.card.panel {
                    p { "Channel " b { (test.channel) } ", " (test.duration_ms) " ms" @if let Some(id) = &test.reference { ", its id there: " code { (id) } } }
                    p { (prose(&test.answer)) }
                    @if test.retryable { p.muted { "Another attempt may succeed." } }
                    p { a.button href=(PAGE) { "Back" } }
                }
            },
        })
        .into_response(),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct SilenceForm {
    matchers: String,
    #[serde(rename = "for")]
    duration: String,
    #[serde(default)]
    comment: String,
}

pub(crate) async fn create_silence(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Form(form): Form<SilenceForm>,
) -> Response {
    let spec = SilenceSpec {
        matchers: Texts::Many(lines(&form.matchers)),
        starts_at: None,
        ends_at: None,
        duration: Some(DurationSpec::Text(form.duration)),
        comment: form.comment,
    };
    let done = silences::create(state, principal, Json(spec)).await;
    back(done.map(drop))
}

pub(crate) async fn end_silence(
    state: State<ApiState>,
    principal: Extension<Principal>,
    path: Path<SilencePath>,
) -> Response {
    back(silences::expire(state, principal, path).await.map(drop))
}

/// Fields of a window: what is empty was not filled in.
#[derive(Debug, Deserialize)]
pub(crate) struct WindowForm {
    name: String,
    #[serde(default)]
    matchers: String,
    /// Set: it mutes every alert, and has no matchers.
    #[serde(default)]
    everything: Option<String>,
    #[serde(default)]
    start: String,
    #[serde(default)]
    end: String,
    #[serde(default)]
    cron: String,
    #[serde(default)]
    duration: String,
    #[serde(default)]
    timezone: String,
    #[serde(default)]
    comment: String,
}

impl From<WindowForm> for MaintenanceSpec {
    fn from(form: WindowForm) -> Self {
        let filled = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let matchers = lines(&form.matchers);
        Self {
            name: form.name.trim().to_owned(),
            matchers: (!matchers.is_empty()).then_some(Texts::Many(matchers)),
            start: filled(form.start),
            end: filled(form.end),
            cron: filled(form.cron),
            duration: filled(form.duration).map(DurationSpec::Text),
            timezone: filled(form.timezone),
            comment: filled(form.comment),
        }
    }
}

pub(crate) async fn create_maintenance(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Form(form): Form<WindowForm>,
) -> Response {
    if lines(&form.matchers).is_empty() == form.everything.is_none() {
        let message = "needs matchers or the box `every alert`, and not both: \
                       a window without matchers mutes every alert";
        let fault = Fault::new("/match", message);
        return refused(ApiError::invalid_maintenance(vec![fault]), PAGE);
    }
    let done = maintenance::create(state, principal, Json(form.into())).await;
    back(done.map(drop))
}

#[derive(Debug, Deserialize)]
pub(crate) struct RemoveForm {
    name: String,
}

pub(crate) async fn remove_maintenance(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Form(form): Form<RemoveForm>,
) -> Response {
    let path = Path(MaintenancePath { name: form.name });
    back(maintenance::delete(state, principal, path).await.map(drop))
}

fn back(done: ApiResult<()>) -> Response {
    match done {
        Ok(()) => Redirect::to(PAGE).into_response(),
        Err(error) => refused(error, PAGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_what_was_filled_in() {
        let form = WindowForm {
            name: " Move ".to_owned(),
            matchers: "tag=\"eu\"\n\n service=shop \n".to_owned(),
            everything: None,
            start: "2026-11-23T22:00:00Z".to_owned(),
            end: String::new(),
            cron: " ".to_owned(),
            duration: String::new(),
            timezone: String::new(),
            comment: String::new(),
        };
        let spec = MaintenanceSpec::from(form);
        assert_eq!(spec.name, "Move");
        let matchers = spec.matchers.expect("two lines");
        assert_eq!(matchers.as_slice(), ["tag=\"eu\"", "service=shop"]);
        assert!(spec.start.is_some() && spec.end.is_none() && spec.cron.is_none());
    }
}
