//! Preferences of the person who looks at a page, from the cookies of the request. They are held
//! beside the task, so that pages need no parameter for them.

use std::cell::Cell;

use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use chrono_tz::Tz;

use super::cookies::cookie;
use crate::domain::{AlertState, time_zone};
use crate::store::{ControlError, ControlStore};

pub(crate) const THEME_COOKIE: &str = "extrack_theme";
pub(crate) const ZONE_COOKIE: &str = "extrack_zone";

tokio::task_local! {
    static VIEWER: Viewer;
}

#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    pub(crate) theme: Theme,
    pub(crate) zone: Tz,
    /// Path and query of the page.
    pub(crate) address: String,
    /// Alerts that fire, once the viewer is known.
    pub(crate) firing: Cell<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// As the browser prefers.
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(crate) const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == text)
    }
}

impl Default for Viewer {
    fn default() -> Self {
        Self {
            theme: Theme::Auto,
            zone: Tz::UTC,
            address: "/".to_owned(),
            firing: Cell::new(0),
        }
    }
}

impl Viewer {
    fn of(method: &Method, address: &str, headers: &HeaderMap) -> Self {
        let default = Self::default();
        Self {
            theme: cookie(headers, THEME_COOKIE)
                .and_then(Theme::parse)
                .unwrap_or(default.theme),
            zone: cookie(headers, ZONE_COOKIE)
                .and_then(|name| name.parse().ok())
                .unwrap_or(default.zone),
            // What a form was sent to is no page to return to.
            address: if method == Method::GET {
                address.to_owned()
            } else {
                default.address
            },
            firing: default.firing,
        }
    }
}

/// Returns the viewer of the page that is being made; outside of pages, one without preferences.
pub(crate) fn viewer() -> Viewer {
    VIEWER.try_with(Viewer::clone).unwrap_or_default()
}

/// Returns the time zone in which moments are written.
pub(crate) fn zone() -> jiff::tz::TimeZone {
    time_zone(VIEWER.try_with(|viewer| viewer.zone).unwrap_or(Tz::UTC))
}

/// Notes the number of alerts that fire, for the page that is being made.
pub(crate) fn note_firing(firing: usize) {
    let _outside_of_pages = VIEWER.try_with(|viewer| viewer.firing.set(firing));
}

/// Middleware around everything: reads the preferences.
pub(crate) async fn recognise(request: Request, next: Next) -> Response {
    let address = request.uri().path_and_query();
    let viewer = Viewer::of(
        request.method(),
        address.map_or("/", |address| address.as_str()),
        request.headers(),
    );
    VIEWER.scope(viewer, next.run(request)).await
}

/// Returns the number of alerts that need someone.
pub(crate) async fn firing(control: &ControlStore) -> Result<usize, ControlError> {
    let open = control.alert_open_list().await?;
    let firing = open
        .iter()
        .filter(|alert| alert.state == AlertState::Firing);
    Ok(firing.count())
}

#[cfg(test)]
pub(crate) fn seen_from<T>(zone: Tz, look: impl FnOnce() -> T) -> T {
    let viewer = Viewer {
        zone,
        ..Viewer::default()
    };
    VIEWER.sync_scope(viewer, look)
}

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE;

    use super::*;

    #[test]
    fn preferences_that_make_no_sense_are_ignored() {
        for (cookies, theme, zone) in [
            ("", Theme::Auto, Tz::UTC),
            ("extrack_theme=dark", Theme::Dark, Tz::UTC),
            (
                "extrack_zone=Europe/Berlin; extrack_theme=light",
                Theme::Light,
                Tz::Europe__Berlin,
            ),
            (
                "extrack_theme=<b>; extrack_zone=../../etc",
                Theme::Auto,
                Tz::UTC,
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, cookies.parse().unwrap());
            let viewer = Viewer::of(&Method::GET, "/alerts?x=1", &headers);
            assert_eq!(viewer.theme, theme, "{cookies}");
            assert_eq!(viewer.zone.name(), zone.name(), "{cookies}");
            assert_eq!(viewer.address, "/alerts?x=1");
        }
        let posted = Viewer::of(&Method::POST, "/alerts/1/resolve", &HeaderMap::new());
        assert_eq!(posted.address, "/");
    }
}
