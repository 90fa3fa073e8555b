//! Makes the request that its settings describe, whatever it is; healthy if there was an answer.

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    url: String,
    #[setting(default = "GET")]
    method: String,
    /// Name of a credential.
    auth: Option<String>,
    /// Bytes to send.
    #[setting(default = 0)]
    body_bytes: i64,
}

#[probe(wants(host = "*"))]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let mut request =
        http::Request::new(&settings.method, &settings.url)
            .body(vec![b'x'; settings.body_bytes as usize]);
    if let Some(auth) = &settings.auth {
        request = request.auth(auth);
    }
    let response = request.send()?;
    let credentials = check.credentials.join(",");
    Ok(Observation::healthy()
        .http_status(response.status)
        .metric("credentials", credentials))
}
