//! Headers of vendors, and the limits that are read from them.

use proptest::prelude::*;

use super::bounds::{MAX_PAST_MS, MAX_RESET_MS, NAME};
use super::*;
use crate::domain::MAX_RATE_LIMITS;

/// 2026-01-01T00:00:00Z
const NOW_MS: i64 = 1_767_225_600_000;

/// Each as `name limit/remaining reset window`, in seconds from now; `-` where nothing is
/// known.
fn read(status: u16, headers: &[(&str, &str)]) -> Vec<String> {
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let shown = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
    read_rate_limits("api.example.com", status, &headers, NOW_MS)
        .into_iter()
        .map(|limit| {
            let reset = limit.reset_ms.map_or("-".to_owned(), |ms| {
                format!("{}", (ms - NOW_MS) as f64 / 1_000.0)
            });
            let window = shown(limit.window_ms.map(|ms| ms / 1_000));
            format!(
                "{} {}/{} {reset} {window}",
                limit.name,
                shown(limit.quota),
                shown(limit.remaining)
            )
        })
        .collect()
}

#[test]
fn every_spelling_is_read() {
    type Case = (
        &'static str,
        u16,
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
    );
    let cases: [Case; 24] = [
        (
            "structured fields",
            200,
            &[
                (
                    "ratelimit-policy",
                    r#""burst";q=100;w=60, "daily";q=1000;w=86400"#,
                ),
                ("ratelimit", r#""burst";r=20;t=30,"daily";r=900;t=40000"#),
            ],
            &["burst 100/20 30 60", "daily 1000/900 40000 86400"],
        ),
        (
            "a name with a comma",
            200,
            &[("ratelimit", r#""a,b;c";r=1"#)],
            &["a,b;c -/1 - -"],
        ),
        (
            "draft 07",
            200,
            &[
                ("ratelimit-policy", "100;w=60"),
                ("ratelimit", "limit=100, remaining=50, reset=5"),
            ],
            &["default 100/50 5 60"],
        ),
        (
            "the first drafts",
            200,
            &[
                ("ratelimit-limit", "10, 10;w=1, 50;w=60"),
                ("ratelimit-remaining", "9"),
                ("ratelimit-reset", "1"),
            ],
            &["default 10/9 1 1"],
        ),
        (
            "GitHub: seconds since 1970, and a name",
            200,
            &[
                ("x-ratelimit-limit", "5000"),
                ("x-ratelimit-remaining", "4987"),
                ("x-ratelimit-reset", "1767229200"),
                ("x-ratelimit-used", "13"),
                ("x-ratelimit-resource", "core"),
            ],
            &["core 5000/4987 3600 -"],
        ),
        (
            "milliseconds since 1970",
            200,
            &[
                ("x-ratelimit-remaining", "3"),
                ("x-ratelimit-reset", "1767225660000"),
            ],
            &["default -/3 60 -"],
        ),
        (
            "seconds from now",
            200,
            &[
                ("x-rate-limit-limit", "600"),
                ("x-rate-limit-remaining", "599"),
                ("x-rate-limit-reset", "17"),
            ],
            &["default 600/599 17 -"],
        ),
        (
            "Discord: both, with fractions",
            200,
            &[
                ("x-ratelimit-limit", "5"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1767225700.123"),
                ("x-ratelimit-reset-after", "64.57"),
                ("x-ratelimit-bucket", "80c17d"),
            ],
            &["80c17d 5/0 64.57 -"],
        ),
        (
            "several, by duration",
            200,
            &[
                ("x-ratelimit-limit-requests", "60"),
                ("x-ratelimit-limit-tokens", "150000"),
                ("x-ratelimit-remaining-requests", "59"),
                ("x-ratelimit-remaining-tokens", "149984"),
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ],
            &["requests 60/59 1 -", "tokens 150000/149984 360 -"],
        ),
        (
            "several, by date",
            200,
            &[
                ("anthropic-ratelimit-input-tokens-limit", "4000"),
                ("anthropic-ratelimit-input-tokens-remaining", "3999"),
                (
                    "anthropic-ratelimit-input-tokens-reset",
                    "2026-01-01T00:00:30Z",
                ),
            ],
            &["input-tokens 4000/3999 30 -"],
        ),
        (
            "used of how many",
            200,
            &[("x-shopify-shop-api-call-limit", "32/40")],
            &["shop-api-call 40/8 - -"],
        ),
        (
            "a refusal",
            429,
            &[("retry-after", "120")],
            &["default -/0 120 -"],
        ),
        ("a refusal without a moment", 429, &[], &["default -/0 - -"]),
        (
            "a refusal by date",
            503,
            &[("retry-after", "Thu, 01 Jan 2026 00:01:00 GMT")],
            &["default -/0 60 -"],
        ),
        ("out of order", 503, &[], &[]),
        (
            "a refusal with a limit beside it",
            429,
            &[("x-ratelimit-limit", "9"), ("retry-after", "4")],
            &["default 9/0 4 -"],
        ),
        (
            "an answer that is none",
            200,
            &[("retry-after", "120")],
            &[],
        ),
        (
            "which of two ran out is not said",
            429,
            &[
                ("x-ratelimit-remaining-a", "1"),
                ("x-ratelimit-remaining-b", "2"),
                ("retry-after", "3"),
            ],
            &["a -/1 - -", "b -/2 - -", "retry-after -/0 3 -"],
        ),
        (
            "20 ms",
            200,
            &[
                ("x-ratelimit-remaining", "1"),
                ("x-ratelimit-reset", "20ms"),
            ],
            &["default -/1 0.02 -"],
        ),
        (
            "no reset far away",
            200,
            &[
                ("x-ratelimit-remaining", "1"),
                ("x-ratelimit-reset", "9e14"),
            ],
            &["default -/1 - -"],
        ),
        (
            "a fraction",
            200,
            &[("x-ratelimit-remaining", "49.0")],
            &["default -/49 - -"],
        ),
        ("a reset alone", 200, &[("x-ratelimit-reset", "60")], &[]),
        (
            "rubbish",
            200,
            &[
                ("x-ratelimit-remaining", "plenty"),
                ("ratelimit", ";;=,"),
                ("ratelimit-policy", "\""),
            ],
            &[],
        ),
        ("nothing", 200, &[("content-type", "text/plain")], &[]),
    ];
    for (name, status, headers, wanted) in cases {
        assert_eq!(read(status, headers), wanted, "{name}");
    }
}

#[test]
fn names_and_numbers_of_limits_are_bounded() {
    let headers: Vec<(String, String)> = (0..100)
        .map(|n| {
            (
                format!("x-ratelimit-remaining-{n}{}", "x".repeat(200)),
                "1".to_owned(),
            )
        })
        .collect();
    let found = read_rate_limits("a", 200, &headers, NOW_MS);
    assert_eq!(found.len(), MAX_RATE_LIMITS);
    assert!(found.iter().all(|limit| limit.name.len() <= NAME));
}

#[test]
fn the_last_reading_of_a_run_counts() {
    let of = |remaining: &str| {
        read_rate_limits(
            "a",
            200,
            &[("x-ratelimit-remaining".to_owned(), remaining.to_owned())],
            NOW_MS,
        )
    };
    let mut kept = of("5");
    super::super::keep_latest(&mut kept, of("4"));
    assert_eq!(kept, of("4"));
}

proptest! {
    #[test]
    fn nothing_a_service_sends_breaks_the_reader(name in "(ratelimit|ratelimit-policy|x-ratelimit-reset|retry-after)", value in "\\PC{0,60}") {
        for limit in read_rate_limits("a", 429, &[(name, value)], NOW_MS) {
            if let Some(reset_ms) = limit.reset_ms {
                prop_assert!((reset_ms - NOW_MS).abs() <= MAX_RESET_MS);
            }
        }
    }

    #[test]
    fn every_figure_is_within_its_bounds_whatever_stands_beside_it(
        status in prop::sample::select(vec![200u16, 402, 403, 418, 429, 503]),
        headers in prop::collection::vec((
            "(x-ratelimit|x-rate-limit|ratelimit|anthropic-ratelimit)-(limit|remaining|used|reset|reset-after|interval|fillrate|name)(-[a-c])?|ratelimit(-policy)?|retry-after|gw-ratelimit-(limit|remaining|reset)|x-business-use-case-usage|sforce-limit-info|x-app-usage",
            "-?[0-9]{1,20}(\\.[0-9]{1,3})?|\"[a-c]\";[qrtw]=-?[0-9]{1,17};pk=:YQ==:|[0-9]{1,3}(,[0-9]{3}){1,2}|[0-9]{1,5}(ms|s|m|h)|a=[0-9]{1,5}/[0-9]{1,5}|\\{\"call_count\":[0-9]{1,5}\\}|\\PC{0,20}",
        ), 0..30),
    ) {
        let limits = read_rate_limits("api.example.com", status, &headers, NOW_MS);
        prop_assert!(limits.len() <= MAX_RATE_LIMITS);
        for limit in &limits {
            prop_assert!(limit.name.chars().count() <= NAME);
            prop_assert!(!limit.name.chars().any(char::is_control));
            prop_assert!(limit.window_ms.is_none_or(|window_ms| window_ms > 0));
            if let (Some(quota), Some(remaining)) = (limit.quota, limit.remaining) {
                prop_assert!(remaining <= quota, "{limit:?}");
            }
            if let Some(reset_ms) = limit.reset_ms {
                let ahead_ms = reset_ms - NOW_MS;
                prop_assert!((-MAX_PAST_MS..=MAX_RESET_MS).contains(&ahead_ms), "{limit:?}");
            }
            let same = limits.iter().filter(|other| other.is_same_limit(limit)).count();
            prop_assert_eq!(same, 1);
        }
        prop_assert_eq!(limits, read_rate_limits("api.example.com", status, &headers, NOW_MS));
    }
}
