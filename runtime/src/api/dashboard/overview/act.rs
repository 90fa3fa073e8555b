//! Buttons of the list of what needs attention: they do the operations of the API, and lead back to
//! the page with all of its address.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form, Json};
use serde::Deserialize;

use crate::api::dashboard::alerts::matchers;
use crate::api::dashboard::replies::refused;
use crate::api::http::auth::Principal;
use crate::api::http::error::ApiResult;
use crate::api::http::optional_body::OptionalBody;
use crate::api::http::state::ApiState;
use crate::api::resources::alerts::{self, AlertPath, act};
use crate::api::resources::silences;
use crate::api_types::alerts::AcknowledgeBody;
use crate::api_types::silences::SilenceSpec;
use crate::spec::{DurationSpec, Texts};

#[derive(Debug, Deserialize)]
pub(crate) struct ActForm {
    /// Address of the page that the form was on.
    #[serde(default)]
    back: String,
    #[serde(default, rename = "for")]
    duration: String,
}

pub(crate) async fn acknowledge(
    state: State<ApiState>,
    principal: Extension<Principal>,
    path: Path<AlertPath>,
    Form(form): Form<ActForm>,
) -> Response {
    let body = OptionalBody(AcknowledgeBody::default());
    let done = act::acknowledge(state, principal, path, body).await;
    back(&form, done.map(drop))
}

pub(crate) async fn silence(
    state: State<ApiState>,
    principal: Extension<Principal>,
    path: Path<AlertPath>,
    Form(form): Form<ActForm>,
) -> Response {
    let done = silenced(state, principal, path, &form.duration).await;
    back(&form, done)
}

/// Silences the one alert.
async fn silenced(
    State(state): State<ApiState>,
    principal: Extension<Principal>,
    path: Path<AlertPath>,
    duration: &str,
) -> ApiResult<()> {
    let Json(detail) = alerts::get(State(state.clone()), path).await?;
    let spec = SilenceSpec {
        matchers: Texts::Many(matchers(&detail.alert, false)),
        starts_at: None,
        ends_at: None,
        duration: Some(DurationSpec::Text(duration.to_owned())),
        comment: String::new(),
    };
    silences::create(State(state), principal, Json(spec)).await?;
    Ok(())
}

fn back(form: &ActForm, done: ApiResult<()>) -> Response {
    let page = page_of(&form.back);
    match done {
        Ok(()) => Redirect::to(page).into_response(),
        Err(error) => refused(error, page),
    }
}

/// Returns the overview's own address; anything else is not followed.
fn page_of(back: &str) -> &str {
    let is_ours = back.starts_with("/?") && back.bytes().all(|byte| byte.is_ascii_graphic());
    if is_ours { back } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_leads_to_the_overview_only() {
        for (back, wanted) in [
            ("/?q=pay&sort=p95", "/?q=pay&sort=p95"),
            ("/", "/"),
            ("", "/"),
            ("//evil.example/?x", "/"),
            ("https://evil.example/?x", "/"),
            ("/sql?q=1", "/"),
            ("/?q=a\r\nset-cookie: b", "/"),
        ] {
            assert_eq!(page_of(back), wanted, "{back}");
        }
    }
}
