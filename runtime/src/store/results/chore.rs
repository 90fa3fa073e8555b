//! Work of the committer that brings no rows: short, in a transaction of its own, between two
//! batches, and only while commits go well.

use duckdb::Connection;

type Work = Box<dyn FnOnce(&mut Connection) -> duckdb::Result<()> + Send>;

/// One piece of such work. It is tried once; a failure is for the one who asked for it.
pub(super) struct Chore {
    /// Words for errors: what could not be done to the results store.
    pub(super) doing: &'static str,
    work: Work,
}

impl Chore {
    pub(super) fn new(
        doing: &'static str,
        work: impl FnOnce(&mut Connection) -> duckdb::Result<()> + Send + 'static,
    ) -> Self {
        Self {
            doing,
            work: Box::new(work),
        }
    }

    pub(super) fn run(self, connection: &mut Connection) -> duckdb::Result<()> {
        (self.work)(connection)
    }
}
