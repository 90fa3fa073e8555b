//! How far a statement is, as the database estimates it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const UNKNOWN: u8 = u8::MAX;

/// Percent of a statement that are done, for those who watch it. Clones are of the same statement.
#[derive(Debug, Clone)]
pub struct QueryProgress(Arc<AtomicU8>);

impl Default for QueryProgress {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(UNKNOWN)))
    }
}

impl QueryProgress {
    /// Returns 0 to 100; none as long as the database has no estimate.
    pub fn percent(&self) -> Option<u8> {
        Some(self.0.load(Ordering::Relaxed)).filter(|percent| *percent != UNKNOWN)
    }

    fn set(&self, percent: u8) {
        self.0.store(percent.min(100), Ordering::Relaxed);
    }
}

/// Reader of the bar that the database draws, such as `\r 45% ▕███▏ (~12 seconds remaining)`: each
/// number before a percent sign counts. The crate has no access to the handle of a connection, which
/// `duckdb_query_progress` would need.
pub(super) struct Bar {
    progress: QueryProgress,
    number: Option<u32>,
}

impl Bar {
    pub(super) fn new(progress: QueryProgress) -> Self {
        Self {
            progress,
            number: None,
        }
    }

    /// Takes the next byte of the bar; false: it can't be of one.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        match byte {
            b'0'..=b'9' => {
                let number = self.number.unwrap_or(0).saturating_mul(10);
                self.number = Some(number.saturating_add(u32::from(byte - b'0')));
                return true;
            }
            b'%' => {
                if let Some(percent) = self.number {
                    self.progress.set(u8::try_from(percent).unwrap_or(100));
                }
            }
            // Texts are UTF-8.
            b'\r' | b'\n' | b' '..=b'~' | 0x80.. => {}
            _ => return false,
        }
        self.number = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_percentage_of_a_bar_counts() {
        let progress = QueryProgress::default();
        let mut bar = Bar::new(progress.clone());
        assert_eq!(progress.percent(), None);
        let mut draw = |text: &str| text.bytes().all(|byte| bar.take(byte));
        assert!(draw("\r  7% ▕██▏ (~12 seconds remaining)   "));
        assert_eq!(progress.percent(), Some(7));
        assert!(draw("\r 45% ▕████"));
        assert_eq!(progress.percent(), Some(45));
        assert!(draw("\r100% ▕████▏ (00:00:03.10 elapsed)\n"));
        assert_eq!(progress.percent(), Some(100));
        assert!(draw(" % 99999999999999% "));
        assert_eq!(progress.percent(), Some(100));
        assert!(!draw("\t"));
    }
}
