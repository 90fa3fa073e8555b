//! Bounds of what is read of one answer.

/// Characters of a name that are kept.
pub(super) const NAME: usize = 64;

/// A reset further away than this is no reset; also keeps the arithmetic in bounds.
pub(super) const MAX_RESET_MS: i64 = 400 * 86_400_000;

/// A reset longer ago than this is no reset: clocks differ by less.
pub(super) const MAX_PAST_MS: i64 = 86_400_000;

/// Values beyond it are not read: the longest that is known is a hundredth of it.
pub(super) const MAX_VALUE_BYTES: usize = 16 << 10;

/// Bodies beyond it are not read.
pub(super) const MAX_BODY_BYTES: usize = 256 << 10;
