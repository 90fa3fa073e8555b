//! The page that makes a service of a URL, as `POST /api/v1/services` does, and shows the YAML that
//! describes the same.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::{Host, Url};

use crate::api::dashboard::layout;
use crate::api::dashboard::wording::prose;
use crate::api::http::auth::Principal;
use crate::api::http::error::ApiError;
use crate::api::http::state::ApiState;
use crate::api::resources::services::change::create_one;
use crate::api_types::scope::Scope;
use crate::domain::slug;

const MAX_URL_BYTES: usize = 2_000;

/// Ends of words in the names of parameters that hold secrets.
const SECRET_WORDS: [&str; 10] = [
    "key",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "auth",
    "signature",
    "sig",
];

/// Label of the box for private addresses.
const PRIVATE: &str = "at a private address";

/// Shown before anything is typed.
const EXAMPLE: &str = "https://api.example.com/health";

#[derive(Debug, Default, Deserialize)]
pub(crate) struct WatchForm {
    #[serde(default)]
    url: String,
    /// Set: it may be reached at a private address.
    #[serde(default)]
    private: Option<String>,
}

/// Service as it follows from a URL.
#[derive(Debug, PartialEq, Eq)]
struct Draft {
    /// Host, with the port if the URL names one.
    name: String,
    base_url: String,
    health_endpoint: Option<String>,
    is_private: bool,
}

impl Draft {
    fn parse(form: &WatchForm) -> Result<Self, String> {
        let text = form.url.trim();
        if text.is_empty() {
            return Err(
                "paste the URL of a service, e.g. `https://api.example.com/health`".to_owned(),
            );
        }
        if text.len() > MAX_URL_BYTES {
            return Err(format!("the URL must have at most {MAX_URL_BYTES} bytes"));
        }
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let url = Url::parse(&with_scheme).map_err(|error| format!("this is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "the URL must begin with `https://` or `http://`, not with `{}://`; other protocols are described in YAML",
                url.scheme()
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "the URL must have no user and no password; they belong in `authentication` of the service"
                    .to_owned(),
            );
        }
        if let Some(name) = secret_parameter(&url) {
            return Err(format!(
                "the parameter `{name}` looks like a credential, and URLs are shown; leave it out, and describe the service in YAML with \
                 `authentication: {{type: api_key, parameter: {name}, value: \"${{API_KEY}}\"}}`"
            ));
        }
        let Some(host) = url.host_str() else {
            return Err("the URL has no host".to_owned());
        };
        if form.private.is_none() && url.host().is_some_and(|host| is_private(&host)) {
            return Err(format!(
                "`{host}` is a private address, which a service reaches only where that is allowed: tick `{PRIVATE}`, as a token with the \
                 scope `admin` may"
            ));
        }
        let name = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        Ok(Self {
            base_url: format!("{}://{name}", url.scheme()),
            name,
            health_endpoint: (path != "/").then(|| path.to_owned()),
            is_private: form.private.is_some(),
        })
    }

    fn slug(&self) -> String {
        slug(&self.name)
    }

    fn spec(&self) -> Map<String, Value> {
        let mut spec = Map::new();
        spec.insert("name".to_owned(), json!(self.name));
        spec.insert("slug".to_owned(), json!(self.slug()));
        spec.insert("type".to_owned(), json!("API"));
        spec.insert("baseUrl".to_owned(), json!(self.base_url));
        if let Some(path) = &self.health_endpoint {
            spec.insert("healthEndpoint".to_owned(), json!(path));
        }
        spec.insert("monitoring".to_owned(), json!({"probe": "http"}));
        if self.is_private {
            spec.insert("private".to_owned(), json!(true));
        }
        spec
    }

