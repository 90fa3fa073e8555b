//! What a file describes beside services: maintenance windows, silences and saved queries. They are
//! compared here, and made one by one.

use std::collections::BTreeSet;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::word;
use crate::api_types::problem::Problem;
use crate::api_types::queries::{NewSavedQuery, SavedQuerySpec};
use crate::api_types::services::ServiceAction;
use crate::api_types::silences::SilenceSpec;
use crate::api_types::{DurationSpec, MaintenanceSpec, Texts};
use crate::cli::client::{Client, segment};
use crate::cli::owned::{OwnedSilence, OwnedWindow, owned_queries, owned_silences, owned_windows};
use crate::cli::print::{line, note, plain};
use crate::config::ServicesDocument;
use crate::domain::{Fault, Matcher, UnixMillis, now_ms};

/// A change of one thing that is no service.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    /// List of the file that it belongs to.
    kind: &'static str,
    /// Name, or what a silence is known by.
    name: String,
    pub(super) action: ServiceAction,
    /// Place in that list; none for what the file does not have.
    #[serde(skip)]
    index: Option<usize>,
    #[serde(skip)]
    work: Work,
}

#[derive(Debug)]
enum Work {
    Nothing,
    Create(&'static str, Value),
    Put(String, Value),
    Delete(String),
}

const WINDOWS: &str = "maintenance";
const SILENCES: &str = "silences";
const QUERIES: &str = "queries";

/// Compares the lists that the file has with what the server has. `is_pruning`: what the file does
/// not have goes.
pub(super) async fn plan(
    client: &Client,
    document: &ServicesDocument,
    is_pruning: bool,
) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    if let Some(wanted) = &document.maintenance {
        changes.extend(windows(wanted, &owned_windows(client).await?, is_pruning)?);
    }
    if let Some(wanted) = &document.silences {
        wanted
            .iter()
            .try_for_each(|entry| check_end(document, entry))?;
        let owned = owned_silences(client).await?;
        changes.extend(silences(wanted, owned, is_pruning, now_ms())?);
    }
    if let Some(wanted) = &document.queries {
        changes.extend(queries(wanted, &owned_queries(client).await?, is_pruning)?);
    }
    Ok(changes)
}

/// Makes the changes in their order and stops at the first that is refused, with its place.
pub(super) async fn make(
    client: &Client,
    document: &ServicesDocument,
    changes: &[Change],
) -> Result<()> {
    for change in changes {
        match &change.work {
            Work::Nothing => {}
            Work::Create(path, body) => {
                let made = client.try_post(path, body).await?;
                made.map_err(|problem| refused(document, change, problem))?;
            }
            Work::Put(path, body) => {
                let put = client.try_put(path, body).await?;
                put.map_err(|problem| refused(document, change, problem))?;
            }
            Work::Delete(path) => client.delete_quietly(path).await?,
        }
    }
    Ok(())
}

fn refused(document: &ServicesDocument, change: &Change, problem: Problem) -> anyhow::Error {
    let index = change.index.filter(|_| !problem.faults.is_empty());
    match index {
        Some(index) => document
            .placed_in(change.kind, index, problem.faults)
            .into(),
        None => anyhow::anyhow!(
            "{} `{}`: {}",
            noun(change.kind),
            change.name,
            problem.detail
        ),
    }
}

/// Rejects a silence whose end follows from the time at which the file is applied: it would be
/// another one each time, and be made again and again.
fn check_end(document: &ServicesDocument, (index, spec): &(usize, SilenceSpec)) -> Result<()> {
    if spec.duration.is_none() || spec.starts_at.is_some() {
        return Ok(());
    }
    let message = "needs a `startsAt` beside it in a file, or write `endsAt` instead: \
                   without either every `apply` would begin the silence anew";
    let faults = vec![Fault::new("/duration", message)];
    Err(document.placed_in(SILENCES, *index, faults).into())
}

