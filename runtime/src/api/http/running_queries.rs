//! Queries that run, by their ids, so that the one who asked can end them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::RngCore;
use tokio_util::sync::CancellationToken;

use crate::domain::UnixMillis;
use crate::store::QueryProgress;

/// Characters of a statement that are shown.
const SHOWN: usize = 1_000;
/// Queries that run or wait; requests in progress are bounded below that, answers by the store.
const MAX_RUNNING: usize = 1_000;

/// The queries that run or wait.
#[derive(Clone, Default)]
pub(crate) struct RunningQueries(Arc<Mutex<HashMap<String, Running>>>);

#[derive(Clone)]
pub(crate) struct Running {
    /// The statement, or its beginning.
    pub(crate) query: String,
    /// Name of the token that asked.
    pub(crate) owner: String,
    pub(crate) started_ms: UnixMillis,
    /// Rows that were handed out so far.
    pub(crate) rows: Arc<AtomicU64>,
    pub(crate) progress: QueryProgress,
    pub(crate) cancel: CancellationToken,
}

/// A query's place in the list; it leaves the list when this is dropped.
pub(crate) struct Registration {
    queries: RunningQueries,
    pub(crate) id: String,
    pub(crate) cancel: CancellationToken,
    /// Progress, shown by the query.
    pub(crate) progress: QueryProgress,
    rows: Arc<AtomicU64>,
}

/// Reason why a query can't run under its id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RegistrationError {
    IdTaken,
    TooMany,
}

impl RunningQueries {
    /// Adds a query, under an id of our own unless the caller chose one.
    pub(crate) fn register(
        &self,
        id: Option<String>,
        owner: &str,
        query: &str,
        started_ms: UnixMillis,
        cancel: CancellationToken,
    ) -> Result<Registration, RegistrationError> {
        let id = id.unwrap_or_else(new_id);
        let rows = Arc::new(AtomicU64::new(0));
        let progress = QueryProgress::default();
        let mut queries = self.lock();
        if queries.len() >= MAX_RUNNING {
            return Err(RegistrationError::TooMany);
        }
        if queries.contains_key(&id) {
            return Err(RegistrationError::IdTaken);
        }
        let running = Running {
            query: query.chars().take(SHOWN).collect(),
            owner: owner.to_owned(),
            started_ms,
            rows: Arc::clone(&rows),
            progress: progress.clone(),
            cancel: cancel.clone(),
        };
        queries.insert(id.clone(), running);
        Ok(Registration {
            queries: self.clone(),
            id,
            cancel,
            progress,
            rows,
        })
    }

    pub(crate) fn get(&self, id: &str) -> Option<Running> {
        self.lock().get(id).cloned()
    }

    /// Returns those that run, the oldest first.
    pub(crate) fn list(&self) -> Vec<(String, Running)> {
        let queries = self.lock();
        let mut list: Vec<_> = queries
            .iter()
            .map(|(id, running)| (id.clone(), running.clone()))
            .collect();
        drop(queries);
        list.sort_by(|a, b| (a.1.started_ms, &a.0).cmp(&(b.1.started_ms, &b.0)));
        list
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    pub(crate) fn add_rows(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.queries.lock().remove(&self.id);
    }
}

fn new_id() -> String {
    let mut id = [0; 12];
    rand::rng().fill_bytes(&mut id);
    hex::encode(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_while_its_query_runs() {
        let queries = RunningQueries::default();
        let register = |id: &str| {
            let id = Some(id.to_owned());
            queries.register(id, "ci", "SELECT 1", 0, CancellationToken::new())
        };
        let first = register("a").ok().unwrap();
        first.add_rows(3);
        assert_eq!(register("a").err(), Some(RegistrationError::IdTaken));
        assert_eq!(queries.get("a").unwrap().rows.load(Ordering::Relaxed), 3);
        drop(first);
        assert!(queries.get("a").is_none());
        assert!(register("a").is_ok());
    }
}
