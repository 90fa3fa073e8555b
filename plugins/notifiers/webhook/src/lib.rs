//! The notifier `webhook`: posts what Prometheus Alertmanager posts (version 4), so that receivers made for it work.

mod payload;

use std::collections::BTreeMap;

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// URL to post to.
    url: Secret,
    /// Headers of the request, e.g. `Authorization`.
    #[setting(default)]
    headers: BTreeMap<String, Secret>,
}

#[notifier]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    let mut request = http::post(settings.url.placeholder()).json(&payload::payload(notification));
    request = request.header("idempotency-key", &notification.id);
    for (name, value) in &settings.headers {
        request = request.header(name, value.placeholder());
    }
    Receipt::from_response(&request.send()?)
}

#[cfg(test)]
mod tests;
