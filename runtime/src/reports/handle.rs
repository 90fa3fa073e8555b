//! The handle of the reports: the list of both origins, changes, runs and what they made.

use std::sync::Arc;

use tokio::sync::{Mutex, Notify, Semaphore};

use super::gather::Sources;
use super::model::Report;
use super::output;
use crate::alerts::AlertSignals;
use crate::domain::fault::FaultReport;
use crate::domain::{
    Fault, Notification, Origin, ReportDefinition, ReportFormat, ReportPeriod, UnixMillis, now_ms,
};
use crate::plugin_host::Evaluator;
use crate::registry::{Registry, bundled_reports, report_compile};
use crate::spec::{ReportSpec, Schema, prune_and_parse};
use crate::store::control::{ReportRun, ReportRunDraft, StoredReport};
use crate::store::{ControlError, ControlStore, ResultStore};

/// Previews at once: each asks many questions, and pages ask some as well.
const PREVIEWS: usize = 2;
/// Files written for downloads at once: each takes a thread for as long as it is.
const WRITERS: usize = 2;

/// Handle of the reports; clones share it.
#[derive(Clone)]
pub struct Reports {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    registry: Registry,
    pub(super) signals: AlertSignals,
    pub(super) sources: Sources,
    schema: Schema,
    /// Held over a change, so that what was checked is what is kept.
    changing: Mutex<()>,
    /// Wakes the keeper of the schedules.
    pub(super) wake: Notify,
    previews: Semaphore,
    /// Turns of what is written for a download.
    writing: Arc<Semaphore>,
}

/// A report of a file or of the API.
#[derive(Debug, Clone)]
pub struct ReportEntry {
    pub definition: Arc<ReportDefinition>,
    pub origin: Origin,
    /// Name of the token that wrote it last; none for one of a file.
    pub author: Option<String>,
    /// When it is made next; none: by hand only.
    pub next_ms: Option<UnixMillis>,
    /// Why it does not work as it was saved, e.g. because a channel is gone.
    pub faults: Vec<Fault>,
}

