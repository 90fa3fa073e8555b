//! The notifier `webhook`: posts what Prometheus Alertmanager posts (version 4), so that receivers
//! made for it work.

mod payload;

use std::collections::BTreeMap;

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// URL to post to.
    #[setting(url)]
    url: Secret,
    /// Headers of the request, e.g. `Authorization`.
    #[setting(default)]
    headers: BTreeMap<String, Secret>,
    /// Signs each request as Standard Webhooks defines: base64, after an optional `whsec_`.
    signing_secret: Option<Secret>,
}

#[notifier]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    let mut request = http::post(&settings.url).json(&payload::payload(notification));
    request = request.header("idempotency-key", &notification.id);
    if let Some(secret) = &settings.signing_secret {
        request = request.sign_standard_webhooks(&notification.id, secret);
    }
    for (name, value) in &settings.headers {
        request = request.header(name, value);
    }
    Receipt::from_response(&request.send()?)
}

#[cfg(test)]
mod tests;
