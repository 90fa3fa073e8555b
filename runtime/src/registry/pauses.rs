//! Pauses of services: those that descriptions say, and those made over the API, which outlive a
//! restart and hold for services of files too. A pause that ends is noticed here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{CatalogError, Registry, ServiceRecord, State};
use crate::domain::{Pause, PausedBy, UnixMillis, now_ms};

/// The clock may be set: a pause ends late by no more than this.
const PATROL: Duration = Duration::from_secs(30);

/// Actor of the audit log where a pause ends by itself.
const ACTOR: &str = "registry";

impl State {
    /// Returns the pauses that hold at a moment, by service. What a description says comes first.
    pub(super) fn paused(&self, now_ms: UnixMillis) -> BTreeMap<String, Pause> {
        let files = self
            .files
            .services
            .iter()
            .map(|(slug, compiled)| (slug, compiled.pause.as_ref()));
        let api = self.api.iter().map(|(slug, service)| {
            let compiled = service.compiled.as_ref().ok();
            (slug, compiled.and_then(|compiled| compiled.pause.as_ref()))
        });
        let holds = |pause: &&Pause| !pause.is_over(now_ms);
        // Where a slug is in both, the file's service counts.
        let all: BTreeMap<&String, Option<&Pause>> = api.chain(files).collect();
        let held = all.into_iter().filter_map(|(slug, described)| {
            let pause = described
                .filter(holds)
                .or_else(|| self.pauses.get(slug).filter(holds))?;
            Some((slug.clone(), pause.clone()))
        });
        held.collect()
    }
}

impl Registry {
    /// Pauses a service, of a file too; durable when this returns. It takes the place of a pause
    /// made before.
    pub async fn pause(
        &self,
        slug: &str,
        pause: Pause,
        by: PausedBy,
    ) -> Result<ServiceRecord, CatalogError> {
        let _changing = self.inner.changing.lock().await;
        let record = self
            .record(slug)
            .ok_or_else(|| CatalogError::NotFound(slug.to_owned()))?;
        self.inner.store.pause_put(slug, &pause, &by).await?;
        let mut state = State::clone(&self.state());
        let pause = Pause {
            by: Some(by),
            ..pause
        };
        let mut pauses = BTreeMap::clone(&state.pauses);
        pauses.insert(slug.to_owned(), pause);
        state.pauses = Arc::new(pauses);
        self.publish(state);
        Ok(record)
    }

    /// Ends the pause of a service. What its description says has to be changed there.
    pub async fn resume(&self, slug: &str) -> Result<ServiceRecord, CatalogError> {
        let _changing = self.inner.changing.lock().await;
        let record = self
            .record(slug)
            .ok_or_else(|| CatalogError::NotFound(slug.to_owned()))?;
        let mut state = State::clone(&self.state());
        let mut pauses = BTreeMap::clone(&state.pauses);
        pauses.remove(slug);
        state.pauses = Arc::new(pauses);
        if state.paused(now_ms()).contains_key(slug) {
            return Err(CatalogError::PausedByDescription {
                slug: slug.to_owned(),
                origin: record.origin,
            });
        }
        self.inner.store.pause_delete(slug).await?;
        self.publish(state);
        Ok(record)
    }

    /// Publishes the catalog anew whenever a pause is over, until the shutdown.
    pub async fn follow_pauses(self, stop: CancellationToken) {
        let mut catalog = self.watch();
        loop {
            let wait = {
                let catalog = catalog.borrow_and_update();
                let next_ms = catalog
                    .paused
                    .values()
                    .filter_map(|pause| pause.until_ms)
                    .min();
                next_ms.map_or(PATROL, |next_ms| until(next_ms).min(PATROL))
            };
            tokio::select! {
                () = stop.cancelled() => return,
                changed = catalog.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => self.end_pauses(now_ms()).await,
            }
        }
    }

    /// Ends what is over. A store that can't be written delays the clean-up, not the end.
    async fn end_pauses(&self, now_ms: UnixMillis) {
        let _changing = self.inner.changing.lock().await;
        let mut state = State::clone(&self.state());
        let is_over = |pause: &Pause| pause.is_over(now_ms);
        let catalog = self.catalog();
        if !catalog.paused.values().any(is_over) && !state.pauses.values().any(is_over) {
            return;
        }
        match self.inner.store.pause_end(ACTOR, now_ms).await {
            Ok(ended) => {
                let mut pauses = BTreeMap::clone(&state.pauses);
                pauses.retain(|slug, _| !ended.contains(slug));
                state.pauses = Arc::new(pauses);
            }
            Err(error) => {
                tracing::warn!(%error, "pauses that are over can't be removed; it is tried again");
            }
        }
        for (slug, _) in catalog.paused.iter().filter(|(_, pause)| is_over(pause)) {
            tracing::info!(
                service = slug.as_str(),
                "the pause is over, the service is checked again"
            );
        }
        if catalog.paused.values().any(is_over) {
            self.publish(state);
        } else {
            self.inner.state.store(Arc::new(state));
        }
    }
}

fn until(moment_ms: UnixMillis) -> Duration {
    let left_ms = moment_ms.saturating_sub(now_ms()).max(0);
    // Clocks differ by a little, and a look that comes too early finds nothing.
    Duration::from_millis(left_ms.unsigned_abs().saturating_add(2))
}
