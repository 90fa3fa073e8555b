//! Answers of real services and hostile ones, with what they mean: `tests/fixtures/rate-limits.json`.

use serde::Deserialize;

use super::*;

/// Seconds; what is rounded nowhere.
const TOLERANCE_S: f64 = 0.002;

#[derive(Deserialize)]
struct Case {
    id: String,
    #[serde(default)]
    host: Option<String>,
    status: u16,
    now: i64,
    headers: Vec<(String, String)>,
    body: Option<String>,
    /// None: only the bounds hold.
    expect: Option<Vec<Expected>>,
    expect_body: Option<Vec<Expected>>,
    #[serde(default)]
    extra_allowed: Vec<String>,
    #[serde(default)]
    accept_reset: Vec<Option<f64>>,
    #[serde(default)]
    accept_quota: Vec<Option<u64>>,
    max_limits: Option<usize>,
    max_name_chars: Option<usize>,
    /// Reset as it is read where nothing shows who answered.
    generic_reset_s: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct Expected {
    name: String,
    quota: Option<u64>,
    remaining: Option<u64>,
    reset_s_from_now: Option<f64>,
    window_s: Option<u64>,
    used: Option<u64>,
    unit: Option<String>,
    tolerance_s: Option<f64>,
    #[serde(default)]
    accept_names: Vec<String>,
    #[serde(default)]
    accept_quota: Vec<Option<u64>>,
    #[serde(default)]
    accept_remaining: Vec<Option<u64>>,
}

fn cases() -> Vec<Case> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/rate-limits.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

impl Case {
    fn read(&self, host: &str, with_body: bool) -> Vec<RateLimit> {
        // As our client hands them over.
        let headers: Vec<(String, String)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        let answer = LimitAnswer {
            host,
            status: self.status,
            headers: &headers,
            body: self
                .body
                .as_deref()
                .map(str::as_bytes)
                .filter(|_| with_body),
            now_ms: self.now * 1_000,
        };
        read_rate_limits_by(&RateLimitRules::default(), &answer)
    }

    fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("api.example.com")
    }

    fn compare(&self, expected: &[Expected], found: &[RateLimit]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut rest: Vec<&RateLimit> = found.iter().collect();
        for wanted in expected {
            let is_named = |limit: &&RateLimit| {
                limit.name == wanted.name || wanted.accept_names.contains(&limit.name)
            };
            match rest.iter().position(is_named) {
                Some(position) => {
                    let limit = rest.remove(position);
                    wrong.extend(self.differences(wanted, limit));
                }
                None => wrong.push(format!("no limit `{}`", wanted.name)),
            }
        }
        for more in rest {
            if !self.extra_allowed.contains(&more.name) {
                wrong.push(format!("invented: {more:?}"));
            }
        }
        wrong
    }

    fn differences(&self, wanted: &Expected, limit: &RateLimit) -> Vec<String> {
        let mut wrong = Vec::new();
        let is_quota = limit.quota == wanted.quota
            || wanted.accept_quota.contains(&limit.quota)
            || self.accept_quota.contains(&limit.quota);
        if !is_quota {
            wrong.push(format!("quota {:?}, not {:?}", limit.quota, wanted.quota));
        }
        let is_left = limit.remaining == wanted.remaining
            || wanted.accept_remaining.contains(&limit.remaining);
        if !is_left {
            wrong.push(format!(
                "left {:?}, not {:?}",
                limit.remaining, wanted.remaining
            ));
        }
        let reset_s = limit
            .reset_ms
            .map(|ms| (ms - self.now * 1_000) as f64 / 1_000.0);
        let is_near = |one: Option<f64>| match (one, reset_s) {
            (Some(one), Some(read)) => {
                (one - read).abs() <= wanted.tolerance_s.unwrap_or(TOLERANCE_S)
            }
            (None, None) => true,
            _ => false,
        };
        let is_reset =
            is_near(wanted.reset_s_from_now) || self.accept_reset.iter().any(|one| is_near(*one));
        if !is_reset {
            wrong.push(format!(
                "reset {reset_s:?}, not {:?}",
                wanted.reset_s_from_now
            ));
        }
        if let Some(window_s) = wanted.window_s
            && limit.window_ms.is_some_and(|ms| ms != window_s * 1_000)
        {
            wrong.push(format!("window {:?}, not {window_s} s", limit.window_ms));
        }
        if wanted.used.is_some() && limit.used.is_some() && limit.used != wanted.used {
            wrong.push(format!("used {:?}, not {:?}", limit.used, wanted.used));
        }
        if wanted.unit.is_some() && limit.unit.is_some() && limit.unit != wanted.unit {
            wrong.push(format!("unit {:?}, not {:?}", limit.unit, wanted.unit));
        }
        wrong
    }
}

#[test]
fn every_answer_is_read_as_it_is_meant() {
    let cases = cases();
    assert_eq!(cases.len(), 81);
    let mut wrong = Vec::new();
    for case in &cases {
        let found = case.read(case.host(), false);
        if let Some(expected) = &case.expect {
            let differences = case.compare(expected, &found);
            wrong.extend(
                differences
                    .iter()
                    .map(|text| format!("{}: {text}", case.id)),
            );
        }
        if let Some(expected) = &case.expect_body {
            let differences = case.compare(expected, &case.read(case.host(), true));
            wrong.extend(
                differences
                    .iter()
                    .map(|text| format!("{}, body: {text}", case.id)),
            );
        }
        if case.max_limits.is_some_and(|most| found.len() > most) {
            wrong.push(format!("{}: {} limits", case.id, found.len()));
        }
        let longest = found.iter().map(|limit| limit.name.chars().count()).max();
        if case.max_name_chars.is_some_and(|most| longest > Some(most)) {
            wrong.push(format!("{}: a name of {longest:?} characters", case.id));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rules that are chosen by the host alone do not hold for another one.
#[test]
fn without_its_host_an_answer_is_read_by_the_common_names() {
    for case in cases() {
        let Some(reset_s) = case.generic_reset_s else {
            continue;
        };
        let found = case.read("proxy.example.com", false);
        let read = found[0].reset_ms.unwrap() - case.now * 1_000;
        assert_eq!(read as f64 / 1_000.0, reset_s, "{}", case.id);
    }
}

#[test]
fn no_figure_is_out_of_bounds_whatever_the_answer() {
    for case in cases() {
        for limit in case.read(case.host(), true) {
            if let (Some(quota), Some(remaining)) = (limit.quota, limit.remaining) {
                assert!(remaining <= quota, "{}: {limit:?}", case.id);
            }
            assert!(!limit.name.chars().any(char::is_control), "{}", case.id);
        }
    }
}