pub(super) fn print(change: &Change) {
    if change.action != ServiceAction::Unchanged {
        let (word, noun) = (word(change.action), noun(change.kind));
        line(&format!("{word} {noun} {}", plain(&change.name)));
    }
}

fn noun(kind: &str) -> &'static str {
    match kind {
        WINDOWS => "maintenance window",
        SILENCES => "silence",
        _ => "saved query",
    }
}

fn windows(
    wanted: &[(usize, MaintenanceSpec)],
    owned: &[OwnedWindow],
    is_pruning: bool,
) -> Result<Vec<Change>> {
    const PATH: &str = "/maintenance";
    let mut changes = Vec::new();
    let at = |name: &str| format!("{PATH}/{}", segment(name));
    for (index, spec) in wanted {
        let name = spec.name.trim();
        let there = owned.iter().find(|window| window.spec.name == name);
        let (action, work) = match there {
            None => (
                ServiceAction::Created,
                Work::Create(PATH, serde_json::to_value(spec)?),
            ),
            Some(there) if window_form(&there.spec) == window_form(spec) => {
                (ServiceAction::Unchanged, Work::Nothing)
            }
            Some(_) => (
                ServiceAction::Changed,
                Work::Put(at(name), serde_json::to_value(spec)?),
            ),
        };
        changes.push(change(WINDOWS, name, action, Some(*index), work));
    }
    let named: BTreeSet<&str> = wanted.iter().map(|(_, spec)| spec.name.trim()).collect();
    let gone = owned.iter().filter(|window| {
        is_pruning && !window.is_over && !named.contains(window.spec.name.as_str())
    });
    changes.extend(gone.map(|window| {
        let name = &window.spec.name;
        change(
            WINDOWS,
            name,
            ServiceAction::Deleted,
            None,
            Work::Delete(at(name)),
        )
    }));
    Ok(changes)
}

fn silences(
    wanted: &[(usize, SilenceSpec)],
    mut owned: Vec<OwnedSilence>,
    is_pruning: bool,
    now_ms: UnixMillis,
) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for (index, spec) in wanted {
        let form = SilenceForm::of(spec);
        let name = silence_name(spec);
        if form.ends_ms.is_some_and(|ends_ms| ends_ms <= now_ms) {
            note(&format!(
                "silences[{index}] is over and left out: {}",
                plain(&name)
            ));
            continue;
        }
        let there = owned
            .iter()
            .position(|silence| form.is_met_by(&SilenceForm::of(&silence.spec)));
        let (action, work) = match there {
            Some(position) => {
                owned.remove(position);
                (ServiceAction::Unchanged, Work::Nothing)
            }
            None => (
                ServiceAction::Created,
                Work::Create("/silences", serde_json::to_value(spec)?),
            ),
        };
        changes.push(change(SILENCES, &name, action, Some(*index), work));
    }
    let gone = owned.iter().filter(|_| is_pruning);
    changes.extend(gone.map(|silence| {
        let work = Work::Delete(format!("/silences/{}", silence.id));
        let name = silence_name(&silence.spec);
        change(SILENCES, &name, ServiceAction::Deleted, None, work)
    }));
    Ok(changes)
}

fn queries(
    wanted: &[(usize, NewSavedQuery)],
    owned: &[NewSavedQuery],
    is_pruning: bool,
) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let at = |name: &str| format!("/queries/{}", segment(name));
    for (index, new) in wanted {
        let body = serde_json::to_value(new)?;
        let (action, work) = match owned.iter().find(|saved| saved.name == new.name) {
            None => (ServiceAction::Created, Work::Create("/queries", body)),
            Some(saved) if serde_json::to_value(saved)? == body => {
                (ServiceAction::Unchanged, Work::Nothing)
            }
            Some(_) => {
                let NewSavedQuery {
                    name,
                    query,
                    description,
                    defaults,
                } = new.clone();
                let spec = SavedQuerySpec {
                    query,
                    description,
                    defaults,
                };
                let work = Work::Put(at(&name), serde_json::to_value(spec)?);
                (ServiceAction::Changed, work)
            }
        };
        changes.push(change(QUERIES, &new.name, action, Some(*index), work));
    }
    let named: BTreeSet<&str> = wanted.iter().map(|(_, new)| new.name.as_str()).collect();
    let gone = owned.iter();
    let gone = gone.filter(|saved| is_pruning && !named.contains(saved.name.as_str()));
    changes.extend(gone.map(|saved| {
        let work = Work::Delete(at(&saved.name));
        change(QUERIES, &saved.name, ServiceAction::Deleted, None, work)
    }));
    Ok(changes)
}

