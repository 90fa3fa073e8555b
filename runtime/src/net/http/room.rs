//! Room for a body: whoever keeps account of memory is asked before a body grows, as it arrives and
//! as its coding is taken off.

use std::fmt;
use std::sync::Arc;

use crate::net::failure::NetError;

type Reserve = dyn Fn(usize) -> Result<(), NetError> + Send + Sync;

/// Room for the body of one answer; without limit by default.
#[derive(Clone, Default)]
pub struct BodyRoom(Option<Arc<Reserve>>);

impl BodyRoom {
    /// `reserve` gets the bytes that there are to be in all; its error ends the request.
    pub fn new(reserve: impl Fn(usize) -> Result<(), NetError> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(reserve)))
    }

    pub(crate) fn reserve(&self, total: usize) -> Result<(), NetError> {
        self.0.as_ref().map_or(Ok(()), |reserve| reserve(total))
    }
}

impl fmt::Debug for BodyRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BodyRoom").field(&self.0.is_some()).finish()
    }
}
