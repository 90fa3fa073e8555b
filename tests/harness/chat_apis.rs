//! The APIs of message services on loopback, as their makers document them: a request that the real
//! one would refuse is refused here, with the same status.

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
            .route(
                "/api/webhooks/{id}/{token}/messages/{message}",
                patch(discord_edit),
            )
            .route("/{bot}/sendMessage", post(telegram))
            .route("/{bot}/editMessageText", post(telegram_edit))
            .route("/api/chat.postMessage", post(slack))
            .route("/api/chat.update", post(slack_update))
            .route("/workflows/{id}", post(teams))
            .route("/2010-04-01/Accounts/{account}/Messages.json", post(twilio))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("serving goes on until it is dropped");
        });
        Self {
            address,
            shared,
            _server: AbortOnDropHandle::new(server),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Messages that one API took so far.
    pub fn taken(&self, api: &str) -> Vec<Value> {
        self.shared
            .lock()
            .0
            .iter()
            .filter(|taken| taken.api == api)
            .map(|taken| taken.body.clone())
            .collect()
    }

    /// Requests that were rejected, and why.
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

/// Counts as most of them do: UTF-16 code units. What is no text is too long.
fn characters(value: &Value) -> usize {
    value
        .as_str()
        .map_or(usize::MAX, |text| text.encode_utf16().count())
}

/// <https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>
async fn pagerduty(State(shared): State<Shared>, body: Bytes) -> Answer {
    let Ok(event) = serde_json::from_slice::<Value>(&body) else {
        return shared.refuse(StatusCode::BAD_REQUEST, "pagerduty", "not JSON");
    };
    let refuse = |why| shared.refuse(StatusCode::BAD_REQUEST, "pagerduty", why);
    let payload = &event["payload"];
    if body.len() > 512 * 1_024 {
        return refuse("larger than 512 KB");
    }
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
            if !["critical", "error", "warning", "info"]
                .iter()
                .any(|known| payload["severity"] == *known) =>
        {
            return refuse("severity");
        }
        Some("trigger") => {}
        _ => return refuse("event_action"),
    }
    let key = event["dedup_key"].clone();
    shared.take("pagerduty", event);
    (
        StatusCode::ACCEPTED,
        Json(json!({"status": "success", "message": "Event processed", "dedup_key": key})),
    )
}

#[derive(serde::Deserialize)]
struct DiscordQuery {
    wait: Option<bool>,
    thread_id: Option<u64>,
}

impl DiscordQuery {
    /// The message, with the thread that it went to.
    fn placed(&self, mut message: Value) -> Value {
        if let Some(thread) = self.thread_id {
            message["thread_id"] = thread.into();
        }
        message
    }
}

/// <https://discord.com/developers/docs/resources/webhook#execute-webhook>
async fn discord(
    State(shared): State<Shared>,
    Path((id, token)): Path<(String, String)>,
    Query(query): Query<DiscordQuery>,
    Json(message): Json<Value>,
) -> Answer {
    let refuse = |why| shared.refuse(StatusCode::BAD_REQUEST, "discord", why);
    if (id.as_str(), token.as_str()) != ("811", "discord-token") {
        return shared.refuse(StatusCode::NOT_FOUND, "discord", "Unknown Webhook");
    }
    if let Some(fault) = discord_fault(&message) {
        return refuse(fault);
    }
    shared.take("discord", query.placed(message));
    match query.wait {
        Some(true) => (StatusCode::OK, Json(json!({"id": "1100"}))),
        _ => (StatusCode::NO_CONTENT, Json(Value::Null)),
    }
}

/// <https://discord.com/developers/docs/resources/message#embed-object-embed-limits>
fn discord_fault(message: &Value) -> Option<&'static str> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let embeds = list(&message["embeds"]);
    if characters(&message["content"]) > 2_000 || embeds.len() > 10 {
        return Some("too long");
    }
    let text = |value: &Value| {
        if value.is_null() {
            0
        } else {
            characters(value)
        }
    };
    let mut total = 0;
    for embed in &embeds {
        let fields = list(&embed["fields"]);
        let (title, description) = (text(&embed["title"]), text(&embed["description"]));
        if title > 256 || description > 4_096 || fields.len() > 25 {
            return Some("embed");
        }
        if embed["color"]
            .as_u64()
            .is_none_or(|color| color > 0xff_ff_ff)
        {
            return Some("embed color");
        }
        total += title + description;
        for field in &fields {
            let (name, value) = (characters(&field["name"]), characters(&field["value"]));
            if !(1..=256).contains(&name) || !(1..=1_024).contains(&value) {
                return Some("embed field");
            }
            total += name + value;
        }
    }
    (total > 6_000).then_some("Embed size exceeds maximum size of 6000")
}

