//! One alert: its history, the messages about it, and the forms to act on it.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form, Json};
use maud::{Markup, html};
use serde::Deserialize;

use crate::api::dashboard::fragments::pill;
use crate::api::dashboard::layout;
use crate::api::dashboard::replies::{not_shown, refused};
use crate::api::dashboard::wording::{count, prose, subject, written};
use crate::api::http::auth::Principal;
use crate::api::http::error::{ApiError, ApiResult};
use crate::api::http::optional_body::OptionalBody;
use crate::api::http::state::ApiState;
use crate::api::resources::alerts::act;
use crate::api::resources::{alerts, silences};
use crate::api_types::alerts::{AcknowledgeBody, AlertBody, AlertDetailBody, NoteBody};
use crate::api_types::scope::Scope;
use crate::api_types::silences::{SilenceBody, SilenceSpec};
use crate::domain::{Alert, AlertState};
use crate::spec::{DurationSpec, Texts};

const LENGTHS: [(&str, &str); 5] = [
    ("30m", "30 minutes"),
    ("2h", "2 hours"),
    ("8h", "8 hours"),
    ("24h", "a day"),
    ("168h", "a week"),
];

type Id = Path<alerts::AlertPath>;

pub(crate) async fn page(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Path(path): Id,
) -> Response {
    let events = state.live.watch_url(None);
    match shown(&state, path).await {
        Ok(shown) => {
            let may_act = principal.may(Scope::Write);
            layout::room(layout::Room {
                title: &shown.detail.alert.name,
                path: "/alerts",
                events: Some(events),
                body: body(&shown, may_act),
            })
            .into_response()
        }
        Err(error) => not_shown(error, "/alerts"),
    }
}

struct Shown {
    detail: AlertDetailBody,
    open: Vec<Alert>,
    /// Those that mute the alert now.
    silences: Vec<SilenceBody>,
}

async fn shown(state: &ApiState, path: alerts::AlertPath) -> ApiResult<Shown> {
    let Json(detail) = alerts::get(State(state.clone()), Path(path)).await?;
    let open = state.deps.control.alert_open_list().await?;
    let silences = match open.iter().find(|alert| alert.id.0 == detail.alert.id) {
        Some(alert) => silences::of_alert(state, alert).await?,
        None => Vec::new(),
    };
    Ok(Shown {
        detail,
        open,
        silences,
    })
}

/// Fields of the forms: what is empty was not filled in.
#[derive(Debug, Deserialize)]
pub(crate) struct ActForm {
    #[serde(default)]
    note: String,
    #[serde(default, rename = "for")]
    duration: String,
    /// `alert`, or `service`.
    #[serde(default)]
    what: String,
}

pub(crate) async fn acknowledge(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(path): Id,
    Form(form): Form<ActForm>,
) -> Response {
    let body = AcknowledgeBody {
        duration: Some(form.duration).filter(|text| !text.is_empty()),
        until: None,
        note: form.note,
    };
    let id = path.id;
    let done = act::acknowledge(state, principal, Path(path), OptionalBody(body)).await;
    back(id, done.map(drop))
}

pub(crate) async fn unacknowledge(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(path): Id,
    Form(form): Form<ActForm>,
) -> Response {
    let (id, body) = (path.id, NoteBody { note: form.note });
    let done = act::unacknowledge(state, principal, Path(path), OptionalBody(body)).await;
    back(id, done.map(drop))
}

pub(crate) async fn resolve(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(path): Id,
    Form(form): Form<ActForm>,
) -> Response {
    let (id, body) = (path.id, NoteBody { note: form.note });
    let done = act::resolve(state, principal, Path(path), OptionalBody(body)).await;
    back(id, done.map(drop))
}

pub(crate) async fn silence(
    state: State<ApiState>,
    principal: Extension<Principal>,
    Path(path): Id,
    Form(form): Form<ActForm>,
) -> Response {
    let id = path.id;
    back(id, silenced(state, principal, path, form).await)
}

async fn silenced(
    State(state): State<ApiState>,
    principal: Extension<Principal>,
    path: alerts::AlertPath,
    form: ActForm,
) -> ApiResult<()> {
    let Json(detail) = alerts::get(State(state.clone()), Path(path)).await?;
    if detail.alert.state == AlertState::Resolved {
        let detail = "the alert is resolved; a silence for the next one is made on `/routing`";
        return Err(ApiError::alert_not_now(detail.to_owned()));
    }
    let spec = SilenceSpec {
        matchers: Texts::Many(matchers(&detail.alert, form.what == "service")),
        starts_at: None,
        ends_at: None,
        duration: Some(DurationSpec::Text(form.duration)),
        comment: form.note,
    };
    silences::create(State(state), principal, Json(spec)).await?;
    Ok(())
}

fn back(id: i64, done: ApiResult<()>) -> Response {
    let page = format!("/alerts/{id}");
    match done {
        Ok(()) => Redirect::to(&page).into_response(),
        Err(error) => refused(error, &page),
    }
}

/// Matchers of a silence, as they are written.
pub(crate) fn matchers(alert: &AlertBody, is_whole_service: bool) -> Vec<String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let service = format!("service={}", quoted(&alert.service));
    if is_whole_service {
        return vec![service];
    }
    vec![format!("alertname={}", quoted(&alert.name)), service]
}

