//! The probe `nagios`: runs a program that was made for Nagios or one of its kin, where the operator
//! has named it.

mod performance;

use extrack_plugin::prelude::*;
use extrack_plugin::programs::Finished;

/// Longest text of a program that is shown in a message.
const SHOWN_CHARACTERS: usize = 400;

#[derive(Settings)]
struct Settings {
    /// Absolute path of the program, exactly as it is in `EXTRACK_PROGRAMS`.
    program: String,
    /// Arguments of the program, a text each. `{host}` stands for the host of the service's base URL.
    #[setting(default, max_size = 128)]
    arguments: Vec<String>,
    /// Slower than this is `degraded`.
    degraded_over: Option<Duration>,
}

#[probe(check_settings = check_settings)]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let host = check.service.host_and_port().map(|(host, _)| host);
    let host = host.unwrap_or_default();
    let arguments = settings.arguments.iter();
    let finished = programs::command(&settings.program)
        .arguments(arguments.map(|argument| argument.replace("{host}", &host)))
        .run()?;
    Ok(judge(&finished, settings))
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    if settings.program.starts_with('/') {
        return Vec::new();
    }
    let message = format!("is `{}`, wanted an absolute path", settings.program);
    vec![Fault::new("/program", message)]
}

fn judge(finished: &Finished, settings: &Settings) -> Observation {
    let took = Duration::from_micros(finished.took_us);
    let text = message(finished);
    let observation = match finished.code {
        0 => Observation::healthy().unless_over(settings.degraded_over, took),
        1 => Observation::degraded(text),
        2 => Observation::unhealthy(text),
        // Nothing is known of the service then.
        3 => Observation::failed(Status::Error, ErrorKind::Plugin, text),
        code => {
            let text = format!("ended with code {code}, wanted 0 to 3: {text}");
            Observation::failed(Status::Error, ErrorKind::Plugin, text)
        }
    };
    let figures = performance::figures(&finished.output).into_iter();
    figures.fold(observation.latency(took), |observation, (name, value)| {
        observation.metric(name, value)
    })
}

/// Returns the first line without its performance data; where there is none, that of the errors.
fn message(finished: &Finished) -> String {
    let first = |text: &str| {
        let line = text.lines().next().unwrap_or_default();
        let line = line.split('|').next().unwrap_or_default().trim();
        let shown = line.chars().filter(|c| !c.is_control());
        shown.take(SHOWN_CHARACTERS).collect::<String>()
    };
    let texts = [first(&finished.output), first(&finished.errors)];
    let text = texts.into_iter().find(|text| !text.is_empty());
    text.unwrap_or_else(|| "it wrote nothing".to_owned())
}

#[cfg(test)]
mod tests;
