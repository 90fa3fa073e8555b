//! The rule `rate_limit`: is little left, or will it run out before it starts anew? Looks at what
//! the service's answers said in their headers.

mod forecast;

use std::collections::BTreeMap;

use extrack_plugin::history::RateLimit;
use extrack_plugin::prelude::*;

use crate::forecast::decline_of;

#[derive(Settings)]
struct Settings {
    /// Percent that have to be left.
    #[setting(default = 10, min = 0, max = 100)]
    threshold: f64,
    /// The least that has to be left, as a number; for services that do not say how much there is.
    min_remaining: Option<u64>,
    /// Breached as well while what is left will be used up before the limit starts anew, at the
    /// pace of the last half hour.
    #[setting(default = true)]
    forecast: bool,
    /// Where a service does not say when its limit starts anew, it has to last this long.
    #[setting(default = "1h")]
    horizon: Duration,
    /// Looks at the limit of this name alone, e.g. `core`.
    limit: Option<String>,
    /// Looks at what this host said alone.
    host: Option<String>,
    /// What was said longer ago is not looked at.
    #[setting(default = "1h")]
    max_age: Duration,
}

/// One limit, with what can be said of it.
struct Judged {
    finding: Finding,
    /// What comes first if several are breached; the least is the worst.
    left: f64,
    is_breached: bool,
}

#[rule(look_back = look_back)]
fn evaluate(evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let mut limits: BTreeMap<(String, String, String), Vec<RateLimit>> = BTreeMap::new();
    for reading in history::rate_limits()
        .into_iter()
        .filter(|reading| is_looked_at(reading, settings))
    {
        limits
            .entry((
                reading.host.clone(),
                reading.name.clone(),
                owner_of(&reading),
            ))
            .or_default()
            .push(reading);
    }
    let latest = history::latest_by_probe();
    let judged = limits.values().filter_map(|readings| {
        let last = readings.last()?;
        // The moment of a run is when it was due, before its answers came.
        let heard_since = latest
            .iter()
            .any(|sample| sample.probe == last.probe && sample.ts_ms > last.ts_ms);
        judge(readings, heard_since, evaluation.now_ms, settings)
    });
    let worst = judged.min_by(|one, other| {
        other
            .is_breached
            .cmp(&one.is_breached)
            .then(one.left.total_cmp(&other.left))
    });
    match worst {
        Some(judged) => judged.finding.breached_if(judged.is_breached),
        None => Verdict::no_opinion(format!(
            "no answer of the last {} said anything of a rate limit that could be judged",
            time::format(settings.max_age)
        )),
    }
}

/// Whose quota it is: another credential, and another part by the service's key, have another one.
fn owner_of(reading: &RateLimit) -> String {
    let texts = reading
        .attributes
        .iter()
        .filter(|entry| matches!(entry.key.as_str(), "credential" | "partition"))
        .filter_map(|entry| match &entry.value {
            Value::Text(text) => Some(format!("{} {text}", entry.key)),
            _ => None,
        });
    texts.collect::<Vec<_>>().join("\n")
}

fn is_looked_at(reading: &RateLimit, settings: &Settings) -> bool {
    settings
        .limit
        .as_ref()
        .is_none_or(|name| *name == reading.name)
        && settings
            .host
            .as_ref()
            .is_none_or(|host| *host == reading.host)
}

/// None for a limit of which nothing recent is known. `heard_since`: its probe has had another run.
fn judge(
    readings: &[RateLimit],
    heard_since: bool,
    now_ms: u64,
    settings: &Settings,
) -> Option<Judged> {
    let last = readings.last()?;
    let remaining = last.remaining?;
    let name = format!("rate limit `{}` of {}", last.name, last.host);
    let is_over = |text: String| {
        Some(Judged {
            finding: Finding::new(text),
            left: 100.0,
            is_breached: false,
        })
    };
    let anew = last
        .reset_ms
        .map(|reset_ms| reset_ms.saturating_sub(now_ms));
    if anew == Some(0) {
        return is_over(format!(
            "{name} has started anew since {remaining} were left"
        ));
    }
    if anew.is_none() && heard_since {
        return is_over(format!(
            "{name} was not spoken of again since {remaining} were left"
        ));
    }
    if now_ms.saturating_sub(last.ts_ms) > time::millis(settings.max_age) {
        return None;
    }
    let percent = last
        .quota
        .filter(|quota| *quota > 0)
        .map(|quota| remaining as f64 * 100.0 / quota as f64);
    let of = last
        .quota
        .map_or_else(String::new, |quota| format!(" of {quota}"));
    let shown = percent.map_or_else(String::new, |percent| {
        format!(" ({} %)", (percent * 10.0).floor() / 10.0)
    });
    let mut text = format!("{name} has {remaining}{of} left{shown}, wanted at least ");
    text.push_str(&match settings.min_remaining {
        Some(least) => format!("{least}"),
        None => format!("{} %", settings.threshold),
    });
    if let Some(anew_ms) = anew {
        text.push_str(&format!(
            "; it starts anew in {}",
            time::rough(Duration::from_millis(anew_ms))
        ));
    }
    let decline = decline_of(readings, now_ms).filter(|_| settings.forecast);
    let lasts_ms = decline.map(|decline| decline.likely_ms.saturating_sub(now_ms));
    let horizon_ms = now_ms.saturating_add(time::millis(settings.horizon));
    let runs_out = decline.is_some_and(|decline| decline.runs_out(horizon_ms));
    if let (Some(lasts_ms), Some(decline), true) = (lasts_ms, decline, runs_out) {
        text.push_str(&format!(
            "; at {} a minute it is used up in {}",
            (decline.per_minute * 10.0).round() / 10.0,
            time::rough(Duration::from_millis(lasts_ms))
        ));
    }
    let too_few = match settings.min_remaining {
        Some(least) => remaining < least,
        None => percent.map_or(remaining == 0, |percent| percent < settings.threshold),
    };
    let mut finding = Finding::new(text)
        .detail("remaining", remaining)
        .detail("limit", last.name.as_str());
    finding = match (settings.min_remaining, percent) {
        (Some(least), _) => finding.value(remaining as f64).wanted(least as f64),
        (None, Some(percent)) => finding.value(percent).wanted(settings.threshold),
        (None, None) => finding,
    };
    if let Some(lasts_ms) = lasts_ms {
        finding = finding.detail("lasts_s", lasts_ms / 1_000);
    }
    Some(Judged {
        finding,
        left: percent.unwrap_or(remaining as f64),
        is_breached: too_few || runs_out,
    })
}

fn look_back(settings: &Settings) -> Duration {
    settings.max_age
}

#[cfg(test)]
mod tests;
