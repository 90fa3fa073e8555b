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
        Self::while_it_lives(pid).expect("the process lives")
    }

    /// Nothing of a process that has ended.
    pub(crate) fn while_it_lives(pid: u32) -> Option<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let mib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
            Some(kib / 1_024.0)
        };
        Some(Self {
            cpu_seconds: cpu_seconds(pid, OWN)?,
            rss_mib: mib("VmRSS:")?,
            peak_mib: mib("VmHWM:")?,
        })
    }
}

/// Fields of `/proc/PID/stat` behind the name: utime and stime, which are 14 and 15 of the whole.
const OWN: [usize; 2] = [11, 12];

/// Sum of such fields, in seconds.
pub(crate) fn cpu_seconds(pid: u32, fields: [usize; 2]) -> Option<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces.
    let behind_name: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let mut ticks = 0.0;
    for field in fields {
        ticks += behind_name.get(field)?.parse::<f64>().ok()?;
    }
    Some(ticks / TICKS_PER_SECOND)
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