/// <https://core.telegram.org/bots/api#html-style>: the text without its tags; none where Telegram can't parse it.
fn telegram_text(html: &str) -> Option<String> {
    const TAGS: [&str; 10] = [
        "b",
        "strong",
        "i",
        "em",
        "u",
        "s",
        "code",
        "pre",
        "a",
        "blockquote",
    ];
    const ENTITIES: [(&str, char); 4] = [("lt;", '<'), ("gt;", '>'), ("amp;", '&'), ("quot;", '"')];
    let (mut text, mut open) = (String::new(), Vec::new());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        if rest[at..].starts_with('&') {
            let (name, character) = ENTITIES.iter().find(|(name, _)| behind.starts_with(name))?;
            text.push(*character);
            rest = &behind[name.len()..];
            continue;
        }
        let (tag, after) = behind.split_once('>')?;
        match tag.strip_prefix('/') {
            Some(name) => (open.pop()? == name).then_some(())?,
            None => {
                let name = tag.split(' ').next()?;
                TAGS.contains(&name).then_some(())?;
                open.push(name);
            }
        }
        rest = after;
    }
    text.push_str(rest);
    open.is_empty().then_some(text)
}

fn telegram_fault(message: &Value) -> Option<&'static str> {
    let text = message["text"]
        .as_str()
        .and_then(telegram_text)
        .filter(|_| message["parse_mode"] == "HTML");
    match text.map(|text| text.encode_utf16().count()) {
        None => Some("Bad Request: can't parse entities"),
        Some(0) => Some("Bad Request: message text is empty"),
        Some(length) => (length > 4_096).then_some("Bad Request: message is too long"),
    }
}

/// <https://core.telegram.org/bots/api#sendmessage>
async fn telegram(
    State(shared): State<Shared>,
    Path(bot): Path<String>,
    Json(message): Json<Value>,
) -> Answer {
    if bot.strip_prefix("bot") != Some(TELEGRAM_TOKEN) {
        return shared.refuse(StatusCode::UNAUTHORIZED, "telegram", "Unauthorized");
    }
    let refuse = |why| shared.refuse(StatusCode::BAD_REQUEST, "telegram", why);
    if message["chat_id"] != "-100200" {
        return refuse("Bad Request: chat not found");
    }
    if let Some(fault) = telegram_fault(&message) {
        return refuse(fault);
    }
    shared.take("telegram", message);
    (
        StatusCode::OK,
        Json(json!({"ok": true, "result": {"message_id": 42}})),
    )
}

/// <https://core.telegram.org/bots/api#editmessagetext>
async fn telegram_edit(
    State(shared): State<Shared>,
    Path(bot): Path<String>,
    Json(message): Json<Value>,
) -> Answer {
    if bot.strip_prefix("bot") != Some(TELEGRAM_TOKEN) {
        return shared.refuse(StatusCode::UNAUTHORIZED, "telegram", "Unauthorized");
    }
    if message["chat_id"] != "-100200" || message["message_id"] != 42 {
        return shared.refuse(
            StatusCode::BAD_REQUEST,
            "telegram",
            "Bad Request: message to edit not found",
        );
    }
    if let Some(fault) = telegram_fault(&message) {
        return shared.refuse(StatusCode::BAD_REQUEST, "telegram", fault);
    }
    shared.take("telegram edit", message);
    (
        StatusCode::OK,
        Json(json!({"ok": true, "result": {"message_id": 42}})),
    )
}

/// <https://discord.com/developers/docs/resources/webhook#edit-webhook-message>
async fn discord_edit(
    State(shared): State<Shared>,
    Path((id, token, message)): Path<(String, String, String)>,
    Query(query): Query<DiscordQuery>,
    Json(body): Json<Value>,
) -> Answer {
    if (id.as_str(), token.as_str(), message.as_str()) != ("811", "discord-token", "1100") {
        return shared.refuse(StatusCode::NOT_FOUND, "discord", "Unknown Message");
    }
    if let Some(fault) = discord_fault(&body) {
        return shared.refuse(StatusCode::BAD_REQUEST, "discord", fault);
    }
    shared.take("discord edit", query.placed(body));
    (StatusCode::OK, Json(json!({"id": "1100"})))
}

