//! Vendors, as far as their signatures go: written by their documentation, not by our code.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

pub(crate) type Headers = Vec<(&'static str, String)>;

/// Variable and value.
pub(crate) const SECRETS: [(&str, &str); 6] = [
    ("GITHUB_NEW", "github-new-7d1f0a"),
    ("GITHUB_SECRET", "It's a Secret to Everybody"),
    ("STRIPE_SECRET", "whsec_stripe5Vd8Kq"),
    ("STANDARD_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("SLACK_SECRET", "8f742231b10e8888abcd99yyyzzz85a5"),
    ("STATUSPAGE_SECRET", "statuspage-token-0b9c"),
];

pub(crate) fn secret(name: &str) -> &'static str {
    SECRETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("one of the secrets above")
        .1
}

pub(crate) fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn sign(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn github(name: &str, body: &str, delivery: &str) -> Headers {
    github_with(secret(name), body, delivery, "pull_request")
}

pub(crate) fn github_with(secret: &str, body: &str, delivery: &str, event: &str) -> Headers {
    vec![
        ("x-github-event", event.to_owned()),
        ("x-github-delivery", delivery.to_owned()),
        (
            "x-hub-signature-256",
            format!("sha256={}", hex::encode(sign(secret.as_bytes(), body))),
        ),
    ]
}

pub(crate) fn stripe(name: &str, body: &str, at: i64) -> Headers {
    let signature = hex::encode(sign(secret(name).as_bytes(), &format!("{at}.{body}")));
    vec![("stripe-signature", format!("t={at},v1={signature},v0=00"))]
}

pub(crate) fn slack(name: &str, body: &str, at: i64) -> Headers {
    let signature = hex::encode(sign(secret(name).as_bytes(), &format!("v0:{at}:{body}")));
    vec![
        ("x-slack-request-timestamp", at.to_string()),
        ("x-slack-signature", format!("v0={signature}")),
    ]
}

pub(crate) fn standard(name: &str, id: &str, body: &str, at: i64) -> Headers {
    let key = STANDARD
        .decode(secret(name).trim_start_matches("whsec_"))
        .expect("base64");
    let signature = STANDARD.encode(sign(&key, &format!("{id}.{at}.{body}")));
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", at.to_string()),
        ("webhook-signature", format!("v1,{signature}")),
    ]
}
