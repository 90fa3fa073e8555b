//! Reading that ends when nobody waits for it any more: a query whose caller gave up would keep its
//! reader, and the cores, from those that come after it.

use std::time::Duration;

use duckdb::Connection;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::ResultError;
use super::database::{Interrupt, Reader};

/// An interrupt that falls between two steps of a query is lost, so it is repeated.
const INTERRUPT_EVERY: Duration = Duration::from_millis(50);

type Outcome<T> = Result<T, ResultError>;

/// Runs `work` where blocking is allowed. Dropped before it is done, it interrupts the reader until
/// that notices.
pub(super) async fn interruptible<T: Send + 'static>(
    reader: Reader,
    work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    let interrupt = reader.interrupt();
    let (answered, answer) = oneshot::channel();
    let work = tokio::task::spawn_blocking(move || work(&reader.connection));
    // A task of its own, because the caller may be gone; it ends with the query.
    tokio::spawn(supervise(work, interrupt, answered));
    answer.await.map_err(|_| ResultError::Reader)?
}

async fn supervise<T>(
    mut work: JoinHandle<Outcome<T>>,
    interrupt: Interrupt,
    mut answered: oneshot::Sender<Outcome<T>>,
) {
    tokio::select! {
        outcome = &mut work => {
            let _ = answered.send(outcome.unwrap_or(Err(ResultError::Reader)));
            return;
        }
        () = answered.closed() => {}
    }
    loop {
        interrupt.interrupt();
        if timeout(INTERRUPT_EVERY, &mut work).await.is_ok() {
            return;
        }
    }
}
