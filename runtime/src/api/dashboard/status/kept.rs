//! Status pages as they were rendered last, and the history that they are made of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::facts::{PageFacts, ServiceFacts, Sources};
use super::files::{self, File};
use super::past::Past;
use crate::domain::StatusPage;

/// Age at which pages are rendered again.
const FRESH: Duration = Duration::from_secs(10);
/// The same while they have no history, which is about to come.
const FRESH_WITHOUT_HISTORY: Duration = Duration::from_secs(1);
/// Age up to which pages are shown while new ones are rendered.
const USABLE: Duration = Duration::from_secs(30);

/// Status pages of the program.
pub(crate) struct StatusPages {
    shown: watch::Sender<Shown>,
    /// Places for visitors who wait for pages, so that they do not take those of everybody else.
    pub(crate) waiting: Semaphore,
    /// Missing until the stores were read.
    pub(super) past: watch::Sender<Option<Arc<Past>>>,
    pub(super) is_reading: AtomicBool,
    /// Whether the last reading failed.
    pub(super) is_failing: AtomicBool,
}

#[derive(Default)]
struct Shown {
    rendered: Option<Arc<Rendered>>,
    is_rendering: bool,
}

impl StatusPages {
    pub(crate) fn new(max_waiting: usize) -> Self {
        Self {
            shown: watch::Sender::new(Shown::default()),
            waiting: Semaphore::new(max_waiting),
            past: watch::Sender::new(None),
            is_reading: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
        }
    }

    /// Returns the pages of this version of the catalog, unless they are too old.
    pub(super) fn usable(&self, version: u64) -> Option<Arc<Rendered>> {
        let shown = self.shown.borrow();
        let rendered = shown.rendered.as_ref();
        rendered
            .filter(|rendered| rendered.version == version && rendered.at.elapsed() < USABLE)
            .cloned()
    }

    /// Returns once a rendering ends that had not ended at the time of the call.
    pub(super) fn next_rendering(&self) -> impl Future<Output = ()> + use<> {
        let mut changes = self.shown.subscribe();
        async move {
            // Fails only when the program ends, with the sender.
            let _ended = changes.changed().await;
        }
    }

    /// Reports whether the caller is the one to render.
    pub(super) fn begin_rendering(&self) -> bool {
        let mut is_ours = false;
        self.shown.send_if_modified(|shown| {
            is_ours = !shown.is_rendering;
            shown.is_rendering = true;
            false
        });
        is_ours
    }

    /// Takes the new pages, if there are any.
    pub(super) fn end_rendering(&self, rendered: Option<Arc<Rendered>>) {
        self.shown.send_modify(|shown| {
            shown.is_rendering = false;
            if rendered.is_some() {
                shown.rendered = rendered;
            }
        });
    }
}

/// All pages and badges of one moment.
pub(super) struct Rendered {
    at: Instant,
    has_history: bool,
    /// Version of the catalog.
    version: u64,
    /// Pages that show something, in the order of the configuration.
    pub(super) pages: Vec<PageFacts>,
    files: BTreeMap<String, File>,
}

impl Rendered {
    pub(super) fn new(sources: &Sources<'_>) -> Self {
        let configured = sources.catalog.status_pages.iter();
        let mut pages: Vec<PageFacts> = configured.filter_map(|page| sources.page(page)).collect();
        if sources.catalog.status_pages.is_empty() {
            pages.extend(sources.page(&StatusPage::of_all()));
        }
        // A service that no page shows has badges all the same.
        let all = sources.page(&StatusPage::of_all());
        let badges: Vec<&ServiceFacts> = all.iter().flat_map(PageFacts::services).collect();
        Self {
            at: Instant::now(),
            has_history: sources.has_history(),
            version: sources.catalog.version,
            files: files::of(&pages, &badges),
            pages,
        }
    }

    /// Returns a file by the name that [`files::of`] gave it; none for whatever is not public.
    pub(super) fn file(&self, name: &str) -> Option<&File> {
        self.files.get(name)
    }

    /// Returns the name of the page at `/status`.
    pub(super) fn first(&self) -> Option<&str> {
        self.pages.first().map(|page| page.name.as_str())
    }

    pub(super) fn is_fresh(&self) -> bool {
        let fresh = if self.has_history {
            FRESH
        } else {
            FRESH_WITHOUT_HISTORY
        };
        self.at.elapsed() < fresh
    }
}
