//! Compiles what people wrote about a plugin into its policy, and back.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use crate::domain::duration::format_duration;
use crate::domain::fault::{Fault, FaultReport, child, list, suggest};
use crate::domain::size::format_size;
use crate::domain::{Budget, BudgetChanges, BudgetKey, Capability, Grants, PluginPolicy};
use crate::net::HostRule;
use crate::spec::Schema;
use crate::spec::{BudgetSpec, DurationSpec, GrantsSpec, PluginSpec, PolicySpec, SizeSpec};

/// More is a mistake; every call of the plugin looks through them.
const MAX_ENTRIES: usize = 200;
const MAX_PLUGINS: usize = 1_000;

/// Names with their policies, of the plugins on whose policy the file has a word. `at` is where the
/// mapping stands.
pub fn plugin_policies(
    specs: &BTreeMap<String, PluginSpec>,
    at: &str,
    report: &mut FaultReport,
) -> BTreeMap<String, PluginPolicy> {
    if specs.len() > MAX_PLUGINS {
        report.fault(at, format!("must have at most {MAX_PLUGINS} entries"));
    }
    let mut policies = BTreeMap::new();
    for (name, spec) in specs.iter().take(MAX_PLUGINS) {
        let place = child(at, name);
        if !is_plugin_name(name) {
            let message =
                "is not a plugin name: lower case letters, digits, `-` and `_`, at most 64";
            report.add(Fault::at_key(&place, message));
        }
        if let Some(policy) = spec.policy() {
            policies.insert(name.clone(), plugin_policy(&policy, &place, report));
        }
    }
    policies
}

/// Reads a policy of the API; pointers of the faults go into the value.
pub fn plugin_policy_read(value: &Value) -> Result<(PolicySpec, PluginPolicy), Vec<Fault>> {
    let mut report = FaultReport::default();
    Schema::of::<PolicySpec>().check(value, "", &[], &mut report);
    if !report.faults.is_empty() {
        return Err(report.faults);
    }
    let spec: PolicySpec = serde_json::from_value(value.clone())
        .map_err(|error| vec![Fault::new("", error.to_string())])?;
    let policy = plugin_policy(&spec, "", &mut report);
    if report.faults.is_empty() {
        Ok((spec, policy))
    } else {
        Err(report.faults)
    }
}

/// Only good while the report has no faults.
fn plugin_policy(spec: &PolicySpec, at: &str, report: &mut FaultReport) -> PluginPolicy {
    PluginPolicy {
        grants: grants(&spec.grants, &child(at, "grants"), report),
        budget: budget(&spec.budget, &child(at, "budget"), report),
    }
}

fn grants(spec: &GrantsSpec, at: &str, report: &mut FaultReport) -> Grants {
    hosts_check(&spec.hosts, &child(at, "hosts"), report);
    for (key, names) in [
        ("credentials", &spec.credentials),
        ("methods", &spec.methods),
    ] {
        let names_at = child(at, key);
        bound(names.as_deref().unwrap_or_default(), &names_at, report);
        for (index, name) in names.iter().flatten().enumerate().take(MAX_ENTRIES) {
            if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
                report.fault(child(&names_at, index), "must be one word");
            }
        }
    }
    mail_check(&spec.mail, &child(at, "mail"), report);
    let upper = |methods: &Vec<String>| methods.iter().map(|name| name.to_uppercase()).collect();
    Grants {
        hosts: spec.hosts.clone(),
        credentials: spec.credentials.clone(),
        methods: spec.methods.as_ref().map(upper),
        mail: spec.mail.clone(),
        capabilities: spec
            .capabilities
            .as_ref()
            .map(|names| capabilities(names, &child(at, "capabilities"), report)),
    }
}

fn hosts_check(hosts: &[String], at: &str, report: &mut FaultReport) {
    bound(hosts, at, report);
    for (index, host) in hosts.iter().enumerate().take(MAX_ENTRIES) {
        if let Err(error) = HostRule::pattern(host) {
            report.fault(child(at, index), error.to_string());
        } else if host == "*" {
            report.warn(
                child(at, index),
                "allows every host there is that the plugin asks for",
            );
        }
    }
}

fn mail_check(names: &[String], at: &str, report: &mut FaultReport) {
    bound(names, at, report);
    let is_wrong = |c: char| c.is_whitespace() || c.is_control() || "<>,;".contains(c);
    for (index, name) in names.iter().enumerate().take(MAX_ENTRIES) {
        if name.is_empty() || name.contains(is_wrong) {
            report.fault(
                child(at, index),
                "must be a domain, an address such as `ops@example.com`, or `*`",
            );
        } else if name == "*" {
            report.warn(
                child(at, index),
                "allows the plugin to write mail to anybody",
            );
        }
    }
}

