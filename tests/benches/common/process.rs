//! Time and memory of a process, and how late its probes start.

use extrack_tests::Api;

/// Counters of the kernel for a process.
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) rss_mib: f64,
    pub(crate) peak_mib: f64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
        // Behind the name, which may hold spaces: utime and stime are fields 14 and 15 of the
        // whole.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .expect("it has a name")
            .split_whitespace()
            .collect();
        let ticks: f64 = [11, 12]
            .iter()
            .map(|field| fields[*field].parse::<f64>().expect("a number of ticks"))
            .sum();
        let status =
            std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
        let mib = |name: &str| {
            let line = status
                .lines()
                .find(|line| line.starts_with(name))
                .expect("the kernel tells it");
            line.split_whitespace()
                .nth(1)
                .and_then(|kib| kib.parse::<f64>().ok())
                .expect("a number")
                / 1_024.0
        };
        const TICKS_PER_SECOND: f64 = 100.0;
        Self {
            cpu_seconds: ticks / TICKS_PER_SECOND,
            rss_mib: mib("VmRSS:"),
            peak_mib: mib("VmHWM:"),
        }
    }
}

/// Upper bound in seconds and how many runs were within it, from `/metrics`.
pub(crate) async fn lag(api: &Api) -> Vec<(f64, f64)> {
    let metrics = api.metrics().await;
    let buckets = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix("extrack_probe_start_lag_seconds_bucket{")?;
        let bound = rest.split("le=\"").nth(1)?.split('"').next()?;
        let bound = if bound == "+Inf" {
            f64::INFINITY
        } else {
            bound.parse().ok()?
        };
        Some((bound, rest.rsplit(' ').next()?.parse().ok()?))
    });
    buckets.collect()
}

/// Lag of the probes that started between two readings.
pub(crate) struct Lag(Vec<(f64, f64)>);

impl Lag {
    pub(crate) fn between(before: &[(f64, f64)], after: &[(f64, f64)]) -> Self {
        let at = |bound: f64| {
            before
                .iter()
                .find(|(other, _)| *other == bound)
                .map_or(0.0, |(_, count)| *count)
        };
        Self(
            after
                .iter()
                .map(|(bound, count)| (*bound, count - at(*bound)))
                .collect(),
        )
    }

    /// The smallest bound that so many of the runs are within.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let total = self.0.last().map_or(0.0, |(_, count)| *count);
        self.0
            .iter()
            .find(|(_, count)| *count >= total * quantile)
            .map_or(f64::INFINITY, |(bound, _)| *bound)
    }
}

impl std::fmt::Display for Lag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |quantile| self.quantile(quantile) * 1_000.0;
        write!(
            f,
            "p50 <= {:.0} ms, p99 <= {:.0} ms, max <= {:.0} ms (buckets of /metrics)",
            ms(0.5),
            ms(0.99),
            ms(1.0)
        )
    }
}
