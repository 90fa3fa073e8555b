//! The APIs of message services on loopback, as their makers document them: a request that the real one would refuse is refused
//! here, with the same status.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{patch, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

pub const PAGERDUTY_KEY: &str = "0123456789abcdef0123456789abcdef";
pub const TELEGRAM_TOKEN: &str = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw";
pub const SLACK_TOKEN: &str = "xoxb-slack-token";
pub const SLACK_CHANNEL: &str = "C0123ABCDEF";
pub const TWILIO_ACCOUNT: &str = "AC00000000000000000000000000000001";
pub const TWILIO_TOKEN: &str = "twilio-auth-token";

/// One request that was taken: which API, and what it said.
#[derive(Debug, Clone)]
pub struct Taken {
    pub api: &'static str,
    pub body: Value,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<(Vec<Taken>, Vec<String>)>>);

pub struct ChatApis {
    address: SocketAddr,
    shared: Shared,
    _server: AbortOnDropHandle<()>,
}

type Answer = (StatusCode, Json<Value>);

impl ChatApis {
    pub async fn start() -> Self {
        let shared = Shared::default();
        let router = Router::new()
            .route("/v2/enqueue", post(pagerduty))
            .route("/api/webhooks/{id}/{token}", post(discord))
            .route("/api/webhooks/{id}/{token}/messages/{message}", patch(discord_edit))
            .route("/{bot}/sendMessage", post(telegram))
            .route("/{bot}/editMessageText", post(telegram_edit))
            .route("/api/chat.postMessage", post(slack))
            .route("/api/chat.update", post(slack_update))
            .route("/workflows/{id}", post(teams))
            .route("/2010-04-01/Accounts/{account}/Messages.json", post(twilio))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serving goes on until it is dropped");
        });
        Self { address, shared, _server: AbortOnDropHandle::new(server) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What one API took so far.
    pub fn taken(&self, api: &str) -> Vec<Value> {
        self.shared.lock().0.iter().filter(|taken| taken.api == api).map(|taken| taken.body.clone()).collect()
    }

    /// What was refused, and why.
    pub fn refused(&self) -> Vec<String> {
        self.shared.lock().1.clone()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<Taken>, Vec<String>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, api: &'static str, body: Value) {
        self.lock().0.push(Taken { api, body });
    }

    fn refuse(&self, status: StatusCode, api: &str, why: &str) -> Answer {
        self.lock().1.push(format!("{api}: {why}"));
        (status, Json(json!({"message": why})))
    }
}

fn characters(value: &Value) -> usize {
    value.as_str().map_or(usize::MAX, |text| text.chars().count())
}

/// <https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>
async fn pagerduty(State(shared): State<Shared>, Json(event): Json<Value>) -> Answer {
    let refuse = |why| shared.refuse(StatusCode::BAD_REQUEST, "pagerduty", why);
    let payload = &event["payload"];
    if event["routing_key"] != PAGERDUTY_KEY {
        return refuse("wrong routing_key");
    }
    if characters(&event["dedup_key"]) > 255 {
        return refuse("dedup_key is missing or too long");
    }
    match event["event_action"].as_str() {
        Some("resolve" | "acknowledge") => {}
        Some("trigger") if characters(&payload["summary"]) > 1_024 => return refuse("summary"),
        Some("trigger") if !payload["source"].is_string() => return refuse("source"),
        Some("trigger")
            if !["critical", "error", "warning", "info"].iter().any(|known| payload["severity"] == *known) =>
        {
            return refuse("severity");
        }
        Some("trigger") => {}
        _ => return refuse("event_action"),
    }
    let key = event["dedup_key"].clone();
    shared.take("pagerduty", event);
    (StatusCode::ACCEPTED, Json(json!({"status": "success", "message": "Event processed", "dedup_key": key})))
}

#[derive(serde::Deserialize)]
struct Wait {
    wait: Option<bool>,
}

/// <https://discord.com/developers/docs/resources/webhook#execute-webhook>
async fn discord(
    State(shared): State<Shared>,
    Path((id, token)): Path<(String, String)>,
    Query(query): Query<Wait>,
    Json(message): Json<Value>,
) -> Answer {
    let refuse = |why| shared.refuse(StatusCode::BAD_REQUEST, "discord", why);
    if (id.as_str(), token.as_str()) != ("811", "discord-token") {
        return shared.refuse(StatusCode::NOT_FOUND, "discord", "Unknown Webhook");
    }
    let embeds = message["embeds"].as_array().cloned().unwrap_or_default();
    if characters(&message["content"]) > 2_000 || embeds.len() > 10 {
        return refuse("too long");
    }
    let is_wrong = |embed: &Value| {
        characters(&embed["title"]) > 256
            || characters(&embed["description"]) > 4_096
            || embed["fields"].as_array().is_some_and(|fields| fields.len() > 25)
            || embed["color"].as_u64().is_none_or(|color| color > 0xff_ff_ff)
    };
    if embeds.iter().any(is_wrong) {
        return refuse("embed");
    }
    shared.take("discord", message);
    match query.wait {
        Some(true) => (StatusCode::OK, Json(json!({"id": "1100"}))),
        _ => (StatusCode::NO_CONTENT, Json(Value::Null)),
    }
}

