//! Asks an echo with each credential of its service, and writes the answers everywhere it can: in the
//! log, in the observation, in metrics. Unhealthy, so that the text is kept.

use extrack_plugin::prelude::*;

#[probe]
fn check(check: &Check) -> Observation {
    let mut answers = Vec::new();
    for credential in &check.credentials {
        let path = format!("/echo?by={credential}");
        let text = match http::get(check.service.url(&path))
            .auth(credential.as_str())
            .send()
        {
            Ok(response) => {
                let header = |name| response.header(name).unwrap_or_default().to_owned();
                format!(
                    "{} {} {}",
                    header("x-echo"),
                    header("location"),
                    response.text()
                )
            }
            Err(error) => error.to_string(),
        };
        log::info(text.as_str());
        log::error(text.as_str());
        answers.push((credential, text));
    }
    let said = answers
        .iter()
        .map(|(_, text)| text.as_str())
        .collect::<Vec<_>>()
        .join("\n");
    let start = Observation::unhealthy(said);
    answers
        .into_iter()
        .fold(start, |observation, (credential, text)| {
            observation.metric(&format!("said_{credential}"), text)
        })
}
