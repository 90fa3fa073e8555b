//! The report of a benchmark: for people as text, for programs as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::units::{bar, bytes, micros};
use super::{Answers, Histogram, UsedByAll};
use crate::cli::print::{cell, line, table};
use crate::domain::{Budget, BudgetKey};
use crate::plugin_host::PluginEntry;

/// Characters of the longest bar.
const BAR: usize = 40;

pub(super) struct Report<'a> {
    pub(super) entry: &'a PluginEntry,
    pub(super) call: &'a Call,
    pub(super) latency: &'a Histogram,
    pub(super) answers: &'a Answers,
    pub(super) used: &'a UsedByAll,
    pub(super) elapsed: Duration,
    pub(super) concurrency: u16,
}

/// Use of one line of the budget by the worst run.
struct Share {
    key: BudgetKey,
    used: u64,
    of: u64,
    show: fn(u64) -> String,
}

impl Share {
    fn percent(&self) -> f64 {
        self.used as f64 * 100.0 / self.of.max(1) as f64
    }
}

impl Report<'_> {
    fn per_second(&self) -> f64 {
        self.latency.total() as f64 / self.elapsed.as_secs_f64()
    }

    fn shares(&self) -> Vec<Share> {
        let budget = Budget::default();
        let worst = &self.used.worst;
        let wall_clock = budget.wall_clock.or(self.call.timeout());
        let mut shares = Vec::new();
        let mut push = |key, used, of, show: fn(u64) -> String| {
            shares.push(Share {
                key,
                used,
                of,
                show,
            })
        };
        if let Some(wall_clock) = wall_clock {
            push(
                BudgetKey::WallClock,
                worst.duration_us,
                wall_clock.as_micros() as u64,
                micros,
            );
        }
        push(
            BudgetKey::Cpu,
            self.used.cpu_us.max(),
            budget.cpu.as_micros() as u64,
            micros,
        );
        push(
            BudgetKey::Memory,
            worst.memory_bytes,
            budget.memory_bytes,
            bytes,
        );
        push(
            BudgetKey::HostCalls,
            worst.host_calls,
            budget.host_calls.into(),
            |count| count.to_string(),
        );
        push(
            BudgetKey::BytesOut,
            worst.bytes_out,
            budget.bytes_out,
            bytes,
        );
        push(BudgetKey::BytesIn, worst.bytes_in, budget.bytes_in, bytes);
        push(
            BudgetKey::LogBytes,
            worst.log_bytes,
            budget.log_bytes,
            bytes,
        );
        shares
    }

    pub(super) fn json(&self) -> Value {
        let distribution = |histogram: &Histogram| {
            json!({
                "p50": histogram.quantile(0.5),
                "p90": histogram.quantile(0.9),
                "p99": histogram.quantile(0.99),
                "max": histogram.max(),
            })
        };
        let budget: serde_json::Map<String, Value> = self
            .shares()
            .iter()
            .map(|share| {
                (
                    share.key.as_str().to_owned(),
                    json!({ "worst": share.used, "of": share.of, "percent": share.percent() }),
                )
            })
            .collect();
        json!({
            "plugin": { "name": self.entry.name, "kind": self.entry.kind, "version": self.entry.version, "digest": self.entry.digest },
            "seconds": self.elapsed.as_secs_f64(),
            "concurrency": self.concurrency,
            "calls": self.latency.total(),
            "callsPerSecond": self.per_second(),
            "answers": self.answers.iter().map(|answered| {
                json!({ "answer": answered.name, "calls": answered.calls, "first": answered.message })
            }).collect::<Vec<_>>(),
            "brokenRuns": self.used.broken_runs,
            "latencyUs": distribution(self.latency),
            "cpuUs": distribution(&self.used.cpu_us),
            "memoryBytes": self.used.worst.memory_bytes,
            "budget": budget,
        })
    }

    pub(super) fn print(&self) {
        line(&format!(
            "{} {} {}",
            self.entry.kind.as_str(),
            self.entry.name,
            self.entry.version
        ));
        line(&format!(
            "{} calls in {:.1} s, {} at a time: {:.0} calls a second",
            self.latency.total(),
            self.elapsed.as_secs_f64(),
            self.concurrency,
            self.per_second()
        ));
        line("");
        let answers: Vec<Vec<String>> = self
            .answers
            .iter()
            .map(|answered| {
                let message = cell(&answered.message);
                vec![answered.name.clone(), answered.calls.to_string(), message]
            })
            .collect();
        table(&["ANSWER", "CALLS", "THE FIRST ONE"], &answers);
        line("");
        let row = |name: &str, histogram: &Histogram| {
            let mut cells = vec![name.to_owned()];
            cells.extend([0.5, 0.9, 0.99].map(|quantile| micros(histogram.quantile(quantile))));
            cells.push(micros(histogram.max()));
            cells
        };
        table(
            &["", "P50", "P90", "P99", "MAX"],
            &[row("latency", self.latency), row("cpu", &self.used.cpu_us)],
        );
        line("");
        self.print_latency();
        line("");
        self.print_budget();
    }

    fn print_latency(&self) {
        let octaves = self.latency.octaves();
        let most = octaves.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let rows: Vec<Vec<String>> = octaves
            .iter()
            .map(|(limit, count)| {
                vec![
                    format!("< {}", micros(*limit)),
                    count.to_string(),
                    bar(*count, most, BAR),
                ]
            })
            .collect();
        table(&["LATENCY", "CALLS", ""], &rows);
    }

    fn print_budget(&self) {
        let rows: Vec<Vec<String>> = self
            .shares()
            .iter()
            .map(|share| {
                let percent = format!("{:.2} %", share.percent());
                vec![
                    share.key.as_str().to_owned(),
                    (share.show)(share.used),
                    (share.show)(share.of),
                    percent,
                ]
            })
            .collect();
        table(&["BUDGET", "WORST RUN", "OF", ""], &rows);
    }
}
