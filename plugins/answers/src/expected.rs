//! The statuses that are right.

use std::fmt;

use extrack_plugin::json::Value;
use extrack_plugin::settings::{Faults, Place, Setting};

/// One or several ranges; any will do.
#[derive(Debug, PartialEq, Eq)]
pub struct ExpectedStatus(Vec<Range>);

/// Both ends included. Three digits are a status, in a class of the standard or not: a large site
/// answers strangers with 999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    low: u16,
    high: u16,
}

impl ExpectedStatus {
    pub fn accepts(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|range| (range.low..=range.high).contains(&status))
    }

    /// True if a redirect is asked for, and does not only lie within a wide range.
    pub fn accepts_a_redirect(&self) -> bool {
        let redirects = |range: &Range| range.low >= 300 && range.low <= 308 && range.high <= 399;
        self.0.iter().any(redirects)
    }
}

impl Range {
    fn parse(value: &Value) -> Option<Self> {
        let in_bounds = |status: u16| (100..=999).contains(&status).then_some(status);
        if let Some(number) = value.as_u64() {
            let status = in_bounds(u16::try_from(number).ok()?)?;
            return Some(Self {
                low: status,
                high: status,
            });
        }
        let text = value.as_str()?;
        if let Some(class) = text.strip_suffix("xx") {
            let class: u16 = class.parse().ok().filter(|class| (1..=9).contains(class))?;
            return Some(Self {
                low: class * 100,
                high: class * 100 + 99,
            });
        }
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let (low, high) = (
            in_bounds(low.parse().ok()?)?,
            in_bounds(high.parse().ok()?)?,
        );
        (low <= high).then_some(Self { low, high })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.low, self.high) {
            (low, high) if low == high => write!(f, "{low}"),
            (low, high) if low % 100 == 0 && high == low + 99 => write!(f, "{}xx", low / 100),
            (low, high) => write!(f, "{low}-{high}"),
        }
    }
}

impl fmt::Display for ExpectedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges: Vec<String> = self.0.iter().map(Range::to_string).collect();
        f.write_str(&ranges.join(" or "))
    }
}

/// Schema of one range.
macro_rules! range_schema {
    () => {
        r#"{"type":"integer","minimum":100,"maximum":999},{"type":"string","pattern":"^([1-9]xx|[1-9][0-9]{2}(-[1-9][0-9]{2})?)$"}"#
    };
}

impl Setting for ExpectedStatus {
    fn schema() -> String {
        concat!(
            r#"{"anyOf":["#,
            range_schema!(),
            r#",{"type":"array","minItems":1,"items":{"anyOf":["#,
            range_schema!(),
            "]}}]}"
        )
        .to_owned()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        let wanted = "a status such as 200, `2xx` or `200-399`";
        let Some(items) = value.as_array() else {
            return faults
                .expect(Range::parse(value), value, place, wanted)
                .map(|range| Self(vec![range]));
        };
        if items.is_empty() {
            faults.add(place, "is empty, wanted at least one status");
        }
        let ranges: Vec<Option<Range>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                faults.expect(Range::parse(item), item, &place.item(index), wanted)
            })
            .collect();
        ranges.into_iter().collect::<Option<Vec<Range>>>().map(Self)
    }
}