    /// The same for `services.yaml`. JSON's texts are texts of YAML.
    fn yaml(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let mut lines = vec![
            "services:".to_owned(),
            format!("  - name: {}", quoted(&self.name)),
            format!("    slug: {}", quoted(&self.slug())),
            "    type: API".to_owned(),
            format!("    baseUrl: {}", quoted(&self.base_url)),
        ];
        if let Some(path) = &self.health_endpoint {
            lines.push(format!("    healthEndpoint: {}", quoted(path)));
        }
        lines.push("    monitoring: {probe: http}".to_owned());
        if self.is_private {
            lines.push("    private: true".to_owned());
        }
        lines.join("\n")
    }
}

/// Reports whether a host can be nothing but a private address. What others lead to is judged when
/// they are called.
fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback() || address.is_private(),
        Host::Ipv6(address) => address.is_loopback() || address.octets()[0] & 0xfe == 0xfc,
    }
}

/// Returns the name of a parameter that seems to hold a credential.
fn secret_parameter(url: &Url) -> Option<String> {
    let mut names = url.query_pairs().map(|(name, _)| name.into_owned());
    names.find(|name| {
        let name = name.to_ascii_lowercase();
        let mut words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
        words.any(|word| SECRET_WORDS.iter().any(|secret| word.ends_with(secret)))
    })
}

/// `GET /new`
pub(crate) async fn new(Extension(principal): Extension<Principal>) -> Markup {
    page(&principal, &WatchForm::default(), None)
}

/// `POST /new`
pub(crate) async fn watch(
    State(state): State<ApiState>,
    Extension(principal): Extension<Principal>,
    Form(form): Form<WatchForm>,
) -> Response {
    let draft = match Draft::parse(&form) {
        Ok(draft) => draft,
        Err(fault) => {
            let page = page(&principal, &form, Some(&fault));
            return (StatusCode::UNPROCESSABLE_ENTITY, page).into_response();
        }
    };
    match create_one(&state, &principal, draft.spec()).await {
        Ok(record) => Redirect::to(&service_url(&record.slug)).into_response(),
        Err(error) => refusal(&principal, &form, &error),
    }
}

fn refusal(principal: &Principal, form: &WatchForm, error: &ApiError) -> Response {
    let page = page(principal, form, Some(&error.detail()));
    (error.status(), page).into_response()
}

/// Slugs may hold letters beyond ASCII; a header may not.
pub(in crate::api::dashboard) fn service_url(slug: &str) -> String {
    let slug: String = url::form_urlencoded::byte_serialize(slug.as_bytes()).collect();
    format!("/services/{slug}")
}

fn page(principal: &Principal, form: &WatchForm, fault: Option<&str>) -> Markup {
    layout::room(layout::Room {
        title: "Watch a service",
        path: "/",
        events: None,
        body: html! {
            h1 { "Watch a service" }
            section.card.panel.watch { (watch_form(principal, form, fault)) }
        },
    })
}

/// Renders the overview while there is no service.
pub(super) fn first_run(principal: &Principal) -> Markup {
    html! {
        section.card.panel.watch aria-labelledby="watch-title" {
            h2 #watch-title { "Nothing is watched yet" }
            @if principal.may(Scope::Write) { (watch_form(principal, &WatchForm::default(), None)) }
            @else { p.empty { "Your token may only read: ask someone whose token has the scope `write` to add a service." } }
        }
    }
}

