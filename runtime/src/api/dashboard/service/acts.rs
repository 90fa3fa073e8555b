//! What may be done about a service: check it, pause it, silence its alerts.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form, Json};
use maud::{Markup, html};
use serde::Deserialize;

use super::ServicePath;
use crate::api::dashboard::alerts::lengths;
use crate::api::dashboard::replies::refused;
use crate::api::dashboard::wording::prose;
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::moment::day_and_clock;
use crate::api::http::state::ApiState;
use crate::api::resources::services::{SlugPath, pause as pauses};
use crate::api::resources::silences;
use crate::api_types::silences::SilenceSpec;
use crate::domain::Pause;
use crate::spec::{DurationSpec, PauseSpec, Texts};

/// Fields of the forms: what is empty was not filled in.
#[derive(Debug, Deserialize)]
pub(crate) struct ActForm {
    #[serde(default)]
    note: String,
    #[serde(default, rename = "for")]
    duration: String,
}

impl ActForm {
    fn duration(&self) -> Option<DurationSpec> {
        let text = Some(self.duration.clone()).filter(|text| !text.is_empty());
        text.map(DurationSpec::Text)
    }
}

/// Runs the first probe, and returns to the page.
pub(crate) async fn check(
    State(state): State<ApiState>,
    Path(ServicePath { slug }): Path<ServicePath>,
) -> Response {
    let done = state.deps.monitor.check_now(&slug, None).await;
    back(&slug, done.map(drop).map_err(Into::into))
}

pub(crate) async fn pause(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(ServicePath { slug }): Path<ServicePath>,
    Form(form): Form<ActForm>,
) -> Response {
    let spec = PauseSpec {
        until: None,
        duration: form.duration(),
        reason: Some(form.note).filter(|note| !note.is_empty()),
    };
    let path = Path(SlugPath { slug: slug.clone() });
    let done = pauses::pause(state, principal, path, Json(spec)).await;
    back(&slug, done.map(drop))
}

pub(crate) async fn resume(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(ServicePath { slug }): Path<ServicePath>,
) -> Response {
    let path = Path(SlugPath { slug: slug.clone() });
    let done = pauses::resume(state, principal, path).await;
    back(&slug, done.map(drop))
}

pub(crate) async fn silence(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(ServicePath { slug }): Path<ServicePath>,
    Form(form): Form<ActForm>,
) -> Response {
    let spec = SilenceSpec {
        matchers: Texts::Many(vec![format!("service=\"{slug}\"")]),
        starts_at: None,
        ends_at: None,
        duration: form.duration(),
        comment: form.note,
    };
    if !state.deps.registry.catalog().services.contains_key(&slug) {
        return refused(ApiError::service_not_found(&slug), "/");
    }
    let done = silences::create(state, principal, Json(spec)).await;
    back(&slug, done.map(drop))
}

fn back(slug: &str, done: ApiResult<()>) -> Response {
    let page = format!("/services/{slug}");
    match done {
        Ok(()) => Redirect::to(&page).into_response(),
        Err(error) => refused(error, &page),
    }
}

/// Forms of what may be done; a slug needs no quotes in an address.
pub(super) fn forms(slug: &str, paused: Option<&Pause>) -> Markup {
    html! {
        div.service-acts {
            form method="post" action={ "/services/" (slug) "/check" } {
                button type="submit" { "Check now" }
            }
            @if paused.is_some() {
                form method="post" action={ "/services/" (slug) "/resume" } { button type="submit" { "Resume" } }
            } @else {
                details.act {
                    summary.button { "Pause" }
                    form method="post" action={ "/services/" (slug) "/pause" } {
                        label { "For " select name="for" { option value="" { "until it is resumed" } (lengths()) } }
                        label { "Reason " input name="note" maxlength="2000" autocomplete="off"; }
                        button type="submit" { "Pause" }
                    }
                }
            }
            details.act {
                summary.button { "Silence" }
                form method="post" action={ "/services/" (slug) "/silence" } {
                    label { "For " select name="for" { (lengths()) } }
                    label { "Note " input name="note" maxlength="2000" autocomplete="off"; }
                    button type="submit" { "Silence its alerts" }
                }
            }
            a.button href={ "/services/" (slug) "/edit" } { "Edit" }
        }
    }
}

/// States that a service is paused, until when and why.
pub(super) fn paused(pause: &Pause) -> Markup {
    html! {
        p.muted role="status" {
            "Paused "
            @match pause.until_ms { Some(until_ms) => { "until " (day_and_clock(until_ms)) } None => { "until it is resumed" } }
            @if let Some(by) = &pause.by { " by " (by.author) }
            @if !pause.reason.is_empty() { ": " (prose(&pause.reason)) }
            ". Nothing is checked, judged or notified."
        }
    }
}
