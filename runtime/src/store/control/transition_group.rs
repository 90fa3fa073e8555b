//! Transitions that are to be committed at the same time share one transaction, and so one wait for
//! the disk.
//!
//! Each caller puts its transition into a queue. One of them leads: it gets the writer, commits
//! what is queued by then, and gives each its own answer; the others wait for theirs, or lead next.
//! Only one leader at a time is in line for the writer, so that attempts and people's changes have
//! their share of it. The queue is as long as there are callers: the alert engine's lanes, and
//! requests, of which each has a bound of its own.

use std::sync::Arc;

use sqlx::error::ErrorKind;
use tokio::sync::oneshot;

use super::transition::apply;
use super::transition_queue::{Done, Job};
use super::{ControlError, ControlStore, Result, Transition};

/// Transitions in one transaction: as many as the alert engine has lanes, and some milliseconds for
/// the writer.
const MOST_TOGETHER: usize = 64;

impl ControlStore {
    /// Commits a transition; it is on the disk when this returns. `Conflict` when the alert is no
    /// longer in the state that the event starts from, `Exists` when the rule has an open alert
    /// already; those are the transition's own. What the store itself can't do fails for all that
    /// share the transaction, and nothing of it was done, unless only the last answer of the disk
    /// is missing.
    pub async fn transition_commit(&self, transition: Transition) -> Result<Done> {
        #[cfg(test)]
        self.hooks.before_commit()?;
        let done = self
            .with_ballast(|| self.try_transition(transition.clone()))
            .await;
        #[cfg(test)]
        if done.is_ok() {
            self.hooks.after_commit()?;
        }
        done
    }

    async fn try_transition(&self, transition: Transition) -> Result<Done> {
        let (answer, mut answered) = oneshot::channel();
        self.transitions.push(Job { transition, answer });
        loop {
            let lead = tokio::select! {
                biased;
                answer = &mut answered => return answer.unwrap_or(Err(ControlError::Interrupted)),
                lead = self.transitions.lead.lock() => lead,
            };
            self.commit_together().await;
            drop(lead);
        }
    }

    async fn commit_together(&self) {
        let mut tx = match self.begin_write().await {
            Ok(tx) => tx,
            Err(error) => return fail(self.transitions.take(usize::MAX), error),
        };
        let jobs = self.transitions.take(MOST_TOGETHER);
        let mut answers = Vec::with_capacity(jobs.len());
        let mut left = jobs.into_iter();
        let mut broken = None;
        for Job { transition, answer } in left.by_ref() {
            match apply_alone(&mut tx, transition).await {
                Ok(done) => answers.push((answer, done)),
                Err(error) if is_its_own(&error) => _ = answer.send(Err(error)),
                Err(error) => {
                    broken = Some((answer, error));
                    break;
                }
            }
        }
        let committed = match broken {
            None => tx.commit().await,
            Some((answer, error)) => {
                drop(tx);
                let error = Arc::new(error);
                let _ = answer.send(Err(ControlError::Shared(Arc::clone(&error))));
                Err(ControlError::Shared(error))
            }
        };
        match committed {
            Ok(()) => {
                for (answer, done) in answers {
                    let _ = answer.send(Ok(done));
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                let senders = answers
                    .into_iter()
                    .map(|(answer, _)| answer)
                    .chain(left.map(|job| job.answer));
                for answer in senders {
                    let _ = answer.send(Err(ControlError::Shared(Arc::clone(&error))));
                }
            }
        }
    }
}

/// Applies one transition. Its changes are undone when it fails, those of the others are kept.
async fn apply_alone(tx: &mut sqlx::SqliteConnection, transition: Transition) -> Result<Done> {
    sqlx::query("SAVEPOINT transition")
        .execute(&mut *tx)
        .await?;
    let applied = apply(tx, transition).await;
    if applied.is_err() {
        sqlx::query("ROLLBACK TO transition")
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query("RELEASE transition").execute(tx).await?;
    applied
}

/// The transition is at fault, not the store.
fn is_its_own(error: &ControlError) -> bool {
    match error {
        ControlError::Database { source, .. } => match source {
            sqlx::Error::Database(error) => !matches!(error.kind(), ErrorKind::Other),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_) => {
                true
            }
            _ => false,
        },
        _ => true,
    }
}

fn fail(jobs: Vec<Job>, error: ControlError) {
    let error = Arc::new(error);
    for job in jobs {
        let _ = job
            .answer
            .send(Err(ControlError::Shared(Arc::clone(&error))));
    }
}

#[cfg(test)]
mod tests;