/// Why a change or a run was rejected.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("there is no report `{0}`")]
    NotFound(String),
    #[error("report `{0}` comes from reports.yaml; change it there")]
    OwnedByFile(String),
    #[error("there is already a report `{0}`; give this one another name")]
    Exists(String),
    #[error("report `{0}` has no such run")]
    NoRun(String),
    #[error("the run has nothing to send or show: {0}")]
    Empty(String),
    #[error("the report has {} fault(s)", .0.len())]
    Invalid(Vec<Fault>),
    #[error("too many reports wait or are being made; try again in a minute")]
    Busy,
    #[error("the report could not be written as {format}: {error}")]
    Unwritten { format: &'static str, error: String },
    #[error(transparent)]
    Store(#[from] ControlError),
}

impl Reports {
    pub fn new(
        registry: Registry,
        control: ControlStore,
        results: ResultStore,
        evaluator: Evaluator,
        signals: AlertSignals,
    ) -> Self {
        let sources = Sources {
            control,
            results,
            evaluator,
        };
        Self {
            inner: Arc::new(Inner {
                registry,
                signals,
                sources,
                schema: Schema::of::<ReportSpec>(),
                changing: Mutex::default(),
                wake: Notify::new(),
                previews: Semaphore::new(PREVIEWS),
                writing: Arc::new(Semaphore::new(WRITERS)),
            }),
        }
    }

    /// Returns all reports, by name. Where a name is in both, the file's report counts.
    pub async fn list(&self) -> Result<Vec<ReportEntry>, ControlError> {
        let catalog = self.inner.registry.catalog();
        let now_ms = now_ms();
        let mut entries: Vec<ReportEntry> = catalog
            .reports
            .values()
            .map(|definition| ReportEntry {
                definition: definition.clone(),
                origin: Origin::File,
                author: None,
                next_ms: next_of(definition, now_ms),
                faults: Vec::new(),
            })
            .collect();
        let stored = self.inner.sources.control.report_list().await?;
        let own = stored
            .into_iter()
            .filter(|stored| !catalog.reports.contains_key(&stored.name));
        entries.extend(own.filter_map(|stored| self.entry(stored, now_ms)));
        entries.sort_by(|one, other| one.definition.name.cmp(&other.definition.name));
        Ok(entries)
    }

    pub async fn get(&self, name: &str) -> Result<ReportEntry, ReportError> {
        let mut entries = self.list().await?.into_iter();
        let found = entries.find(|entry| entry.definition.name == name);
        found.ok_or_else(|| ReportError::NotFound(name.to_owned()))
    }

    /// Returns what a report is made of, also of one that comes with the program and is not enabled.
    pub(crate) async fn definition(
        &self,
        name: &str,
    ) -> Result<Arc<ReportDefinition>, ReportError> {
        let error = match self.get(name).await {
            Ok(entry) => return Ok(entry.definition),
            Err(error) => error,
        };
        if !matches!(error, ReportError::NotFound(_)) || !bundled_reports().any(|it| it == name) {
            return Err(error);
        }
        let spec = ReportSpec {
            name: name.to_owned(),
            ..ReportSpec::default()
        };
        let mut report = FaultReport::default();
        let definition = report_compile(&spec, std::iter::empty(), "", &mut report);
        definition.map(Arc::new).ok_or(error)
    }

    /// Adds a report.
    pub async fn create(
        &self,
        spec: serde_json::Value,
        author: &str,
    ) -> Result<ReportEntry, ReportError> {
        let _changing = self.inner.changing.lock().await;
        let definition = self.checked(spec).await?;
        let name = definition.name.clone();
        if self.inner.registry.catalog().reports.contains_key(&name) {
            return Err(ReportError::Exists(name));
        }
        let control = &self.inner.sources.control;
        match control
            .report_insert(&name, &definition.spec, author, now_ms())
            .await
        {
            Err(ControlError::Exists { .. }) => return Err(ReportError::Exists(name)),
            other => other?,
        }
        self.inner.wake.notify_one();
        self.get(&name).await
    }

    /// Replaces a report of the API. The name in the specification is that of the path.
    pub async fn replace(
        &self,
        name: &str,
        mut spec: serde_json::Value,
        author: &str,
    ) -> Result<ReportEntry, ReportError> {
        let _changing = self.inner.changing.lock().await;
        self.own(name).await?;
        if let Some(members) = spec.as_object_mut() {
            members.insert("name".to_owned(), name.into());
        }
        let definition = self.checked(spec).await?;
        let control = &self.inner.sources.control;
        control
            .report_replace(name, &definition.spec, author, now_ms())
            .await?;
        self.inner.wake.notify_one();
        self.get(name).await
    }

    /// Removes a report of the API with its runs.
    pub async fn delete(&self, name: &str) -> Result<(), ReportError> {
        let _changing = self.inner.changing.lock().await;
        self.own(name).await?;
        Ok(self.inner.sources.control.report_delete(name).await?)
    }

    /// Has a report made now; its row is there when this returns, and it is sent as one that is
    /// scheduled is.
    pub async fn begin(&self, name: &str) -> Result<ReportRun, ReportError> {
        let entry = self.get(name).await?;
        let now_ms = now_ms();
        let period = period_of(&entry.definition, now_ms)?;
        let draft = ReportRunDraft {
            report: name.to_owned(),
            run_key: format!("{name}/{}/{:032x}", period.key(), rand::random::<u128>()),
            period: period.key(),
            is_scheduled: false,
            due_ms: now_ms,
        };
        let begun = self.inner.sources.control.report_run_begin(&draft, now_ms);
        let run = match begun.await {
            Err(ControlError::Full { .. }) => None,
            other => other?,
        };
        let run = run.ok_or(ReportError::Busy)?;
        self.inner.wake.notify_one();
        Ok(run)
    }

    /// Makes a report of the last period, without keeping or sending it.
    pub(crate) async fn preview(
        &self,
        definition: &ReportDefinition,
    ) -> Result<Report, ReportError> {
        let _turn = self
            .inner
            .previews
            .try_acquire()
            .map_err(|_| ReportError::Busy)?;
        let period = period_of(definition, now_ms())?;
        Ok(self.inner.sources.report(definition, period).await)
    }

    /// Returns the runs of a report, also of one that is no longer in a file; the newest first.
    pub async fn runs(
        &self,
        name: &str,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<ReportRun>, ControlError> {
        let control = &self.inner.sources.control;
        control.report_run_list(name, before, limit).await
    }

    pub async fn run(&self, name: &str, id: i64) -> Result<ReportRun, ReportError> {
        let found = self.inner.sources.control.report_run_get(name, id).await?;
        found.ok_or_else(|| ReportError::NoRun(name.to_owned()))
    }

    /// Returns the messages about a run, by channel.
    pub async fn messages(&self, run: &ReportRun) -> Result<Vec<Notification>, ControlError> {
        self.inner.sources.control.report_notifications(run).await
    }

    /// Returns what a run made.
    pub(crate) async fn made(&self, run: &ReportRun) -> Result<Report, ReportError> {
        let data = self.inner.sources.control.report_run_data(run.id).await?;
        let report = data.and_then(|data| serde_json::from_str(&data).ok());
        report.ok_or_else(|| {
            let reason = run.error.clone();
            ReportError::Empty(reason.unwrap_or_else(|| "it is not finished".to_owned()))
        })
    }

    /// Sends what a run made once more, to the channels that the report has now.
    pub async fn resend(&self, name: &str, id: i64) -> Result<(), ReportError> {
        let run = self.run(name, id).await?;
        let entry = self.get(name).await?;
        let (channels, missing) = self.channels(&entry.definition);
        if channels.is_empty() {
            let reason = missing.unwrap_or_else(|| "the report names no channel".to_owned());
            return Err(ReportError::Empty(reason));
        }
        let control = &self.inner.sources.control;
        match control.report_run_resend(&run, &channels, now_ms()).await {
            Err(ControlError::NotFound { .. }) => {
                let reason = run.error.clone();
                let reason = reason.unwrap_or_else(|| "it is not finished".to_owned());
                return Err(ReportError::Empty(reason));
            }
            other => other?,
        }
        self.inner.signals.wake_delivery();
        Ok(())
    }

    /// Writes a report in a format.
    pub(crate) async fn written(
        &self,
        report: Report,
        format: ReportFormat,
    ) -> Result<Vec<u8>, ReportError> {
        let turn = self.inner.writing.clone().acquire_owned().await;
        let turn = turn.map_err(|_| ReportError::Busy)?;
        let written = tokio::task::spawn_blocking(move || {
            // Held to the end, also where nobody waits for the answer any more.
            let _turn = turn;
            output::written(&report, format)
        });
        let written = written.await;
        let written = written
            .unwrap_or_else(|_| Err("the writer crashed; the log has the reason".to_owned()));
        written.map_err(|error| ReportError::Unwritten {
            format: format.as_str(),
            error,
        })
    }

    fn entry(&self, stored: StoredReport, now_ms: UnixMillis) -> Option<ReportEntry> {
        let mut report = FaultReport::default();
        let definition = self.compile(stored.spec, &mut report);
        if definition.is_none() {
            let report = stored.name.as_str();
            tracing::error!(report, "a report of the API can't be read, it is left out");
        }
        let definition = definition?;
        Some(ReportEntry {
            next_ms: next_of(&definition, now_ms),
            definition: Arc::new(definition),
            origin: Origin::Api,
            author: Some(stored.author),
            faults: report.faults,
        })
    }

    fn compile(
        &self,
        spec: serde_json::Value,
        report: &mut FaultReport,
    ) -> Option<ReportDefinition> {
        self.inner.schema.check(&spec, "", &[], report);
        report.next_stage();
        let spec: ReportSpec = prune_and_parse(spec, "", report)?;
        let catalog = self.inner.registry.catalog();
        report_compile(&spec, catalog.channels.values(), "", report)
    }

    /// Checks a report, with its statements and its texts.
    pub(crate) async fn checked(
        &self,
        spec: serde_json::Value,
    ) -> Result<ReportDefinition, ReportError> {
        let mut report = FaultReport::default();
        let definition = self.compile(spec, &mut report);
        let Some(definition) = definition.filter(|_| report.faults.is_empty()) else {
            return Err(ReportError::Invalid(report.faults));
        };
        let faults = self.inner.sources.faults(&definition).await;
        if faults.is_empty() {
            return Ok(definition);
        }
        let faults = faults.into_iter();
        Err(ReportError::Invalid(
            faults
                .map(|(pointer, message)| Fault::new(pointer, message))
                .collect(),
        ))
    }

    /// Answers whether a report may be changed over the API.
    async fn own(&self, name: &str) -> Result<(), ReportError> {
        match self.get(name).await?.origin {
            Origin::File => Err(ReportError::OwnedByFile(name.to_owned())),
            Origin::Api => Ok(()),
        }
    }

    /// Returns the channels of a report, and which of them are no longer there.
    pub(super) fn channels(
        &self,
        definition: &ReportDefinition,
    ) -> (Vec<crate::domain::ChannelId>, Option<String>) {
        let catalog = self.inner.registry.catalog();
        let mut missing = Vec::new();
        let mut channels = Vec::new();
        for name in &definition.channels {
            let found = catalog.channels.values().find(|it| it.name == *name);
            match found {
                Some(channel) => channels.push(channel.id.clone()),
                None => missing.push(name.as_str()),
            }
        }
        let text = crate::domain::fault::list(missing.iter().copied());
        let text = (!missing.is_empty()).then(|| format!("there is no channel {text} any more"));
        (channels, text)
    }
}

fn next_of(definition: &ReportDefinition, now_ms: UnixMillis) -> Option<UnixMillis> {
    let schedule = definition.schedule.as_ref()?;
    let next_s = schedule.cron.next_after(now_ms.div_euclid(1_000))?;
    next_s.checked_mul(1_000)
}

pub(super) fn period_of(
    definition: &ReportDefinition,
    at_ms: UnixMillis,
) -> Result<ReportPeriod, ReportError> {
    let period = ReportPeriod::before(at_ms, definition.span, definition.zone);
    period.ok_or_else(|| {
        ReportError::Empty("its period is outside of the dates that can be computed".to_owned())
    })
}
