//! Faults of the store, for tests of those who live from it.

use super::{ControlStore, Result};

impl ControlStore {
    /// From now on no transition of an alert can be committed, or all can again.
    pub(crate) async fn refuse_transitions(&self, refuse: bool) -> Result<()> {
        let sql = if refuse {
            "CREATE TRIGGER refuse_transitions BEFORE INSERT ON alert_events
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        } else {
            "DROP TRIGGER refuse_transitions"
        };
        sqlx::query(sql).execute(&self.writer).await?;
        Ok(())
    }
}
