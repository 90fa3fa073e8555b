//! Secrets that programs write. What one wrote is kept until it is asked again; while it fails the
//! last value stays in use, which is reported. Runs a program only for a file that nobody but the
//! operator can change.

mod run;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use super::secret_file::Sources;
use crate::spec::{DurationSpec, SecretCommandSpec};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_EVERY: Duration = Duration::from_secs(3_600);
const SHORTEST_EVERY: Duration = Duration::from_secs(1);
const LONGEST_EVERY: Duration = Duration::from_secs(7 * 86_400);
/// Most words of a command, and most bytes of one.
const MAX_WORDS: usize = 64;
const MAX_WORD_BYTES: usize = 4_096;
/// Programs that run at a time.
const AT_A_TIME: usize = 8;
/// A program that failed is asked again after this at the latest.
const AGAIN: Duration = Duration::from_secs(60);

/// Values of this process. They outlive a reading of the configuration, of which there are several
/// in the life of the program.
pub(super) static COMMANDS: LazyLock<SecretCommands> = LazyLock::new(SecretCommands::default);

/// Values of commands.
#[derive(Default)]
pub(super) struct SecretCommands {
    entries: Mutex<BTreeMap<CommandKey, Entry>>,
    /// Files of the configuration of which a value changed since they were read, and when that is
    /// reported next.
    changed: Mutex<BTreeMap<String, Instant>>,
}

/// File of the configuration that names a command, and its words.
type CommandKey = (String, Vec<String>);

#[derive(Clone)]
struct Entry {
    value: Option<SecretString>,
    /// When the value was written.
    written: Option<Instant>,
    /// Why the last run gave none.
    failure: Option<String>,
    asked: Instant,
    timing: Timing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Timing {
    timeout: Duration,
    every: Duration,
}

impl Entry {
    /// When it runs again.
    fn due(&self) -> Instant {
        let wait = if self.failure.is_some() {
            self.timing.every.min(AGAIN)
        } else {
            self.timing.every
        };
        self.asked + wait
    }
}

impl SecretCommands {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<CommandKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Instant>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next command is due, or the next report; none: there is none.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let reported = self.changed().values().copied().min();
        let due = self.lock().values().map(Entry::due).min();
        reported.into_iter().chain(due).min()
    }

    /// Runs what is due, blocking. True: a value is another one than when its file was read, which is
    /// reported now and then until that is read again.
    pub(super) fn refresh(&self) -> bool {
        let now = Instant::now();
        let due: Vec<(CommandKey, Timing)> = self
            .lock()
            .iter()
            .filter(|(_, entry)| entry.due() <= now)
            .map(|(key, entry)| (key.clone(), entry.timing))
            .collect();
        let files = self.run(&due);
        let now = Instant::now();
        let mut changed = self.changed();
        for file in files {
            changed.insert(file, now);
        }
        let mut is_reported = false;
        for next in changed.values_mut().filter(|next| **next <= now) {
            is_reported = true;
            *next = now + AGAIN;
        }
        is_reported
    }

    /// Runs commands, some at a time. Returns the files of those whose value is another one than
    /// before.
    fn run(&self, commands: &[(CommandKey, Timing)]) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        for some in commands.chunks(AT_A_TIME) {
            let results: Vec<_> = std::thread::scope(|scope| {
                let running: Vec<_> = some
                    .iter()
                    .map(|((_, words), timing)| {
                        scope.spawn(move || run::run(words, timing.timeout))
                    })
                    .collect();
                let broke = || Err("broke off".to_owned());
                running
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or_else(|_| broke()))
                    .collect()
            });
            for ((key, timing), result) in some.iter().zip(results) {
                if self.note(key, *timing, result) {
                    files.insert(key.0.clone());
                }
            }
        }
        files
    }

    fn note(&self, key: &CommandKey, timing: Timing, result: Result<SecretString, String>) -> bool {
        let now = Instant::now();
        let mut entries = self.lock();
        let entry = entries.entry(key.clone()).or_insert_with(|| Entry {
            value: None,
            written: None,
            failure: None,
            asked: now,
            timing,
        });
        (entry.asked, entry.timing) = (now, timing);
        let program = key.1.first().map(String::as_str).unwrap_or_default();
        match result {
            Ok(value) => {
                if entry.failure.take().is_some() {
                    tracing::info!(program, "the command for a secret works again");
                }
                entry.written = Some(now);
                let old = entry.value.replace(value);
                old.as_ref().map(ExposeSecret::expose_secret)
                    != entry.value.as_ref().map(ExposeSecret::expose_secret)
            }
            Err(failure) => {
                if entry.value.is_some() {
                    tracing::warn!(
                        program,
                        failure,
                        "the command for a secret failed, the last value stays in use"
                    );
                }
                entry.failure = Some(failure);
                false
            }
        }
    }

    /// Commands that fail, for the metric.
    pub(super) fn failing(&self) -> usize {
        let entries = self.lock();
        let failing = entries.values().filter(|entry| entry.failure.is_some());
        failing.count()
    }
}

