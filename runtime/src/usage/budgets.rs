//! [`BudgetBook`]: what the calls of each budget cost, in memory. Each batch of calls is counted as it
//! is made; what was stored before is read once, beside the batches that are made meanwhile, so that
//! each call counts once. Nothing that asks for figures waits for the database: until what was stored
//! is read, there are none, and why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::budget_usage::usage_of;
use crate::domain::cost::{
    BudgetAccount, BudgetStanding, CostBudget, Spent, budget_subject, day_number,
};
use crate::domain::{CallBatch, Catalog, UnixMillis, UsageReader, UsageToDate, now_ms};
use crate::store::{ResultStore, UsageAndBatches, UsageQuestion, UsageSum};

/// Time between two looks for budgets that are not read yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest time until a budget is read again that could not be: it is twice as long each time.
const RETRY_AT_MOST: Duration = Duration::from_secs(600);
/// Batches that are made while the database is read; past it reading begins anew.
const MAX_BATCHES: usize = 600;
/// The last batches before a start, in milliseconds: the clock may have been set a little.
const BEFORE_START_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// The accounts of all budgets; cheap to clone.
#[derive(Clone)]
pub struct BudgetBook(Arc<Inner>);

struct Inner {
    catalog: watch::Receiver<Arc<Catalog>>,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// Version of the catalog that they are from.
    version: u64,
    by_slug: BTreeMap<String, Book>,
    /// Batches that are not known to be durable, by number: one of each writer.
    open: BTreeMap<i64, Arc<CallBatch>>,
    last_seq: i64,
}

struct Book {
    account: BudgetAccount,
    stage: Stage,
    /// Failures in a row, and until when nothing is asked after the last one.
    failures: u32,
    waits_until: Option<Instant>,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("results are not committed at the moment")]
    NotSettled,
    #[error("{0}")]
    Failed(String),
}

enum Stage {
    /// What was stored is not in the account, for this reason.
    Unread(String),
    /// Batches that the answer may hold or not, by number.
    Reading(BTreeMap<i64, BudgetAccount>),
    Whole,
}

/// What is to be read for a budget.
struct Request {
    slug: String,
    account: BudgetAccount,
    /// Batches from this number on may be in the answer or not.
    since_seq: i64,
    now_ms: UnixMillis,
}

impl Default for BudgetBook {
    fn default() -> Self {
        Self::new(watch::channel(Arc::default()).1)
    }
}

impl BudgetBook {
    pub fn new(catalog: watch::Receiver<Arc<Catalog>>) -> Self {
        Self(Arc::new(Inner {
            catalog,
            books: Mutex::default(),
        }))
    }

    /// Returns all budgets with their figures, by name.
    pub fn standings(&self, now_ms: UnixMillis) -> Vec<BudgetStanding> {
        let books = self.books();
        books
            .by_slug
            .values()
            .map(|it| it.standing(now_ms))
            .collect()
    }

    /// Returns the function by which rules see budgets: that of a subject, or those that calls of
    /// a service count for.
    pub fn reader(&self) -> UsageReader {
        let book = self.clone();
        Arc::new(move |subject, now_ms| book.usage(subject, now_ms))
    }

    fn usage(&self, subject: &str, now_ms: UnixMillis) -> Vec<UsageToDate> {
        let books = self.books();
        let is_asked = |(slug, book): &(&String, &Book)| {
            budget_subject(slug) == subject
                || !subject.contains(':') && book.account.covers(subject)
        };
        let asked = books.by_slug.iter().filter(is_asked);
        asked
            .map(|(_, book)| usage_of(&book.standing(now_ms)))
            .collect()
    }

    /// Counts a batch that was just made.
    pub(super) fn note(&self, batch: &Arc<CallBatch>) {
        let mut books = self.books();
        books.last_seq = books.last_seq.max(batch.seq);
        books.open.insert(batch.seq, Arc::clone(batch));
        for book in books.by_slug.values_mut() {
            book.note(batch);
        }
    }

    /// Notes that a batch is durable.
    pub(super) fn settled(&self, seq: i64) {
        self.books().open.remove(&seq);
    }