fn change(
    kind: &'static str,
    name: &str,
    action: ServiceAction,
    index: Option<usize>,
    work: Work,
) -> Change {
    Change {
        kind,
        name: name.to_owned(),
        action,
        index,
        work,
    }
}

/// The meaning of a window, whatever way it is written in.
fn window_form(spec: &MaintenanceSpec) -> Value {
    let zone = spec.timezone.as_deref().unwrap_or("UTC");
    let cron = spec.cron.as_deref().map(|cron| {
        let fields: Vec<&str> = cron.split_whitespace().collect();
        json!({ "fields": fields, "zone": zone.to_ascii_lowercase() })
    });
    json!({
        "match": spec.matchers.as_ref().map(matcher_texts).unwrap_or_default(),
        "start": spec.start.as_deref().map(moment_form),
        "end": spec.end.as_deref().map(moment_form),
        "cron": cron,
        "duration": spec.duration.as_ref().map(duration_ms),
        "comment": spec.comment.as_deref().unwrap_or_default(),
    })
}

/// The meaning of a silence, whatever way it is written in.
struct SilenceForm<'a> {
    matchers: Vec<String>,
    /// Absent: now.
    starts: Option<Value>,
    /// Absent: the text can't be read, and the server refuses it with the reason.
    ends_ms: Option<UnixMillis>,
    comment: &'a str,
}

impl<'a> SilenceForm<'a> {
    fn of(spec: &'a SilenceSpec) -> Self {
        let starts_ms = spec.starts_at.as_deref().and_then(moment_ms);
        let ends_ms = match (&spec.ends_at, &spec.duration) {
            (Some(text), None) => moment_ms(text),
            (None, Some(duration)) => starts_ms
                .zip(duration_ms(duration))
                .and_then(|(starts_ms, duration_ms)| starts_ms.checked_add(duration_ms)),
            _ => None,
        };
        Self {
            matchers: matcher_texts(&spec.matchers),
            starts: spec.starts_at.as_deref().map(moment_form),
            ends_ms,
            comment: &spec.comment,
        }
    }

    fn is_met_by(&self, stored: &Self) -> bool {
        self.matchers == stored.matchers
            && self.ends_ms.is_some()
            && self.ends_ms == stored.ends_ms
            && self.comment == stored.comment
            && (self.starts.is_none() || self.starts == stored.starts)
    }
}

fn silence_name(spec: &SilenceSpec) -> String {
    let matchers = matcher_texts(&spec.matchers).join(", ");
    match &spec.ends_at {
        Some(ends_at) => format!("{matchers} until {ends_at}"),
        None => matchers,
    }
}

/// Matchers as the server writes them, in any order; what can't be read stays as it is.
fn matcher_texts(texts: &Texts) -> Vec<String> {
    let mut list = Vec::new();
    for text in texts.as_slice() {
        match Matcher::parse_list(text) {
            Ok(matchers) => list.extend(matchers.iter().map(Matcher::to_string)),
            Err(_) => list.push(text.clone()),
        }
    }
    list.sort_unstable();
    list
}

fn moment_ms(text: &str) -> Option<UnixMillis> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    Some(moment.as_millisecond())
}

fn moment_form(text: &str) -> Value {
    moment_ms(text).map_or_else(|| json!(text), |ms| json!(ms))
}