fn watch_form(principal: &Principal, form: &WatchForm, fault: Option<&str>) -> Markup {
    let typed = Draft::parse(form).or_else(|_| {
        Draft::parse(&WatchForm {
            url: EXAMPLE.to_owned(),
            private: None,
        })
    });
    html! {
        form method="post" action="/new" {
            label for="url" { "Paste a URL:" }
            input #url name="url" value=(form.url) placeholder=(EXAMPLE) maxlength=(MAX_URL_BYTES) inputmode="url" autocomplete="off"
                required aria-invalid=[fault.map(|_| "true")] aria-describedby=[fault.map(|_| "url-fault")];
            button type="submit" { "Watch it" }
            @if principal.may(Scope::Admin) {
                label.aside { input type="checkbox" name="private" value="on" checked[form.private.is_some()]; " " (PRIVATE) }
            }
        }
        @if let Some(fault) = fault { p.fault #url-fault role="alert" { (prose(fault)) } }
        p.muted { "It is asked every minute, and alerts by your rules. The same in " code { "services.yaml" } ":" }
        @if let Ok(draft) = typed { pre { code { (draft.yaml()) } } }
        @if principal.may(Scope::Write) { p { a href="/new/yaml" { "Describe it in YAML" } ", with all of its keys" } }
        p.muted { "A known vendor with its status page, limits and prices: " code { "extrack add VENDOR" } "; " code { "extrack vendors" } " lists them." }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(url: &str) -> Result<Draft, String> {
        draft_of(url, false)
    }

    fn draft_of(url: &str, is_private: bool) -> Result<Draft, String> {
        Draft::parse(&WatchForm {
            url: url.to_owned(),
            private: is_private.then(|| "on".to_owned()),
        })
    }

    #[test]
    fn a_url_becomes_a_base_and_a_path() {
        for (url, name, base_url, path) in [
            (
                "https://api.example.com",
                "api.example.com",
                "https://api.example.com",
                None,
            ),
            (
                " api.example.com/v1/health?deep=1#top ",
                "api.example.com",
                "https://api.example.com",
                Some("/v1/health?deep=1"),
            ),
            (
                "http://127.0.0.1:8080/",
                "127.0.0.1:8080",
                "http://127.0.0.1:8080",
                None,
            ),
            (
                "https://[::1]:443/up",
                "[::1]",
                "https://[::1]",
                Some("/up"),
            ),
        ] {
            let wanted = Draft {
                name: name.to_owned(),
                base_url: base_url.to_owned(),
                health_endpoint: path.map(str::to_owned),
                is_private: true,
            };
            assert_eq!(draft_of(url, true), Ok(wanted), "{url}");
        }
    }

    #[test]
    fn a_private_address_needs_its_box() {
        for url in [
            "http://127.0.0.1:8080/up",
            "10.1.2.3",
            "http://192.168.1.1",
            "http://[::1]/up",
            "http://[fd00::1]",
            "http://LOCALHOST:9000",
        ] {
            let fault = draft(url).unwrap_err();
            assert!(
                fault.contains("tick `at a private address`"),
                "{url}: {fault}"
            );
            assert!(
                draft_of(url, true).is_ok_and(|draft| draft.is_private),
                "{url}"
            );
        }
        for url in [
            "http://8.8.8.8",
            "http://[2606:4700::1]",
            "localhost.example.com",
        ] {
            assert!(draft(url).is_ok_and(|draft| !draft.is_private), "{url}");
        }
    }

    #[test]
    fn what_is_no_service_over_http_says_why() {
        for (url, wanted) in [
            ("", "paste the URL"),
            ("ftp://example.com", "not with `ftp://`"),
            ("https://me:secret@example.com", "no user and no password"),
            (
                "https://a.example/health?api_key=secret",
                "`api_key` looks like a credential",
            ),
            ("a.example?x=1&accessToken=secret", "`accessToken` looks"),
            ("https://", "no URL"),
            ("https://exa mple.com", "no URL"),
        ] {
            let fault = draft(url).unwrap_err();
            assert!(fault.contains(wanted), "{url}: {fault}");
            assert!(!fault.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn the_yaml_describes_the_service_that_is_made() {
        let draft = draft("https://api.example.com:8443/up?a=\"b\"").unwrap();
        assert_eq!(draft.slug(), "api-example-com-8443");
        let yaml = draft.yaml();
        for (key, value) in draft.spec() {
            let line = match value {
                Value::String(text) if text == "API" => format!("{key}: API"),
                Value::Object(_) => format!("{key}: {{probe: http}}"),
                value => format!("{key}: {value}"),
            };
            assert!(yaml.contains(&line), "no `{line}` in {yaml}");
        }
    }
}
