//! The HTTP statuses that conditions leave, as ranges.

use serde_json::{Value, json};

const FIRST: u16 = 100;
const LAST: u16 = 999;

/// Statuses that are accepted.
pub(super) struct Statuses(Vec<bool>);

impl Default for Statuses {
    fn default() -> Self {
        Self((FIRST..=LAST).map(|_| true).collect())
    }
}

impl Statuses {
    /// Keeps those that fit.
    pub(super) fn keep(&mut self, fits: impl Fn(u16) -> bool) {
        for (status, is_kept) in (FIRST..=LAST).zip(&mut self.0) {
            *is_kept = *is_kept && fits(status);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }

    /// Returns what is left in the form of `expectedStatus`.
    pub(super) fn written(&self) -> Value {
        let mut ranges = Vec::new();
        let mut start = None;
        let kept = self.0.iter().copied().chain([false]);
        for (status, is_kept) in (FIRST..).zip(kept) {
            match start {
                None if is_kept => start = Some(status),
                Some(first) if !is_kept => {
                    ranges.push(range(first, status - 1));
                    start = None;
                }
                _ => {}
            }
        }
        match ranges.len() {
            1 => ranges.remove(0),
            _ => Value::Array(ranges),
        }
    }
}

fn range(first: u16, last: u16) -> Value {
    if first == last {
        json!(first)
    } else if first.is_multiple_of(100) && last == first + 99 {
        json!(format!("{}xx", first / 100))
    } else {
        json!(format!("{first}-{last}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_written_as_ranges() {
        let left = |fits: &dyn Fn(u16) -> bool| {
            let mut statuses = Statuses::default();
            statuses.keep(fits);
            statuses.written()
        };
        assert_eq!(left(&|status| status == 200), json!(200));
        assert_eq!(left(&|status| status / 100 == 2), json!("2xx"));
        assert_eq!(left(&|status| status < 300), json!("100-299"));
        assert_eq!(
            left(&|status| [200, 429].contains(&status)),
            json!([200, 429])
        );
        assert_eq!(left(&|status| status != 500), json!(["100-499", "501-999"]));
        let mut none = Statuses::default();
        none.keep(|_| false);
        assert!(none.is_empty());
    }
}