/// Runs the commands that a file of the configuration names, unless their values are new enough.
/// Those that it does not name any more are forgotten.
pub(super) fn run_all<'a>(
    specs: impl Iterator<Item = &'a SecretCommandSpec>,
    sources: Sources<'_>,
) {
    let Some(commands) = sources.commands else {
        return;
    };
    commands.changed().remove(sources.file);
    let mut wanted: BTreeMap<CommandKey, Timing> = BTreeMap::new();
    for spec in specs {
        if let Ok(timing) = check(spec, sources) {
            let known = wanted.entry(key(spec, sources)).or_insert(timing);
            known.every = known.every.min(timing.every);
        }
    }
    let now = Instant::now();
    let mut due = Vec::new();
    {
        let mut entries = commands.lock();
        entries.retain(|key, _| key.0 != sources.file || wanted.contains_key(key));
        for (key, timing) in wanted {
            match entries.get_mut(&key) {
                Some(entry) => {
                    entry.timing = timing;
                    if entry.due() <= now || entry.value.is_none() {
                        due.push((key, timing));
                    }
                }
                None => due.push((key, timing)),
            }
        }
    }
    commands.run(&due);
}

/// Returns what the command wrote. `kept` is called where it failed since.
pub(super) fn value(
    spec: &SecretCommandSpec,
    sources: Sources<'_>,
    mut kept: impl FnMut(String),
) -> Result<String, String> {
    let commands = sources.commands.ok_or(
        "works in files of the configuration only; write the secret as `${NAME}`, or name a file that holds it",
    )?;
    let timing = check(spec, sources)?;
    let key = key(spec, sources);
    let known = commands.lock().get(&key).cloned();
    let entry = match known {
        Some(entry) => entry,
        None => {
            commands.run(&[(key.clone(), timing)]);
            let entry = commands.lock().get(&key).cloned();
            entry.ok_or("gave nothing")?
        }
    };
    let program = spec.command.first().map(String::as_str).unwrap_or_default();
    match (&entry.value, &entry.failure) {
        (Some(value), failure) => {
            if let Some(failure) = failure {
                let age = entry
                    .written
                    .map(|at| at.elapsed().as_secs())
                    .unwrap_or_default();
                kept(format!(
                    "`{program}` {failure}; what it wrote {age} s ago stays in use"
                ));
            }
            Ok(value.expose_secret().to_owned())
        }
        (None, failure) => {
            let failure = failure.as_deref().unwrap_or("gave nothing");
            Err(format!(
                "`{program}` {failure}; run it by hand as the user of this program"
            ))
        }
    }
}

/// Checks words, times, and that nobody else could have put the command there.
fn check(spec: &SecretCommandSpec, sources: Sources<'_>) -> Result<Timing, String> {
    let Some(program) = spec.command.first() else {
        return Err("has no program in `command`".to_owned());
    };
    if !Path::new(program).is_absolute() {
        return Err(format!(
            "must name the program by its absolute path, not as `{program}`: it is looked up nowhere"
        ));
    }
    if spec.command.len() > MAX_WORDS
        || spec
            .command
            .iter()
            .any(|word| word.len() > MAX_WORD_BYTES || word.contains('\0'))
    {
        return Err(format!(
            "must have at most {MAX_WORDS} words of at most {MAX_WORD_BYTES} bytes"
        ));
    }
    owned_by_operator(&sources.folder.join(sources.file))?;
    owned_by_operator(Path::new(program))?;
    let shortest = Duration::from_millis(100);
    let (timeout, every) = (spec.timeout.as_ref(), spec.every.as_ref());
    Ok(Timing {
        timeout: match timeout {
            None => DEFAULT_TIMEOUT,
            Some(timeout) => within(timeout, 1, shortest..=LONGEST_TIMEOUT, "timeout")?,
        },
        every: match every {
            None => DEFAULT_EVERY,
            Some(every) => within(every, 1_000, SHORTEST_EVERY..=LONGEST_EVERY, "every")?,
        },
    })
}

fn within(
    given: &DurationSpec,
    unit_ms: u32,
    range: RangeInclusive<Duration>,
    key: &str,
) -> Result<Duration, String> {
    let found = given
        .resolve(unit_ms)
        .map_err(|reason| format!("has a `{key}` that can't be read: {reason}"))?;
    if range.contains(&found) {
        return Ok(found);
    }
    let (least, most) = (range.start().as_secs_f64(), range.end().as_secs());
    Err(format!(
        "has a `{key}` that is not between {least} and {most} seconds"
    ))
}

fn key(spec: &SecretCommandSpec, sources: Sources<'_>) -> CommandKey {
    (sources.file.to_owned(), spec.command.clone())
}

/// A file that is not there was accepted when it was: its copy is read, and nobody changed that.
#[cfg(unix)]
pub(super) fn owned_by_operator(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let Ok(found) = std::fs::metadata(path) else {
        return Ok(());
    };
    let is_ours = [0, rustix::process::geteuid().as_raw()].contains(&found.uid());
    if is_ours && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(if is_ours {
        format!(
            "is not run: others than the owner may change `{path}`; `chmod go-w {path}` ends that"
        )
    } else {
        format!("is not run: `{path}` belongs neither to root nor to the user of this program")
    })
}

#[cfg(not(unix))]
pub(super) fn owned_by_operator(_: &Path) -> Result<(), String> {
    Err("is not run: who may change its file is known on Unix only".to_owned())
}
