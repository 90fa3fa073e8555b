//! Pieces of the pages of plugins.

use maud::{Markup, html};

use crate::api::dashboard::fragments::pill;
use crate::api::dashboard::wording::latency;
use crate::api_types::plugin_health::FiguresBody;
use crate::api_types::plugins::PluginBody;

pub(super) fn state(plugin: &PluginBody) -> Markup {
    let class = match plugin.health.failing {
        None => "healthy",
        Some(_) => "unhealthy",
    };
    pill(class, &plugin.state)
}

/// `640 B`, `1.1 MB`
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// Runs and how they ended, since the version became active and in the last hour.
pub(super) fn figures(total: &FiguresBody, hour: &FiguresBody) -> Markup {
    let row = |name: &str, value: &dyn Fn(&FiguresBody) -> String| {
        html! { tr { th scope="row" { (name) } td.number { (value(total)) } td.number { (value(hour)) } } }
    };
    let duration = |figures: &FiguresBody| match &figures.duration {
        None => "–".to_owned(),
        Some(duration) => format!(
            "{} / {} / {}",
            latency(duration.p50_us),
            latency(duration.p95_us),
            latency(duration.p99_us)
        ),
    };
    html! {
        div.wide { table.list {
            thead { tr { th scope="col" { "Runs" } th.number scope="col" { "This version" } th.number scope="col" { "Last hour" } } }
            tbody {
                (row("All", &|of| of.runs.to_string()))
                (row("Good", &|of| of.ok.to_string()))
                (row("Errors of its own", &|of| of.errors.to_string()))
                (row("Traps", &|of| of.traps.to_string()))
                (row("Timed out", &|of| of.timeouts.to_string()))
                (row("Cut off at a limit", &|of| of.limits.to_string()))
                (row("Calls denied", &|of| of.denials.to_string()))
                (row("Duration p50 / p95 / p99", &duration))
                (row("CPU time, all", &|of| latency(of.cpu_us)))
                (row("Memory, most", &|of| bytes(of.memory_bytes)))
            }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(bytes(640), "640 B");
        assert_eq!(bytes(28_400), "28.4 kB");
        assert_eq!(bytes(18_000_000), "18.0 MB");
    }
}
