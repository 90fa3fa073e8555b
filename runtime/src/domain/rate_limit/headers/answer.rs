//! One answer of a service, as far as limits are read from it.

use super::bounds::MAX_VALUE_BYTES;
use super::values::whole;
use crate::domain::UnixMillis;

/// One answer of a service.
#[derive(Debug, Clone, Copy)]
pub struct LimitAnswer<'a> {
    /// Host that was asked, with its port if the URL names one.
    pub host: &'a str,
    pub status: u16,
    /// Names are in lower case.
    pub headers: &'a [(String, String)],
    /// Read only where the rules of a vendor say so.
    pub body: Option<&'a [u8]>,
    pub now_ms: UnixMillis,
}

impl<'a> LimitAnswer<'a> {
    pub(super) fn values<'b>(
        &'b self,
        name: &'b str,
    ) -> impl Iterator<Item = &'a str> + use<'a, 'b> {
        self.headers
            .iter()
            .filter(move |(header, value)| header == name && value.len() <= MAX_VALUE_BYTES)
            .map(|(_, value)| value.trim())
    }

    /// A body that came from a cache: its figures were true once.
    pub(super) fn is_cached(&self) -> bool {
        self.values("age")
            .any(|age| whole(age).is_some_and(|seconds| seconds > 0))
    }
}
