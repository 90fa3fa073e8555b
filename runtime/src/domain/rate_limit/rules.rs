//! Rules by which limits are read, as data: which header holds which figure of which limit, in
//! which unit. The table of vendors is `runtime/vendors/rate-limits.json`; a service may have rules
//! of its own.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name of the document of a rule that stands for the body.
pub(super) const BODY: &str = "body";

static BUILT_IN: LazyLock<Vec<VendorRules>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../vendors/rate-limits.json"))
        .expect("a test reads the table")
});

/// How one vendor states its limits, and how it is recognised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VendorRules {
    /// Name that services refer to, e.g. `kucoin`.
    pub vendor: String,
    /// Page that documents it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
    /// Headers that only this vendor sends, in lower case: an answer that has all of them is read
    /// by these rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// Hosts whose answers are read by these rules, e.g. `api.example.com` or `*.example.com`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    pub rules: RateLimitRules,
}

/// How limits are read beside the common names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitRules {
    /// Reads answers as those of this vendor of the table, e.g. `kucoin`. Default: by the names of
    /// the headers, then by the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// How the reset under a common name is meant. Default: by its size and form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<MomentForm>,
    /// HTTP statuses by which it refuses, beside 429.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<u16>,
    /// Answers whose body makes them refusals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_bodies: Vec<RefusedBody>,
    /// Header of a refusal that names the limit, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal_name: Option<String>,
    /// Limits with headers of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitRule>,
    /// Quotas by name of the limit, for services that do not say them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quotas: BTreeMap<String, u64>,
}

/// An answer whose JSON makes it a refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefusedBody {
    pub status: u16,
    /// JSON pointer, e.g. `/code`.
    pub path: String,
    pub equals: Value,
}

/// Where the figures of one limit stand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitRule {
    /// Name of the limit. `*` stands for what the `*` in names of headers stands for; `/…` is a
    /// JSON pointer into the document.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<FigureSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<FigureSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<FigureSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<FigureSource>,
    /// Length of the window, in seconds if not said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<FigureSource>,
    /// Units that come back in a second, of a limit that fills up continuously.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refill: Option<FigureSource>,
    /// Unit that is counted, e.g. `tokens`. Default: requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Header that lists `name=used/quota`, or has one `used/quota`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Header whose value is JSON, or `body`: paths of figures begin there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Where several limits stand in the document: a JSON pointer in which `*` is any key, e.g.
    /// `/*/*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
}

/// A figure: a number that is known, the name of a header, or more about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FigureSource {
    Number(u64),
    Header(String),
    Parts(SourceParts),
}

/// Place and form of a figure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceParts {
    /// Name of the header, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Position among the values of the header, which commas separate; the first one is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// JSON pointers into the document; of several the largest counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Form of a moment or a length of time.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub form: Option<MomentForm>,
    /// True: zero means that nothing is said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zero_is_unknown: bool,
}

/// How a number is meant as a moment or a length of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MomentForm {
    /// By its size and form.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Seconds from now.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds from now.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Minutes from now.
    #[serde(rename = "min")]
    Minutes,
    /// Seconds since 1970.
    #[serde(rename = "epoch")]
    Epoch,
    /// Milliseconds since 1970.
    #[serde(rename = "epochMs")]
    EpochMillis,
    /// `hh:mm:ss` from now.
    #[serde(rename = "clock")]
    Clock,
}

/// Returns the table of vendors.
pub fn built_in_rules() -> &'static [VendorRules] {
    &BUILT_IN
}

/// Returns the rules of a vendor by its name.
pub fn rules_of_vendor(name: &str) -> Option<&'static VendorRules> {
    BUILT_IN.iter().find(|rules| rules.vendor == name)
}

/// Returns the rules for an answer: those that are asked for, else by the names of its headers,
/// else by its host.
pub(super) fn vendor_of(
    asked: Option<&str>,
    host: &str,
    headers: &[(String, String)],
) -> Option<&'static VendorRules> {
    if let Some(asked) = asked {
        return rules_of_vendor(asked);
    }
    let has = |name: &String| headers.iter().any(|(header, _)| header == name);
    let by_headers = BUILT_IN
        .iter()
        .find(|rules| !rules.headers.is_empty() && rules.headers.iter().all(has));
    by_headers.or_else(|| {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        BUILT_IN
            .iter()
            .find(|rules| rules.hosts.iter().any(|pattern| is_host(pattern, name)))
    })
}

fn is_host(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(end) => name.ends_with(end),
        None => pattern == name,
    }
}

impl LimitRule {
    /// Returns where its figures stand.
    pub fn sources(&self) -> impl Iterator<Item = &FigureSource> {
        [
            &self.quota,
            &self.remaining,
            &self.used,
            &self.reset,
            &self.window,
            &self.refill,
        ]
        .into_iter()
        .flatten()
    }
}

impl FigureSource {
    /// Returns the header it stands in, if any.
    pub fn header(&self) -> Option<&str> {
        match self {
            FigureSource::Number(_) => None,
            FigureSource::Header(header) => Some(header),
            FigureSource::Parts(parts) => parts.header.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_read_whole_and_its_names_are_as_answers_are_compared_with() {
        let mut names = BTreeSet::new();
        for rules in built_in_rules() {
            assert!(names.insert(&rules.vendor), "{} stands twice", rules.vendor);
            assert!(
                !rules.headers.is_empty() || !rules.hosts.is_empty(),
                "{}: nothing chooses it",
                rules.vendor
            );
            let headers = rules.headers.iter().map(String::as_str);
            let figures = rules
                .rules
                .limits
                .iter()
                .flat_map(LimitRule::sources)
                .filter_map(FigureSource::header);
            for header in headers.chain(figures) {
                assert_eq!(header, header.to_ascii_lowercase(), "{}", rules.vendor);
                assert!(header.matches('*').count() <= 1, "{header}");
            }
            for host in &rules.hosts {
                let name = host.strip_prefix("*.").unwrap_or(host);
                assert!(!name.contains(['*', '/', ':']), "{host}");
            }
            if let Some(docs) = &rules.docs {
                assert!(docs.starts_with("https://"), "{docs}");
            }
        }
    }

    #[test]
    fn the_table_satisfies_its_schema() {
        let schema = serde_json::to_value(schemars::schema_for!(Vec<VendorRules>)).unwrap();
        let table: Value =
            serde_json::from_str(include_str!("../../../vendors/rate-limits.json")).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&table)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn a_vendor_is_recognised_by_its_headers_before_its_host() {
        let headers = |name: &str| vec![(name.to_owned(), "1".to_owned())];
        let found = |asked, host: &str, header: &str| {
            vendor_of(asked, host, &headers(header)).map(|rules| rules.vendor.as_str())
        };
        assert_eq!(
            found(None, "proxy.example", "gw-ratelimit-reset"),
            Some("kucoin")
        );
        assert_eq!(found(None, "app.skuvault.com:443", "x-a"), Some("skuvault"));
        assert_eq!(found(None, "evilskuvault.com", "x-a"), None);
        assert_eq!(found(Some("etsy"), "app.skuvault.com", "x-a"), Some("etsy"));
        assert_eq!(found(Some("nowhere"), "app.skuvault.com", "x-a"), None);
    }
}
