//! What bundled plugins read in the engine of the server: deliveries to webhooks, and expressions
//! of rules.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use extrack::domain::{Origin, PluginKind, Service, Webhook, WebhookRequest};
use extrack::plugin_host::{ReceiveError, WebhookCall};
use extrack::registry::PluginDirectory;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{split, text};
use crate::stage::{host, wait_for};

const WEBHOOKS: [&str; 5] = [
    "generic",
    "github",
    "standard-webhooks",
    "statuspage",
    "stripe",
];

/// Base64 of the secret's bytes, as Standard Webhooks has it; the others take the text as it is.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW_S: i64 = 1_764_400_000;

/// Headers, an empty line and the body; the first byte says for which plugin. Without a signature
/// among the headers it is signed, so that what is behind the signature is read as well.
pub(crate) fn webhooks(input: &[u8]) {
    let (plugin, rest) = split(input, &WEBHOOKS);
    let text = text(rest);
    let (head, body) = text
        .split_once("\n\n")
        .unwrap_or(("content-type: application/json", &text));
    let pairs = head.lines().filter_map(|line| line.split_once(':'));
    let mut headers: Vec<(String, String)> = pairs
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    if !headers.iter().any(|(name, _)| name.contains("signature")) {
        headers.extend(signature(plugin, body));
    }
    let webhook = Webhook {
        name: (*plugin).to_owned(),
        plugin: (*plugin).to_owned(),
        settings: settings(plugin),
        unsigned: true,
    };
    let request = WebhookRequest {
        method: "POST".to_owned(),
        path: String::new(),
        query: String::new(),
        headers,
        body: body.as_bytes().to_vec(),
        received_ms: NOW_S * 1_000,
    };
    let received = wait_for(host().receive(WebhookCall {
        service: &service(),
        webhook: &webhook,
        request,
        is_proven: false,
    }))
    .result;
    // An id or a text beyond the host's bounds is refused as the plugin's fault, and harms nobody.
    if let Err(ReceiveError::Broken(error)) = received
        && !error.starts_with("answered")
    {
        panic!("`{plugin}` broke: {error}");
    }
}

fn settings(plugin: &str) -> Value {
    match plugin {
        "generic" => json!({
            "kind": "{$.type}",
            "summary": "{$.title} {header:x-a}",
            "status": {"value": "{$.n[0]}", "healthy": ["1"], "unhealthy": ["2"]},
        }),
        "github" | "stripe" => json!({"secret": SECRET, "payload": "full"}),
        "standard-webhooks" => json!({"secret": SECRET}),
        _ => json!({}),
    }
}

fn signature(plugin: &str, body: &str) -> Vec<(String, String)> {
    let mac = |key: &[u8], text: String| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes()
    };
    let header = |name: &str, value: String| (name.to_owned(), value);
    match plugin {
        "github" => {
            let signed = hex::encode(mac(SECRET.as_bytes(), body.to_owned()));
            vec![header("x-hub-signature-256", format!("sha256={signed}"))]
        }
        "stripe" => {
            let signed = hex::encode(mac(SECRET.as_bytes(), format!("{NOW_S}.{body}")));
            vec![header("stripe-signature", format!("t={NOW_S},v1={signed}"))]
        }
        "standard-webhooks" => {
            let key = STANDARD
                .decode(&SECRET["whsec_".len()..])
                .expect("it is base64");
            let signed = STANDARD.encode(mac(&key, format!("msg_1.{NOW_S}.{body}")));
            vec![
                header("webhook-id", "msg_1".to_owned()),
                header("webhook-timestamp", NOW_S.to_string()),
                header("webhook-signature", format!("v1,{signed}")),
            ]
        }
        _ => Vec::new(),
    }
}

/// As a condition of a rule, checked as when it is loaded.
pub(crate) fn cel(input: &[u8]) {
    let settings = json!({"condition": text(input)});
    if let Err(faults) = wait_for(PluginDirectory::check_settings(
        host(),
        PluginKind::Rule,
        "condition",
        &settings,
        None,
    )) {
        let broken = faults
            .iter()
            .find(|fault| fault.message.contains("trap") || fault.message.contains("panicked"));
        assert!(broken.is_none(), "{broken:?}");
    }
}

fn service() -> Service {
    Service {
        slug: "shop-api".to_owned(),
        name: "Shop API".to_owned(),
        kind: "REST".to_owned(),
        base_url: "https://api.example.com".to_owned(),
        health_endpoint: None,
        tags: Vec::new(),
        labels: Default::default(),
        depends_on: Vec::new(),
        owner: None,
        description: None,
        profile: Default::default(),
        slo: None,
        rate_limits: Default::default(),
        origin: Origin::File,
        hosts: Vec::new(),
        private: false.into(),
        credentials: Vec::new(),
        probes: Vec::new(),
        webhooks: Vec::new(),
        meters: Vec::new(),
        gateway: None,
    }
}