fn duration_ms(duration: &DurationSpec) -> Option<i64> {
    let duration = duration.resolve(1_000).ok()?;
    i64::try_from(duration.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(value: Value) -> SilenceSpec {
        serde_json::from_value(value).unwrap()
    }

    fn actions(changes: &[Change]) -> Vec<ServiceAction> {
        changes.iter().map(|change| change.action).collect()
    }

    #[test]
    fn a_window_in_other_words_is_the_same_window() {
        let window = |value: Value| serde_json::from_value::<MaintenanceSpec>(value).unwrap();
        let stored = OwnedWindow {
            spec: window(json!({
                "name": "weekly", "match": ["service=\"db\""], "cron": "0 2 * * SUN",
                "duration": "2h", "timezone": "UTC",
            })),
            is_over: false,
        };
        let same = window(json!({
            "name": "weekly", "match": "{service=\"db\"}", "cron": "0  2 * * SUN", "duration": "120m",
        }));
        let longer = MaintenanceSpec {
            duration: Some(DurationSpec::Text("3h".to_owned())),
            ..same.clone()
        };
        let owned = [stored];
        for (wanted, is_pruning, action) in [
            (vec![(0, same)], true, Some(ServiceAction::Unchanged)),
            (vec![(0, longer)], true, Some(ServiceAction::Changed)),
            (vec![], true, Some(ServiceAction::Deleted)),
            (vec![], false, None),
        ] {
            let changes = windows(&wanted, &owned, is_pruning).unwrap();
            assert_eq!(actions(&changes), Vec::from_iter(action));
        }
    }

    #[test]
    fn a_silence_that_would_be_another_one_each_time_is_refused_with_its_place() {
        let text = "silences:\n- {matchers: a=b, duration: 2h, startsAt: \"2026-11-23T22:00:00Z\"}\n- matchers: a=b\n  duration: 2h\n";
        let document = ServicesDocument::parse("all.yaml", text, std::path::Path::new("."));
        let document = document.unwrap();
        let entries = document.silences.as_ref().unwrap();
        check_end(&document, &entries[0]).unwrap();
        let error = check_end(&document, &entries[1]).unwrap_err().to_string();
        assert!(
            error.starts_with("all.yaml:4") && error.contains("startsAt"),
            "{error}"
        );
    }

    #[test]
    fn a_silence_is_known_by_what_it_says_and_made_once() {
        let stored = || OwnedSilence {
            id: 7,
            spec: silence(json!({
                "matchers": ["service=\"db\""], "startsAt": "2026-11-23T22:00:00.000Z",
                "endsAt": "2026-11-24T00:00:00.000Z", "comment": "move",
            })),
        };
        let same = json!({
            "matchers": "service=\"db\"", "startsAt": "2026-11-23T23:00:00+01:00", "duration": "2h",
            "comment": "move",
        });
        let now_ms = moment_ms("2026-11-23T23:00:00Z").unwrap();
        let plan = |specs: &[&Value], is_pruning: bool, now_ms: UnixMillis| {
            let specs = specs.iter().map(|spec| silence((*spec).clone()));
            let wanted: Vec<_> = specs.enumerate().collect();
            actions(&silences(&wanted, vec![stored()], is_pruning, now_ms).unwrap())
        };
        assert_eq!(plan(&[&same], true, now_ms), [ServiceAction::Unchanged]);
        assert_eq!(
            plan(&[&same, &same], true, now_ms),
            [ServiceAction::Unchanged, ServiceAction::Created]
        );
        let mut other = same.clone();
        other["comment"] = json!("another");
        assert_eq!(
            plan(&[&other], true, now_ms),
            [ServiceAction::Created, ServiceAction::Deleted]
        );
        let after = moment_ms("2026-11-24T00:00:00Z").unwrap();
        assert!(plan(&[&same], false, after).is_empty());
    }
}
