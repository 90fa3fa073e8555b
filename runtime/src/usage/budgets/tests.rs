//! Budgets over a real store.

use rust_decimal::Decimal;
use tempfile::TempDir;

use super::*;
use crate::domain::cost::{BudgetPeriod, BudgetScope, Currency};
use crate::domain::{
    CacheUse, Call, CallCost, CallEnd, CallPath, CallPhases, CallPricing, CallSource, CallUnits,
};
use crate::store::{ResultSettings, SpoolSettings};
use crate::usage::{UsageParts, build};

/// Each call costs a euro.
fn pricing() -> CallPricing {
    Arc::new(|_| {
        Some(CallCost {
            min: Decimal::ONE,
            max: Decimal::TWO,
            currency: "EUR".into(),
        })
    })
}

fn budget(slug: &str, amount: i64, scope: BudgetScope) -> (String, Arc<CostBudget>) {
    let budget = CostBudget {
        slug: slug.to_owned(),
        name: slug.to_uppercase(),
        amount: Decimal::from(amount),
        currency: Currency::parse("EUR").unwrap(),
        per: BudgetPeriod::Month,
        scope,
        alert_at: Vec::new(),
        alerts_on_forecast: false,
    };
    (slug.to_owned(), Arc::new(budget))
}

fn catalog(version: u64, budgets: Vec<(String, Arc<CostBudget>)>) -> Arc<Catalog> {
    Arc::new(Catalog {
        version,
        budgets: budgets.into_iter().collect(),
        ..Catalog::default()
    })
}

fn of_consumer(name: &str) -> BudgetScope {
    BudgetScope {
        consumers: vec![name.to_owned()],
        ..BudgetScope::default()
    }
}

fn call(id: &str, consumer: &str) -> Call {
    Call {
        id: id.to_owned(),
        ts_ms: now_ms(),
        service: "shop".into(),
        consumer: Some(consumer.into()),
        credential: None,
        method: "GET".to_owned(),
        path: CallPath::Route("/things".to_owned()),
        status: Some(200),
        latency: None,
        phases: CallPhases::default(),
        bytes_in: 0,
        bytes_out: 0,
        units: CallUnits::default(),
        tags: BTreeMap::new(),
        attempts: 1,
        cache: CacheUse::None,
        source: CallSource::Api,
        error_kind: None,
        ended: CallEnd::Complete,
    }
}

/// A store, what counts calls, and a catalog that can be changed.
struct World {
    _dir: TempDir,
    results: ResultStore,
    calls: super::super::Calls,
    book: BudgetBook,
    catalog: watch::Sender<Arc<Catalog>>,
    stop: CancellationToken,
}

impl World {
    fn start(first: Arc<Catalog>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = ResultSettings {
            spool: Some(SpoolSettings {
                reserve_bytes: 0,
                ..SpoolSettings::new(dir.path().join("spool"))
            }),
            ..ResultSettings::default()
        };
        let (results, writer) = ResultStore::open(dir.path(), settings).unwrap();
        writer.start().unwrap();
        let (catalog, watched) = watch::channel(first);
        let book = BudgetBook::new(watched);
        let UsageParts { calls, reports, .. } = build(&results, Some(pricing()), book.clone());
        let stop = CancellationToken::new();
        tokio::spawn(reports.run(stop.clone()));
        Self {
            _dir: dir,
            results,
            calls,
            book,
            catalog,
            stop,
        }
    }