/// <https://docs.slack.dev/reference/methods/chat.postMessage/>: what is wrong is said in a 200.
async fn slack(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(message): Json<Value>,
) -> Answer {
    if let Some(error) = slack_fault(&headers, &message) {
        return slack_refuse(&shared, error);
    }
    shared.take("slack", message);
    (
        StatusCode::OK,
        Json(json!({"ok": true, "channel": SLACK_CHANNEL, "ts": "1503435956.000247"})),
    )
}

/// <https://docs.slack.dev/reference/methods/chat.update/>
async fn slack_update(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(message): Json<Value>,
) -> Answer {
    if let Some(error) = slack_fault(&headers, &message) {
        return slack_refuse(&shared, error);
    }
    if message["ts"] != "1503435956.000247" {
        return slack_refuse(&shared, "message_not_found");
    }
    shared.take("slack update", message);
    (
        StatusCode::OK,
        Json(json!({"ok": true, "channel": SLACK_CHANNEL, "ts": "1503435956.000247"})),
    )
}

fn slack_fault(headers: &HeaderMap, message: &Value) -> Option<&'static str> {
    let bearer = format!("Bearer {SLACK_TOKEN}");
    if headers
        .get("authorization")
        .is_none_or(|found| found.as_bytes() != bearer.as_bytes())
    {
        return Some("invalid_auth");
    }
    if message["channel"] != SLACK_CHANNEL {
        return Some("channel_not_found");
    }
    if characters(&message["text"]) > 4_000 {
        return Some("msg_too_long");
    }
    let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
    if blocks.len() > 50 {
        return Some("invalid_blocks");
    }
    let mut total = 0;
    for block in &blocks {
        let elements = block["elements"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![block["text"].clone()]);
        for text in elements.iter().map(|element| &element["text"]) {
            if elements.len() > 10 || !(1..=3_000).contains(&characters(text)) || !is_escaped(text)
            {
                return Some("invalid_blocks");
            }
            total += characters(text);
        }
    }
    (total > 11_000).then_some("msg_blocks_too_long")
}

/// `&` stands in its three entities alone, `<` and `>` around links and mentions.
fn is_escaped(text: &Value) -> bool {
    let text = text.as_str().unwrap_or_default();
    let entities = text.split('&').skip(1).all(|rest| {
        ["amp;", "lt;", "gt;"]
            .iter()
            .any(|name| rest.starts_with(name))
    });
    let links = text.split('<').skip(1).all(|rest| {
        rest.starts_with(['!', '@', '#', 'h', 'm'])
            && rest
                .split_once('>')
                .is_some_and(|(link, _)| !link.contains('\n'))
    });
    entities && links
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
    if id != "7" {
        return shared.refuse(StatusCode::NOT_FOUND, "teams", "WorkflowTriggerNotFound");
    }
    let units =
        std::str::from_utf8(&body).map_or(usize::MAX / 2, |text| text.encode_utf16().count());
    if 2 * units > 28 * 1_024 {
        return shared.refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "teams",
            "RequestEntityTooLarge",
        );
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
async fn twilio(
    State(shared): State<Shared>,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Answer {
    use base64::Engine;
    let wanted = base64::engine::general_purpose::STANDARD
        .encode(format!("{TWILIO_ACCOUNT}:{TWILIO_TOKEN}"));
    let sent = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if account != TWILIO_ACCOUNT || sent != format!("Basic {wanted}") {
        return shared.refuse(StatusCode::UNAUTHORIZED, "twilio", "Authenticate");
    }
    let fields: Value = url::form_urlencoded::parse(body.as_bytes())
        .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let is_number = |field: &str| {
        fields[field]
            .as_str()
            .is_some_and(|number| number.starts_with('+'))
    };
    if !is_number("To") || !(is_number("From") || fields["MessagingServiceSid"].is_string()) {
        return shared.refuse(StatusCode::BAD_REQUEST, "twilio", "21211");
    }
    if characters(&fields["Body"]) > 1_600 {
        return shared.refuse(StatusCode::BAD_REQUEST, "twilio", "21617");
    }
    shared.take("twilio", fields);
    (
        StatusCode::CREATED,
        Json(json!({"sid": "SM1", "status": "queued"})),
    )
}
