//! Analytics: how services changed, objectives, noise of alerts, honesty of vendors, services side
//! by side. Each view shows what the API answers, with the query behind it.

mod comparison;
mod honesty;
mod noise;
mod parts;
mod slo;
mod trends;

use axum::Extension;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout;
use super::replies::{not_shown, refused};
use crate::api::http::auth::Principal;
use crate::api::http::error::ApiResult;
use crate::api::http::state::ApiState;
use crate::api::http::viewer::viewer;
use crate::api::resources::analytics as resource;
use parts::{AnalyticsQuery, View};

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Query(query): Query<AnalyticsQuery>,
) -> Response {
    let query = query.given();
    let view = View::parse(query.view.as_deref());
    let zone = viewer().zone.name().to_owned();
    let shown = shown(&state, &principal, view, &query, zone).await;
    let body = match shown {
        Ok(body) => body,
        Err(error) => return not_shown(error, "/analytics"),
    };
    layout::room(layout::Room {
        title: view.title(),
        path: "/analytics",
        events: None,
        body: html! {
            h1 { "Analytics" }
            nav.ranges aria-label="Views" {
                @for other in View::ALL {
                    a href=(query.address(other, &[])) aria-current=[(other == view).then_some("page")] { (other.title()) }
                }
            }
            p.muted { (view.question()) }
            (body)
        },
    })
    .into_response()
}

async fn shown(
    state: &ApiState,
    principal: &Principal,
    view: View,
    query: &AnalyticsQuery,
    zone: String,
) -> ApiResult<Markup> {
    match view {
        View::Trends => trends::body(state, query, zone).await,
        View::Slo => slo::body(state, query).await,
        View::Noise => noise::body(state, principal, query, zone).await,
        View::Honesty => honesty::body(state, query).await,
        View::Comparison => comparison::body(state, query).await,
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct AdoptForm {
    rule: String,
    option: String,
    value: String,
}

/// Changes a rule as advised, and returns to the view.
pub(crate) async fn adopt(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Form(form): Form<AdoptForm>,
) -> Response {
    let option = (form.option.as_str(), form.value.as_str());
    let back = AnalyticsQuery::default().address(View::Noise, &[]);
    match resource::adopt(&state, &principal, &form.rule, option).await {
        Ok(()) => Redirect::to(&back).into_response(),
        Err(error) => refused(error, &back),
    }
}