fn capabilities(names: &[String], at: &str, report: &mut FaultReport) -> Vec<Capability> {
    bound(names, at, report);
    let mut known = Vec::new();
    for (index, name) in names.iter().enumerate().take(MAX_ENTRIES) {
        match Capability::parse(name) {
            Some(capability) => known.push(capability),
            None => report.fault(child(at, index), unknown_capability(name)),
        }
    }
    known
}

fn unknown_capability(name: &str) -> String {
    const FREE: [&str; 8] = [
        "cel",
        "clock",
        "history",
        "host",
        "log",
        "random",
        "secrets",
        "signatures",
    ];
    let known = || Capability::ALL.into_iter().map(Capability::as_str);
    if FREE.contains(&name) {
        format!(
            "`{name}` reaches nothing outside and is always there; grants are for {}",
            list(known())
        )
    } else {
        format!("there is no capability `{name}`{}", suggest(name, known()))
    }
}

fn bound(entries: &[String], at: &str, report: &mut FaultReport) {
    if entries.len() > MAX_ENTRIES {
        report.fault(at, format!("must have at most {MAX_ENTRIES} entries"));
    }
}

fn budget(spec: &BudgetSpec, at: &str, report: &mut FaultReport) -> BudgetChanges {
    let seconds = Duration::from_secs;
    let mut reader = BudgetReader { at, report };
    BudgetChanges {
        wall_clock: reader.duration(BudgetKey::WallClock, spec.wall_clock.as_ref(), seconds(600)),
        cpu: reader.duration(BudgetKey::Cpu, spec.cpu.as_ref(), seconds(60)),
        memory_bytes: reader.size(
            BudgetKey::Memory,
            spec.memory.as_ref(),
            64 << 10..=Budget::MAX_MEMORY_BYTES,
        ),
        host_calls: reader.count(BudgetKey::HostCalls, spec.host_calls, 0..=1_000_000),
        bytes_out: reader.size(BudgetKey::BytesOut, spec.bytes_out.as_ref(), 0..=1 << 30),
        bytes_in: reader.size(BudgetKey::BytesIn, spec.bytes_in.as_ref(), 0..=1 << 30),
        log_bytes: reader.size(BudgetKey::LogBytes, spec.log_bytes.as_ref(), 0..=16 << 20),
        concurrency: reader.count(
            BudgetKey::Concurrency,
            spec.concurrency,
            1..=u64::from(Budget::MAX_CONCURRENCY),
        ),
    }
}

struct BudgetReader<'a> {
    at: &'a str,
    report: &'a mut FaultReport,
}

impl BudgetReader<'_> {
    fn fault(&mut self, key: BudgetKey, message: String) {
        self.report.fault(child(self.at, key.as_str()), message);
    }

    fn duration(
        &mut self,
        key: BudgetKey,
        spec: Option<&DurationSpec>,
        most: Duration,
    ) -> Option<Duration> {
        let least = Duration::from_millis(1);
        match spec?.resolve(1) {
            Ok(duration) if (least..=most).contains(&duration) => return Some(duration),
            Ok(_) => self.fault(
                key,
                format!("must be between 1ms and {}", format_duration(most)),
            ),
            Err(message) => self.fault(key, message),
        }
        None
    }

    fn size(
        &mut self,
        key: BudgetKey,
        spec: Option<&SizeSpec>,
        allowed: RangeInclusive<u64>,
    ) -> Option<u64> {
        match spec?.resolve() {
            Ok(bytes) if allowed.contains(&bytes) => return Some(bytes),
            Ok(_) => {
                let (least, most) = (format_size(*allowed.start()), format_size(*allowed.end()));
                self.fault(key, format!("must be between {least} and {most}"));
            }
            Err(message) => self.fault(key, message),
        }
        None
    }

    fn count(
        &mut self,
        key: BudgetKey,
        spec: Option<u64>,
        allowed: RangeInclusive<u64>,
    ) -> Option<u32> {
        let count = spec?;
        if !allowed.contains(&count) {
            self.fault(
                key,
                format!("must be between {} and {}", allowed.start(), allowed.end()),
            );
        }
        u32::try_from(count).ok()
    }
}

/// The rule of the plugin host's loader.
fn is_plugin_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
}

