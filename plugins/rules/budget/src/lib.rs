//! The rule `budget`: is a share of a budget used, or will it be at the end of its period? The host
//! counts what calls cost; without its figures there is no opinion.

use extrack_plugin::history::Usage;
use extrack_plugin::prelude::*;
use extrack_plugin::value;

#[derive(Settings)]
struct Settings {
    /// Id or name of a budget. Default: each that the service's calls count for.
    budget: Option<String>,
    /// Percent of the amount.
    #[setting(default = 100, min = 0.01)]
    at: f64,
    /// What is compared: `used` so far, which has to reach the share, or the `forecast` for the end
    /// of the period, which has to be above it.
    #[setting(default = "used")]
    of: Part,
}

#[derive(Settings, Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Used,
    Forecast,
}

/// One budget, with what can be said of it.
struct Judged {
    finding: Finding,
    /// Percent; the most is the worst.
    share: f64,
    is_breached: bool,
}

#[rule(over_time = true)]
fn evaluate(evaluation: &Evaluation, settings: &Settings) -> Verdict {
    let budgets: Vec<Usage> = history::usage()
        .into_iter()
        .filter(|usage| usage.budget_micros.is_some() && is_looked_at(usage, settings))
        .collect();
    if budgets.is_empty() {
        return Verdict::no_opinion(match &settings.budget {
            Some(name) => format!("there is no budget `{name}` here"),
            None => "there is no budget here".to_owned(),
        });
    }
    let (mut judged, mut unknown) = (Vec::new(), None);
    for usage in &budgets {
        match judge(usage, evaluation.now_ms, settings) {
            Ok(found) => judged.push(found),
            Err(reason) => unknown = unknown.or(Some(reason)),
        }
    }
    let worst = judged.into_iter().max_by(|one, other| {
        one.is_breached
            .cmp(&other.is_breached)
            .then(one.share.total_cmp(&other.share))
    });
    // One that is breached is, whatever is unknown of others.
    match (worst, unknown) {
        (Some(worst), _) if worst.is_breached => worst.finding.breached(),
        (_, Some(reason)) => Verdict::no_opinion(reason),
        (Some(worst), None) => worst.finding.ok(),
        (None, None) => Verdict::no_opinion("there is no budget here"),
    }
}

fn is_looked_at(usage: &Usage, settings: &Settings) -> bool {
    settings
        .budget
        .as_ref()
        .is_none_or(|wanted| *wanted == usage.meter || *wanted == name_of(usage))
}

/// Reads what the host says of a budget, or why it says nothing.
fn judge(usage: &Usage, now_ms: u64, settings: &Settings) -> Result<Judged, String> {
    let name = name_of(usage);
    let budget = usage.budget_micros.unwrap_or_default();
    let Some(used) = usage.cost_micros else {
        let reason = text_of(usage, "missing").unwrap_or("the host gives no reason");
        return Err(format!("no figures of budget `{name}`: {reason}"));
    };
    let found = match settings.of {
        Part::Used => used,
        Part::Forecast => integer_of(usage, "forecast-micros").ok_or_else(|| {
            let reason = text_of(usage, "forecast-missing").unwrap_or("the host gives no reason");
            format!("no forecast for budget `{name}`: {reason}")
        })?,
    };
    let wanted = budget as f64 * settings.at / 100.0;
    let is_breached = match settings.of {
        Part::Used => found as f64 >= wanted,
        Part::Forecast => found as f64 > wanted,
    };
    let share = found as f64 * 100.0 / budget.max(1) as f64;
    let finding = Finding::new(summary(usage, found, share, now_ms, settings))
        .value(share)
        .wanted(settings.at)
        .detail("used", money(used))
        .detail("amount", money(budget))
        .detail("currency", usage.currency.as_str())
        .detail("budget", name);
    Ok(Judged {
        finding,
        share,
        is_breached,
    })
}

/// Returns a text such as `budget `Tokens` has used 81.40 of 100 EUR (81.4 %), alert at 80 %`.
fn summary(usage: &Usage, found: i64, share: f64, now_ms: u64, settings: &Settings) -> String {
    let name = name_of(usage);
    let amount = money(usage.budget_micros.unwrap_or_default());
    let currency = &usage.currency;
    let percent = (share * 10.0).floor() / 10.0;
    let at = settings.at;
    if settings.of == Part::Forecast {
        let between = match (
            integer_of(usage, "forecast-low-micros"),
            integer_of(usage, "forecast-high-micros"),
        ) {
            (Some(low), Some(high)) => format!(", {} to {}", money(low), money(high)),
            _ => String::new(),
        };
        return format!(
            "budget `{name}` will be at {} of {amount} {currency} at the end of its period ({percent} %{between}), alert above {at} %{}",
            money(found),
            used_up(usage, now_ms)
        );
    }
    format!(
        "budget `{name}` has used {} of {amount} {currency} ({percent} %), alert at {at} %{}",
        money(found),
        used_up(usage, now_ms)
    )
}

fn used_up(usage: &Usage, now_ms: u64) -> String {
    let moment = integer_of(usage, "used-up-ms").and_then(|ms| u64::try_from(ms).ok());
    match moment.filter(|moment| *moment > now_ms) {
        Some(moment) => {
            let lasts = Duration::from_millis(moment - now_ms);
            format!("; it will be used up in {}", time::rough(lasts))
        }
        None => String::new(),
    }
}

fn name_of(usage: &Usage) -> &str {
    text_of(usage, "budget").unwrap_or(&usage.meter)
}

fn text_of<'u>(usage: &'u Usage, key: &str) -> Option<&'u str> {
    value::text(&usage.attributes, key)
}

fn integer_of(usage: &Usage, key: &str) -> Option<i64> {
    match value::find(&usage.attributes, key) {
        Some(Value::Integer(number)) => Some(*number),
        _ => None,
    }
}

/// Writes millionths as a decimal without zeros that mean nothing.
fn money(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, rest) = (
        micros.unsigned_abs() / 1_000_000,
        micros.unsigned_abs() % 1_000_000,
    );
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    let digits = format!("{rest:06}");
    format!("{sign}{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests;
