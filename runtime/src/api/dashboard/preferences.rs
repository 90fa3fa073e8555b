//! Theme and time zone of this browser, kept in cookies.

use axum::Form;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use chrono_tz::Tz;
use serde::Deserialize;

use super::login::local;
use super::replies::refused;
use crate::api::http::error::ApiError;
use crate::api::http::state::ApiState;
use crate::api::http::viewer::{THEME_COOKIE, Theme, ZONE_COOKIE};

const YEAR_S: u32 = 365 * 86_400;

#[derive(Debug, Deserialize)]
pub(crate) struct PreferencesForm {
    theme: String,
    zone: String,
    /// Path of the page that sent the form.
    back: Option<String>,
}

pub(crate) async fn submit(
    State(state): State<ApiState>,
    Form(form): Form<PreferencesForm>,
) -> Response {
    let back = local(form.back.as_deref());
    match (Theme::parse(&form.theme), form.zone.parse::<Tz>()) {
        (Some(theme), Ok(zone)) => {
            let cookies = [(THEME_COOKIE, theme.as_str()), (ZONE_COOKIE, zone.name())];
            let cookies =
                cookies.map(|(name, value)| (SET_COOKIE, cookie(state.is_https(), name, value)));
            (AppendHeaders(cookies), Redirect::to(back)).into_response()
        }
        (None, _) => {
            let detail = format!(
                "there is no theme `{}`; it can be `auto`, `light` or `dark`",
                form.theme
            );
            refused(ApiError::bad_parameter("theme", detail), back)
        }
        (_, Err(_)) => {
            let detail = format!(
                "there is no time zone `{}`; write one of the IANA, e.g. `Europe/Berlin`",
                form.zone
            );
            refused(ApiError::bad_parameter("zone", detail), back)
        }
    }
}

fn cookie(https: bool, name: &str, value: &str) -> String {
    let secure = if https { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={YEAR_S}; HttpOnly; SameSite=Lax{secure}")
}