    async fn report(&self, calls: Vec<Call>) {
        loop {
            match self.calls.report(calls.clone()).await {
                Ok(_) => return,
                // A commit that stalls on a busy machine.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Reads until there is nothing left to be read.
    async fn read(&self) {
        loop {
            self.book.read(&self.results).await;
            let standings = self.book.standings(now_ms());
            if standings.iter().all(|standing| standing.figures.is_ok()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn used(&self, slug: &str) -> Result<Decimal, String> {
        let standings = self.book.standings(now_ms());
        let found = standings.into_iter().find(|it| it.budget.slug == slug);
        found.unwrap().figures.map(|figures| figures.used.low)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn calls_count_once_whether_they_were_stored_before_or_come_now() {
    let all = || budget("all", 100, BudgetScope::default());
    let world = World::start(catalog(1, vec![all()]));
    let reason = world.used("all").unwrap_err();
    assert!(reason.contains("being read"), "{reason}");
    // Stored, and not counted yet.
    world.report(vec![call("1", "a"), call("2", "b")]).await;
    assert!(world.used("all").is_err());
    world.read().await;
    assert_eq!(world.used("all"), Ok(Decimal::from(2)));
    world.report(vec![call("3", "a")]).await;
    world.report(vec![call("3", "a")]).await;
    assert_eq!(world.used("all"), Ok(Decimal::from(3)));

    // A new budget reads what was stored; an edited amount keeps what was counted.
    let edited = budget("all", 50, BudgetScope::default());
    let of_a = budget("a", 10, of_consumer("a"));
    world.catalog.send_replace(catalog(2, vec![edited, of_a]));
    assert_eq!(world.used("all"), Ok(Decimal::from(3)));
    assert!(world.used("a").is_err());
    world.read().await;
    assert_eq!(world.used("a"), Ok(Decimal::from(2)));
    world.report(vec![call("4", "a"), call("5", "b")]).await;
    assert_eq!(world.used("a"), Ok(Decimal::from(3)));
    assert_eq!(world.used("all"), Ok(Decimal::from(5)));
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_cannot_be_read_is_asked_for_less_and_less_often() {
    let all = budget("all", 100, BudgetScope::default());
    let (_catalog, watched) = watch::channel(catalog(1, vec![all]));
    let book = BudgetBook::new(watched);
    let failed = || Err(Unanswered::Failed("more than can be answered".to_owned()));
    let mut waits = Vec::new();
    for _ in 0..12 {
        let begun = Instant::now();
        let request = loop {
            match book.requests(now_ms()).pop() {
                Some(request) => break request,
                None => tokio::time::advance(LOOK_EVERY).await,
            }
        };
        waits.push(begun.elapsed().as_secs());
        // A store that does not commit is looked at all the time.
        book.take(&request, Err(Unanswered::NotSettled));
        let request = book.requests(now_ms()).pop().unwrap();
        book.take(&request, failed());
    }
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600]);
    let standing = book.standings(now_ms()).remove(0);
    assert_eq!(standing.figures.unwrap_err(), "more than can be answered");
}

#[tokio::test]
async fn batches_made_while_the_store_is_read_count_once() {
    let all = budget("all", 100, BudgetScope::default());
    let world = World::start(catalog(1, vec![all]));
    world.report(vec![call("1", "a")]).await;
    let requests = world.book.requests(now_ms());
    // Its answer holds this one, and not the next.
    world.report(vec![call("2", "a")]).await;
    let answer = loop {
        match ask(&world.results, &requests[0]).await {
            Ok(answer) if world.results.is_settled() => break answer,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    world.report(vec![call("3", "a")]).await;
    assert_eq!(answer.batches.len(), 2);
    world.book.take(&requests[0], Ok(answer));
    assert_eq!(world.used("all"), Ok(Decimal::from(3)));
}

#[tokio::test]
async fn rules_see_the_budget_of_their_subject_and_those_of_their_service() {
    let scope = BudgetScope {
        services: vec!["shop".to_owned()],
        ..BudgetScope::default()
    };
    let world = World::start(catalog(1, vec![budget("shopping", 4, scope)]));
    let seen = |subject: &str| (world.book.reader())(subject, now_ms());
    let missing = seen("budget:shopping")[0].budget.clone().unwrap().missing;
    assert!(missing.unwrap().contains("being read"));
    world.read().await;
    world.report(vec![call("1", "a")]).await;
    for subject in ["budget:shopping", "shop"] {
        let usage = seen(subject).remove(0);
        assert_eq!(
            (usage.meter.as_str(), usage.cost_micros, usage.budget_micros),
            ("shopping", Some(1_000_000), Some(4_000_000)),
            "{subject}"
        );
        let budget = usage.budget.unwrap();
        assert_eq!((budget.name.as_str(), budget.missing), ("SHOPPING", None));
        assert!(budget.forecast_missing.unwrap().contains("whole days"));
    }
    for subject in ["other", "budget:other", "plugin:http"] {
        assert_eq!(seen(subject), [], "{subject}");
    }
}