fn body(shown: &Shown, may_act: bool) -> Markup {
    let detail = &shown.detail;
    let alert = &detail.alert;
    html! {
        header.service-head { div {
            p.back { a href="/alerts" { "Alerts" } }
            h1 { (alert.name) " " (pill(alert.severity.as_str(), alert.severity.as_str())) }
            p.muted {
                (alert.state.as_str()) " · " (subject(&alert.service, &alert.service))
                " · began " (written(&alert.started_at))
                @if let Some(at) = &alert.fired_at { " · fired " (written(at)) }
                @if let Some(at) = &alert.resolved_at { " · resolved " (written(at)) }
            }
            p { (prose(&alert.summary)) }
            @if let Some(by) = &alert.suppressed_by { p.muted { "Muted by " (prose(by)) "." } }
            @if let Some(by) = &alert.acknowledged {
                p.muted {
                    "Acknowledged by " (by.by) " " (written(&by.at))
                    @if let Some(until) = &by.until { " until " (written(until)) }
                    @if !by.note.is_empty() { ": " (by.note) }
                }
            }
            @for silence in &shown.silences { (silenced_by(silence)) }
        } }
        @if may_act && alert.state != AlertState::Resolved { (acts(alert, &shown.open)) }
        (timeline(detail))
        (messages(detail))
    }
}

fn silenced_by(silence: &SilenceBody) -> Markup {
    html! {
        p.muted {
            a href="/routing" { "Silenced" } " until " (written(&silence.ends_at)) " by " (silence.author) ", "
            @for (index, matcher) in silence.matchers.iter().enumerate() { @if index > 0 { " and " } code { (matcher) } }
            @if !silence.comment.is_empty() { ": " (silence.comment) }
        }
    }
}

fn acts(alert: &AlertBody, open: &[Alert]) -> Markup {
    let of_service = open.iter().filter(|other| other.service == alert.service);
    let same = of_service
        .clone()
        .filter(|other| other.name == alert.name)
        .count();
    html! {
        section.card.panel.acts aria-label="Act" {
            @match alert.state {
                AlertState::Acknowledged => {
                    (form(alert, "unacknowledge", "Take the acknowledgement back", html! {}))
                }
                _ => {
                    (form(alert, "acknowledge", "Acknowledge", html! {
                        label { "For " select name="for" { option value="" { "as long as it is open" } (lengths()) } }
                    }))
                }
            }
            (form(alert, "silence", "Silence", html! {
                label { "For " select name="for" { (lengths()) } }
                label { input type="radio" name="what" value="alert" checked; " this alert (" (count(same, "open alert")) ")" }
                label { input type="radio" name="what" value="service" ; " everything of the service (" (count(of_service.count(), "open alert")) ")" }
            }))
            (form(alert, "resolve", "Resolve by hand", html! {}))
        }
    }
}

fn form(alert: &AlertBody, act: &str, button: &str, fields: Markup) -> Markup {
    html! {
        form method="post" action={ "/alerts/" (alert.id) "/" (act) } {
            (fields)
            label { "Note " input name="note" maxlength="2000" autocomplete="off"; }
            button type="submit" { (button) }
        }
    }
}

/// Options of a field that takes a length of time.
pub(in crate::api::dashboard) fn lengths() -> Markup {
    html! { @for (value, name) in LENGTHS { option value=(value) { (name) } } }
}

fn timeline(detail: &AlertDetailBody) -> Markup {
    html! {
        section.card.panel aria-label="History" {
            h2 { "History" }
            div.wide { table.list {
                thead { tr { th scope="col" { "At" } th scope="col" { "State" } th scope="col" { "By" } th scope="col" { "Why" } } }
                tbody {
                    @for event in &detail.events {
                        tr { td { (written(&event.ts)) } td { (event.to.as_str()) } td { (event.actor) } td { (prose(&event.reason)) } }
                    }
                }
            } }
            @if let Some(escalation) = &detail.escalation {
                p.muted {
                    "Escalation " (prose(&escalation.policy)) ": step " (escalation.step) " is next"
                    @if let Some(due) = &escalation.due_at { ", " (written(due)) }
                }
            }
        }
    }
}

fn messages(detail: &AlertDetailBody) -> Markup {
    html! {
        section.card.panel aria-label="Messages" {
            h2 { "Messages" }
            @if detail.notifications.is_empty() { p.empty { "Nobody was notified." } }
            @else {
                div.wide { table.list {
                    thead { tr { th scope="col" { "At" } th scope="col" { "Channel" } th scope="col" { "Message" } th scope="col" { "State" } th scope="col" { "Answer" } } }
                    tbody {
                        @for sent in &detail.notifications {
                            tr {
                                td { (written(&sent.created_at)) }
                                td { (sent.channel) }
                                td { (sent.status.as_str()) ", " (sent.reason.as_str()) }
                                td { (sent.state.as_str()) @if let Some(at) = &sent.delivered_at { " " (written(at)) } }
                                td { @if let Some(last) = sent.attempts.last() { (last.answer) } @else { "–" } }
                            }
                        }
                    }
                } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Severity;

    #[test]
    fn a_silence_matches_what_its_form_names() {
        let alert = AlertBody {
            id: 1,
            name: "Say \"no\"".to_owned(),
            rule: String::new(),
            service: "shop".to_owned(),
            severity: Severity::Warning,
            state: AlertState::Firing,
            summary: String::new(),
            value: None,
            wanted: None,
            started_at: String::new(),
            fired_at: None,
            resolved_at: None,
            updated_at: String::new(),
            suppressed_by: None,
            acknowledged: None,
            flapping: false,
            no_data: false,
        };
        assert_eq!(
            matchers(&alert, false),
            [r#"alertname="Say \"no\"""#, r#"service="shop""#]
        );
        assert_eq!(matchers(&alert, true), [r#"service="shop""#]);
    }
}