/// <https://core.telegram.org/bots/api#sendmessage>
async fn telegram(State(shared): State<Shared>, Path(bot): Path<String>, Json(message): Json<Value>) -> Answer {
    if bot.strip_prefix("bot") != Some(TELEGRAM_TOKEN) {
        return shared.refuse(StatusCode::UNAUTHORIZED, "telegram", "Unauthorized");
    }
    let refuse = |why| shared.refuse(StatusCode::BAD_REQUEST, "telegram", why);
    if message["chat_id"] != "-100200" {
        return refuse("Bad Request: chat not found");
    }
    if characters(&message["text"]) > 4_096 || message["parse_mode"] != "HTML" {
        return refuse("Bad Request: can't parse entities");
    }
    shared.take("telegram", message);
    (StatusCode::OK, Json(json!({"ok": true, "result": {"message_id": 42}})))
}

/// <https://core.telegram.org/bots/api#editmessagetext>
async fn telegram_edit(State(shared): State<Shared>, Path(bot): Path<String>, Json(message): Json<Value>) -> Answer {
    if bot.strip_prefix("bot") != Some(TELEGRAM_TOKEN) {
        return shared.refuse(StatusCode::UNAUTHORIZED, "telegram", "Unauthorized");
    }
    if message["chat_id"] != "-100200" || message["message_id"] != 42 {
        return shared.refuse(StatusCode::BAD_REQUEST, "telegram", "Bad Request: message to edit not found");
    }
    shared.take("telegram edit", message);
    (StatusCode::OK, Json(json!({"ok": true, "result": {"message_id": 42}})))
}

/// <https://discord.com/developers/docs/resources/webhook#edit-webhook-message>
async fn discord_edit(
    State(shared): State<Shared>,
    Path((id, token, message)): Path<(String, String, String)>,
    Json(body): Json<Value>,
) -> Answer {
    if (id.as_str(), token.as_str(), message.as_str()) != ("811", "discord-token", "1100") {
        return shared.refuse(StatusCode::NOT_FOUND, "discord", "Unknown Message");
    }
    shared.take("discord edit", body);
    (StatusCode::OK, Json(json!({"id": "1100"})))
}

/// <https://docs.slack.dev/reference/methods/chat.postMessage/>: what is wrong is said in a 200.
async fn slack(State(shared): State<Shared>, headers: HeaderMap, Json(message): Json<Value>) -> Answer {
    if let Some(error) = slack_fault(&headers, &message) {
        return slack_refuse(&shared, error);
    }
    shared.take("slack", message);
    (StatusCode::OK, Json(json!({"ok": true, "channel": SLACK_CHANNEL, "ts": "1503435956.000247"})))
}

/// <https://docs.slack.dev/reference/methods/chat.update/>
async fn slack_update(State(shared): State<Shared>, headers: HeaderMap, Json(message): Json<Value>) -> Answer {
    if let Some(error) = slack_fault(&headers, &message) {
        return slack_refuse(&shared, error);
    }
    if message["ts"] != "1503435956.000247" {
        return slack_refuse(&shared, "message_not_found");
    }
    shared.take("slack update", message);
    (StatusCode::OK, Json(json!({"ok": true, "channel": SLACK_CHANNEL, "ts": "1503435956.000247"})))
}

fn slack_fault(headers: &HeaderMap, message: &Value) -> Option<&'static str> {
    let bearer = format!("Bearer {SLACK_TOKEN}");
    let blocks = message["blocks"].as_array().map_or(0, Vec::len);
    if headers.get("authorization").is_none_or(|found| found.as_bytes() != bearer.as_bytes()) {
        return Some("invalid_auth");
    }
    if message["channel"] != SLACK_CHANNEL {
        return Some("channel_not_found");
    }
    (blocks > 50 || characters(&message["text"]) > 40_000).then_some("msg_too_long")
}

fn slack_refuse(shared: &Shared, error: &str) -> Answer {
    let _ = shared.refuse(StatusCode::OK, "slack", error);
    (StatusCode::OK, Json(json!({"ok": false, "error": error})))
}

/// A workflow takes messages whose attachments are Adaptive Cards.
async fn teams(State(shared): State<Shared>, Path(id): Path<String>, body: Bytes) -> Answer {
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return shared.refuse(StatusCode::BAD_REQUEST, "teams", "not JSON");
    };
    let attachment = &message["attachments"][0];
    if id != "7" || body.len() > 28 * 1_024 {
        return shared.refuse(StatusCode::NOT_FOUND, "teams", "WorkflowTriggerNotFound");
    }
    if message["type"] != "message"
        || attachment["contentType"] != "application/vnd.microsoft.card.adaptive"
        || attachment["content"]["type"] != "AdaptiveCard"
    {
        return shared.refuse(StatusCode::BAD_REQUEST, "teams", "no card");
    }
    shared.take("teams", message);
    (StatusCode::ACCEPTED, Json(Value::Null))
}

/// <https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource>
async fn twilio(State(shared): State<Shared>, Path(account): Path<String>, headers: HeaderMap, body: String) -> Answer {
    use base64::Engine;
    let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{TWILIO_ACCOUNT}:{TWILIO_TOKEN}"));
    let sent = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if account != TWILIO_ACCOUNT || sent != format!("Basic {wanted}") {
        return shared.refuse(StatusCode::UNAUTHORIZED, "twilio", "Authenticate");
    }
    let fields: Value = url::form_urlencoded::parse(body.as_bytes())
        .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let is_number = |field: &str| fields[field].as_str().is_some_and(|number| number.starts_with('+'));
    if !is_number("To") || !(is_number("From") || fields["MessagingServiceSid"].is_string()) {
        return shared.refuse(StatusCode::BAD_REQUEST, "twilio", "21211");
    }
    if characters(&fields["Body"]) > 1_600 {
        return shared.refuse(StatusCode::BAD_REQUEST, "twilio", "21617");
    }
    shared.take("twilio", fields);
    (StatusCode::CREATED, Json(json!({"sid": "SM1", "status": "queued"})))
}