impl From<&PluginPolicy> for PolicySpec {
    fn from(policy: &PluginPolicy) -> Self {
        let PluginPolicy { grants, budget } = policy;
        let duration = |duration: Option<Duration>| {
            duration.map(|duration| DurationSpec::Text(format_duration(duration)))
        };
        let size = |bytes: Option<u64>| bytes.map(|bytes| SizeSpec::Text(format_size(bytes)));
        let names = |capabilities: &Vec<Capability>| {
            capabilities
                .iter()
                .map(|one| one.as_str().to_owned())
                .collect()
        };
        Self {
            grants: GrantsSpec {
                hosts: grants.hosts.clone(),
                credentials: grants.credentials.clone(),
                methods: grants.methods.clone(),
                mail: grants.mail.clone(),
                capabilities: grants.capabilities.as_ref().map(names),
            },
            budget: BudgetSpec {
                wall_clock: duration(budget.wall_clock),
                cpu: duration(budget.cpu),
                memory: size(budget.memory_bytes),
                host_calls: budget.host_calls.map(u64::from),
                bytes_out: size(budget.bytes_out),
                bytes_in: size(budget.bytes_in),
                log_bytes: size(budget.log_bytes),
                concurrency: budget.concurrency.map(u64::from),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_read_reads_the_same_again() {
        let value = json!({
            "grants": {"hosts": ["a.example", "*.b.example:8443"], "credentials": [], "methods": ["get"], "capabilities": ["http"]},
            "budget": {"wallClock": "10s", "cpu": 500, "memory": "32MiB", "hostCalls": 1000, "bytesOut": "1MiB",
                       "bytesIn": 1000, "logBytes": 0, "concurrency": 16},
        });
        let (_, policy) = plugin_policy_read(&value).unwrap();
        assert_eq!(policy.grants.methods, Some(vec!["GET".to_owned()]));
        assert_eq!(policy.grants.credentials, Some(Vec::new()));
        assert_eq!(
            (policy.budget.cpu, policy.budget.bytes_in),
            (Some(Duration::from_millis(500)), Some(1000))
        );
        let again = serde_json::to_value(PolicySpec::from(&policy)).unwrap();
        assert_eq!(plugin_policy_read(&again).unwrap().1, policy);
        assert_eq!(
            plugin_policy_read(&json!({})).unwrap().1,
            PluginPolicy::default()
        );
    }

    #[test]
    fn each_fault_is_reported_in_its_place() {
        for (value, wanted) in [
            (
                json!({"grants": {"host": []}}),
                "/grants/host: is not a known key; did you mean `hosts`?",
            ),
            (
                json!({"grants": {"hosts": ["https://a.example"]}}),
                "/grants/hosts/0: `https://a.example` is not `host` or `host:port`",
            ),
            (
                json!({"grants": {"hosts": ["a.*.example"]}}),
                "/grants/hosts/0: `a.*.example` has a `*` in the middle; it can only stand first, as in `*.example.org`",
            ),
            (
                json!({"grants": {"methods": ["GET /"]}}),
                "/grants/methods/0: must be one word",
            ),
            (
                json!({"grants": {"capabilities": ["log"]}}),
                "/grants/capabilities/0: `log` reaches nothing outside and is always there; grants are for `http`, `stream`, \
                 `udp`, `icmp`, `dns`, `mail`, `programs`",
            ),
            (
                json!({"grants": {"capabilities": ["htp"]}}),
                "/grants/capabilities/0: there is no capability `htp`; did you mean `http`?",
            ),
            (
                json!({"budget": {"memory": "1GiB"}}),
                "/budget/memory: must be between 64KiB and 256MiB",
            ),
            (
                json!({"budget": {"cpu": "0s"}}),
                "/budget/cpu: must be between 1ms and 1m",
            ),
            (
                json!({"budget": {"concurrency": 0}}),
                "/budget/concurrency: must be between 1 and 2500",
            ),
            (
                json!({"budget": {"hostCalls": -1}}),
                "/budget/hostCalls: must be at least 0",
            ),
            (
                json!({"budget": {"bytesIn": 1.5}}),
                "/budget/bytesIn: `1.5` is not a size; it has to be a whole number of bytes",
            ),
        ] {
            let faults = plugin_policy_read(&value).unwrap_err();
            let texts: Vec<String> = faults
                .iter()
                .map(|fault| format!("{}: {}", fault.pointer, fault.message))
                .collect();
            assert_eq!(texts, [wanted], "{value}");
        }
    }
}
