//! The probe `icmp`: does a host answer echo requests, how many of them, and how fast?

use extrack_plugin::icmp::Echoes;
use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Name or address, in place of the base URL's host.
    #[setting(host)]
    host: Option<String>,
    /// Echo requests of a run.
    #[setting(default = 5, min = 1, max = 100)]
    count: u32,
    /// Time from one request to the next, at least 10 ms.
    #[setting(default = "200ms")]
    interval: Duration,
    /// Time that the answer to each request is waited for; later it is lost.
    #[setting(default = "1s")]
    timeout: Duration,
    /// Bytes of each request behind its header.
    #[setting(default = 56, min = 8, max = 1400)]
    size: u32,
    /// More percent lost than this are `degraded`.
    #[setting(default = 0.0, min = 0, max = 100)]
    warn_loss: f64,
    /// More percent lost than this are `unhealthy`; all of them are in any case.
    #[setting(default = 50.0, min = 0, max = 100)]
    critical_loss: f64,
    /// Slower than this on average is `degraded`.
    degraded_over: Option<Duration>,
    /// Slower than this on average is `unhealthy`.
    unhealthy_over: Option<Duration>,
}

#[probe(check_settings = check_settings)]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let echoes = icmp::ping(host(check, settings)?)
        .count(settings.count)
        .interval(settings.interval)
        .timeout(settings.timeout)
        .size(settings.size)
        .send()?;
    Ok(judge(&echoes, settings))
}

fn host(check: &Check, settings: &Settings) -> Result<String, Stop> {
    let text = settings.host.as_deref();
    let text = text.unwrap_or(&check.service.base_url);
    match named_host(text) {
        Some(host) => Ok(host),
        None => Err(Stop::Settings(format!(
            "`{text}` names no host; set `host` to a name or an address"
        ))),
    }
}

/// Returns the host of a URL, or of a name or an address alone; IPv6 also without brackets.
fn named_host(text: &str) -> Option<String> {
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some(text.to_owned());
    }
    let (host, _) = extrack_plugin::url::host_and_port(text)?;
    (!host.is_empty()).then_some(host)
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(host) = &settings.host
        && named_host(host).is_none()
    {
        let message = format!("is `{host}`, wanted a name or an address");
        faults.push(Fault::new("/host", message));
    }
    if settings.interval < Duration::from_millis(10) {
        faults.push(Fault::new("/interval", "must be at least 10 ms"));
    }
    if settings.critical_loss < settings.warn_loss {
        let message = "must not be below `warnLoss`";
        faults.push(Fault::new("/criticalLoss", message));
    }
    faults
}

fn judge(echoes: &Echoes, settings: &Settings) -> Observation {
    let sent = echoes.round_trips_us.len();
    let trips: Vec<f64> = echoes
        .round_trips_us
        .iter()
        .flatten()
        .map(|us| *us as f64 / 1_000.0)
        .collect();
    let lost = sent - trips.len();
    let loss = lost as f64 * 100.0 / sent.max(1) as f64;
    let average = trips.iter().sum::<f64>() / trips.len().max(1) as f64;
    let took = Duration::from_micros((average * 1_000.0) as u64);
    let found = format!("{lost} of {sent} echo requests had no answer ({loss:.0} %)");
    let observation = if trips.is_empty() || loss > settings.critical_loss {
        let most = settings.critical_loss;
        Observation::unhealthy(format!("{found}, wanted at most {most} %"))
    } else if let Some(limit) = settings.unhealthy_over.filter(|limit| took > *limit) {
        let limit = time::format(limit);
        Observation::unhealthy(format!(
            "took {average:.1} ms on average, wanted at most {limit}"
        ))
    } else if loss > settings.warn_loss {
        let most = settings.warn_loss;
        Observation::degraded(format!("{found}, wanted at most {most} %"))
    } else {
        Observation::healthy().unless_over(settings.degraded_over, took)
    };
    let observation = observation
        .metric("sent", sent as u64)
        .metric("received", trips.len() as u64)
        .metric("loss_percent", loss);
    if trips.is_empty() {
        return observation;
    }
    let least = trips.iter().copied().fold(f64::MAX, f64::min);
    let most = trips.iter().copied().fold(0.0, f64::max);
    observation
        .latency(took)
        .metric("min_ms", least)
        .metric("avg_ms", average)
        .metric("max_ms", most)
        .metric("jitter_ms", jitter(&trips))
}

/// Returns by how much an answer takes longer or shorter than the one before, on average.
fn jitter(trips: &[f64]) -> f64 {
    let steps = trips.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    steps.sum::<f64>() / trips.len().saturating_sub(1).max(1) as f64
}

#[cfg(test)]
mod tests;