    /// Reads what was stored, for each budget once, until the stop.
    pub async fn run(self, results: ResultStore, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.read(&results) => {}
            }
        }
    }

    /// Reads for all budgets for which that was not done.
    pub(super) async fn read(&self, results: &ResultStore) {
        let now_ms = now_ms();
        for request in self.requests(now_ms) {
            // What is durable and not committed is found by no reader; what is made from now on is
            // in the book.
            let answer = if results.is_settled() {
                ask(results, &request).await
            } else {
                Err(Unanswered::NotSettled)
            };
            self.take(&request, answer);
        }
        for book in self.books().by_slug.values_mut() {
            book.account.forget_before(now_ms);
        }
    }

    /// Begins to note batches apart, and returns what is to be read.
    fn requests(&self, now_ms: UnixMillis) -> Vec<Request> {
        let mut books = self.books();
        let Books {
            by_slug,
            open,
            last_seq,
            ..
        } = &mut *books;
        let newest = match last_seq {
            0 => (now_ms - BEFORE_START_MS).saturating_mul(1_000),
            seq => *seq,
        };
        let since_seq = open.keys().next().copied().unwrap_or(newest);
        let now = Instant::now();
        let unread = by_slug.iter_mut().filter(|(_, book)| {
            let is_due = book.waits_until.is_none_or(|until| until <= now);
            is_due && matches!(book.stage, Stage::Unread(_))
        });
        let requests = unread.map(|(slug, book)| {
            let batches = open.iter().map(|(seq, batch)| (*seq, book.of_batch(batch)));
            book.stage = Stage::Reading(batches.collect());
            Request {
                slug: slug.clone(),
                account: book.account.emptied(),
                since_seq,
                now_ms,
            }
        });
        requests.collect()
    }

    /// Takes what was read, with the batches that it does not hold.
    fn take(&self, request: &Request, answer: Result<UsageAndBatches, Unanswered>) {
        let mut books = self.books();
        let Some(book) = books.by_slug.get_mut(&request.slug) else {
            return;
        };
        // It may have changed meanwhile, and is read anew.
        if !book.account.counts_as(&request.account) {
            return;
        }
        let Stage::Reading(batches) = &mut book.stage else {
            return;
        };
        let batches = std::mem::take(batches);
        let read = answer.and_then(|answer| {
            let stored = sum_up(request, &answer).map_err(Unanswered::Failed)?;
            Ok((stored, answer.batches))
        });
        match read {
            Ok((stored, held)) => {
                book.account = book.account.emptied();
                book.account.add_all(&stored);
                for (_, noted) in batches.iter().filter(|(seq, _)| !held.contains(seq)) {
                    book.account.add_all(noted);
                }
                book.stage = Stage::Whole;
                (book.failures, book.waits_until) = (0, None);
            }
            Err(reason) => {
                tracing::debug!(budget = %request.slug, %reason, "a budget has no figures yet");
                book.stage = Stage::Unread(reason.to_string());
                if let Unanswered::Failed(_) = reason {
                    book.back_off();
                }
            }
        }
    }

    /// Returns the accounts as the present catalog has them.
    fn books(&self) -> MutexGuard<'_, Books> {
        let mut books = self.0.books.lock().unwrap_or_else(PoisonError::into_inner);
        let catalog = self.0.catalog.borrow();
        if catalog.version != books.version {
            books.follow(&catalog);
        }
        drop(catalog);
        books
    }
}

impl Books {
    /// Takes over changed budgets: what counts the same calls as before keeps what it has.
    fn follow(&mut self, catalog: &Catalog) {
        self.version = catalog.version;
        let mut before = std::mem::take(&mut self.by_slug);
        for (slug, budget) in &catalog.budgets {
            let book = Book::new(budget, catalog, before.remove(slug));
            self.by_slug.insert(slug.clone(), book);
        }
    }
}

impl Book {
    fn new(budget: &Arc<CostBudget>, catalog: &Catalog, before: Option<Self>) -> Self {
        let mut account = BudgetAccount::new(Arc::clone(budget), catalog);
        match before {
            Some(before) if before.account.counts_as(&account) => {
                account.take_over(before.account);
                Self {
                    account,
                    stage: before.stage,
                    failures: before.failures,
                    waits_until: before.waits_until,
                }
            }
            _ => Self {
                account,
                stage: Stage::Unread("what was stored is being read".to_owned()),
                failures: 0,
                waits_until: None,
            },
        }
    }

    fn back_off(&mut self) {
        let longer = 2_u32.saturating_pow(self.failures);
        let wait = LOOK_EVERY.saturating_mul(longer).min(RETRY_AT_MOST);
        self.failures = self.failures.saturating_add(1);
        self.waits_until = Some(Instant::now() + wait);
    }

    fn note(&mut self, batch: &CallBatch) {
        let noted = matches!(self.stage, Stage::Reading(_)).then(|| self.of_batch(batch));
        match &mut self.stage {
            Stage::Unread(_) => {}
            Stage::Whole => batch.totals.iter().for_each(|it| self.account.count(it)),
            Stage::Reading(batches) if batches.len() >= MAX_BATCHES => {
                let reason = "what was stored could not be read in time".to_owned();
                self.stage = Stage::Unread(reason);
            }
            Stage::Reading(batches) => batches.extend(noted.map(|noted| (batch.seq, noted))),
        }
    }

    fn of_batch(&self, batch: &CallBatch) -> BudgetAccount {
        let mut account = self.account.emptied();
        batch.totals.iter().for_each(|total| account.count(total));
        account
    }

    fn standing(&self, now_ms: UnixMillis) -> BudgetStanding {
        let figures = match &self.stage {
            Stage::Whole => self.account.figures(now_ms).map_err(|it| it.to_string()),
            Stage::Unread(reason) => Err(reason.clone()),
            Stage::Reading(_) => Err("what was stored is being read".to_owned()),
        };
        BudgetStanding {
            budget: Arc::clone(self.account.budget()),
            figures,
        }
    }
}

/// Asks for the days of the present period and for those before it, each by its own days: clocks may
/// have been changed at the beginning of the period.
async fn ask(results: &ResultStore, request: &Request) -> Result<UsageAndBatches, Unanswered> {
    let (account, now_ms) = (&request.account, request.now_ms);
    let range = account.range(now_ms);
    let (from_ms, span) = range.map_err(|error| Unanswered::Failed(error.to_string()))?;
    let scope = &account.budget().scope;
    let question = |from_ms, until_ms| UsageQuestion {
        from_ms,
        until_ms,
        service: account.only_service().map(str::to_owned),
        by_consumer: !scope.consumers.is_empty(),
        by_route: !scope.routes.is_empty(),
        by_day: true,
        offset_ms: account.cycle().offset_ms(now_ms),
    };
    let questions = vec![
        question(from_ms, span.from_ms),
        question(span.from_ms, now_ms.saturating_add(2 * DAY_MS)),
    ];
    let asked = results.usage_sums_and_batches(questions, request.since_seq);
    asked
        .await
        .map_err(|error| Unanswered::Failed(error.to_string()))
}

/// Puts the sums of both questions into an account.
fn sum_up(request: &Request, answer: &UsageAndBatches) -> Result<BudgetAccount, String> {
    let mut account = request.account.emptied();
    let (_, span) = account.range(request.now_ms).map_err(|it| it.to_string())?;
    let first = day_number(span.first_day);
    let currency = account.budget().currency.clone();
    for (index, sums) in answer.sums.iter().enumerate() {
        for sum in sums {
            let Some(day) = sum.key.day else { continue };
            let day = if index == 0 {
                day.min(first - 1)
            } else {
                day.max(first)
            };
            let consumer = sum.key.consumer.as_deref();
            let route = sum.key.route.as_deref().unwrap_or_default();
            if account.covers(&sum.key.service) && account.budget().scope.fits(consumer, route) {
                let spent = spent(sum, currency.code());
                account.add(day, &sum.key.service, spent);
            }
        }
    }
    Ok(account)
}

fn spent(sum: &UsageSum, currency: &str) -> Spent {
    let calls = sum.all.calls.unsigned_abs();
    if sum.currency.as_deref() == Some(currency) {
        Spent {
            cost: sum.all.cost,
            priced: calls,
            unpriced: 0,
        }
    } else {
        Spent {
            unpriced: calls,
            ..Spent::default()
        }
    }
}

#[cfg(test)]
mod tests;
