//! One look at the store: what is sealed and what has changed, as one transaction sees it, and the
//! files that are missing for that. Nothing is written to the store here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use duckdb::Connection;

use super::Manifest;
use super::files::{Folder, SealedFile};
use super::ledger::{self, Added, Change, Entry};
use super::plan::{self, Known, Piece};
use crate::store::results::changes::{
    self, Cut, Mark, Micros, SealedTable, Span, TABLES, gaps, joined,
};
use crate::store::results::error::ResultError;
use crate::store::results::{archive, tiers};

/// Spans whose rows are counted one by one.
const MOST_COUNTED: usize = 32;

/// Purpose of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Files for those who ask now, if they have no more rows; the store learns nothing of them.
    Fresh { most_rows: u64 },
    /// Files that stay, of about so many rows.
    Seal { most_rows: u64 },
}

impl Purpose {
    fn is_seal(self) -> bool {
        matches!(self, Purpose::Seal { .. })
    }

    fn most_rows(self) -> u64 {
        let (Purpose::Fresh { most_rows } | Purpose::Seal { most_rows }) = self;
        most_rows
    }
}

/// Result of a look.
pub(super) struct Taken {
    /// Files of all tables; none: there is more to write than one look may.
    pub(super) manifest: Option<Manifest>,
    /// Change that is to be noted in the store, and what becomes of the files then.
    pub(super) change: Change,
    pub(super) added: Vec<Arc<SealedFile>>,
    pub(super) removed: Vec<Arc<SealedFile>>,
    /// Rows that later steps write, about.
    pub(super) rows_left: u64,
}

/// A table as the transaction sees it.
struct Look {
    table: &'static SealedTable,
    shape: String,
    /// File without rows, so that those who read find the columns. A table that is sealed as a
    /// whole needs none.
    base: Option<Arc<SealedFile>>,
    files: Vec<Arc<SealedFile>>,
    /// Files that are not there as they were written, or have other columns than the table.
    broken: Vec<String>,
    dirty: Vec<Span>,
}

/// A file that has to be written.
struct Task {
    /// Position of its table.
    table: usize,
    piece: Piece,
    reason: Reason,
}

/// Why a file has to be written, in the order in which they are: what changes all the time must not
/// keep back what was never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    New,
    Changed,
    /// The rows are in files already.
    Joined,
}

/// Looks at the store in a transaction that changes nothing.
pub(super) fn take(
    connection: &Connection,
    folder: &Folder,
    purpose: Purpose,
    now: Micros,
) -> Result<Taken, ResultError> {
    connection
        .execute_batch("BEGIN TRANSACTION READ ONLY")
        .map_err(sealing)?;
    let taken = take_pinned(connection, folder, purpose, now);
    // The connection is dropped next; a failed roll-back goes with it.
    let _ = connection.execute_batch("ROLLBACK");
    taken
}

fn take_pinned(
    connection: &Connection,
    folder: &Folder,
    purpose: Purpose,
    now: Micros,
) -> Result<Taken, ResultError> {
    let marked = changes::read(connection).map_err(sealing)?;
    let entries = ledger::entries(connection).map_err(sealing)?;
    let shapes = ledger::shapes(connection).map_err(sealing)?;
    let variables = tiers::variables(connection).map_err(sealing)?;
    let archived = archive::archived_days(connection).map_err(sealing)?;
    if purpose.is_seal() {
        let named: BTreeSet<String> = entries.iter().map(|entry| entry.file.clone()).collect();
        folder.clean(&named).map_err(io(folder.path()))?;
    }
    let looks: Vec<Look> = TABLES
        .iter()
        .map(|table| look(folder, table, &entries, &shapes, &marked.marks))
        .collect();
    let mut tasks = Vec::new();
    for (position, look) in looks.iter().enumerate() {
        tasks.extend(tasks_of(connection, position, look, purpose, now)?);
    }
    tasks.sort_by_key(|task| task.reason);
    let rows = |tasks: &[Task]| tasks.iter().map(|task| task.piece.rows).sum::<u64>();
    if !purpose.is_seal() && rows(&tasks) > purpose.most_rows() {
        return Ok(Taken {
            manifest: None,
            change: Change::default(),
            added: Vec::new(),
            removed: Vec::new(),
            rows_left: rows(&tasks),
        });
    }
    let (tasks, rest) = plan::split(tasks, |task| task.piece.rows, purpose.most_rows());
    let rows_left = rows(&rest);
    let is_complete = rest.iter().all(|task| task.reason == Reason::Joined);
    let written = write(connection, folder, &looks, &tasks, purpose)?;
    let left = marks_of(&looks, &rest);
    let change = change(marked.seen, &looks, &tasks, &written, left);
    let (files, removed) = gather(looks, &tasks, &written);
    Ok(Taken {
        manifest: is_complete.then_some(Manifest {
            files,
            archived,
            variables,
        }),
        change,
        added: written.into_iter().flatten().collect(),
        removed,
        rows_left,
    })
}

fn look(
    folder: &Folder,
    table: &'static SealedTable,
    entries: &[Entry],
    shapes: &BTreeMap<String, String>,
    marks: &[Mark],
) -> Look {
    let shape = shapes.get(table.name).cloned().unwrap_or_default();
    let mut look = Look {
        table,
        shape,
        base: None,
        files: Vec::new(),
        broken: Vec::new(),
        dirty: Vec::new(),
    };
    for entry in entries.iter().filter(|entry| entry.table == table.name) {
        let file = Some(entry)
            .filter(|entry| entry.shape == look.shape)
            .and_then(|entry| folder.named(entry));
        match file {
            Some(file) if entry.span == Span::NEVER => look.base = Some(file),
            Some(file) => look.files.push(file),
            None => {
                look.broken.push(entry.file.clone());
                look.dirty.push(entry.span);
            }
        }
    }
    look.files.sort_by_key(|file| file.span);
    let marks = marks.iter().filter(|mark| mark.table == table.name);
    look.dirty.extend(marks.map(|mark| mark.span));
    // Without the first of its files nothing of a table was ever looked at.
    let is_new = match table.cut {
        Cut::Whole => look.files.is_empty(),
        Cut::Time(_) => look.base.is_none(),
    };
    if is_new {
        let spans = look.files.iter().map(|file| file.span).collect();
        look.dirty.extend(gaps(spans));
    }
    look.dirty = joined(std::mem::take(&mut look.dirty));
    look
}

fn tasks_of(
    connection: &Connection,
    table: usize,
    look: &Look,
    purpose: Purpose,
    now: Micros,
) -> Result<Vec<Task>, ResultError> {
    let task = |piece: Piece, reason| Task {
        table,
        piece,
        reason,
    };
    let empty = |span| Piece { span, rows: 0 };
    let unit = match look.table.cut {
        Cut::Whole if look.dirty.is_empty() => return Ok(Vec::new()),
        Cut::Whole => return Ok(vec![task(empty(Span::EVER), Reason::New)]),
        Cut::Time(unit) => unit,
    };
    let sealed = look.files.iter().map(|file| Piece {
        span: file.span,
        rows: file.rows,
    });
    let known = Known {
        sealed: sealed.collect(),
        counted: counted(connection, look, unit, purpose).map_err(sealing)?,
        dirty: look.dirty.clone(),
    };
    let pieces = match purpose {
        Purpose::Fresh { .. } => plan::changed(&known),
        Purpose::Seal { .. } => plan::joining(&known, now),
    };
    let base = look
        .base
        .is_none()
        .then(|| task(empty(Span::NEVER), Reason::New));
    let pieces = pieces.into_iter().map(|piece| {
        let is_dirty = look.dirty.iter().any(|dirty| dirty.overlaps(piece.span));
        let has_file = look.files.iter().any(|file| file.span.overlaps(piece.span));
        let reason = match (is_dirty, has_file) {
            (true, false) => Reason::New,
            (true, true) => Reason::Changed,
            (false, _) => Reason::Joined,
        };
        task(piece, reason)
    });
    Ok(base.into_iter().chain(pieces).collect())
}

/// Units with rows in what has changed.
fn counted(
    connection: &Connection,
    look: &Look,
    unit: Micros,
    purpose: Purpose,
) -> duckdb::Result<Vec<Piece>> {
    let mut spans = look.dirty.clone();
    if spans.len() > MOST_COUNTED {
        spans = spans.into_iter().reduce(Span::join).into_iter().collect();
    }
    let mut counted = Vec::new();
    for span in spans {
        // One more unit is no work that has to be weighed.
        if span.width() == unit && !purpose.is_seal() {
            counted.push(Piece { span, rows: 0 });
            continue;
        }
        let sql = format!(
            "SELECT epoch_us(time_bucket(to_microseconds({unit}), ts)) AS unit, count(*) AS rows FROM fact.{} WHERE {} GROUP BY ALL",
            look.table.name,
            span.sql()
        );
        let mut statement = connection.prepare(&sql)?;
        let units = statement.query_map([], |row| {
            let from: Micros = row.get("unit")?;
            Ok(Piece {
                span: Span::new(from, from + unit),
                rows: row.get::<_, i64>("rows")?.unsigned_abs(),
            })
        })?;
        for piece in units {
            counted.push(piece?);
        }
    }
    Ok(counted)
}

/// Writes files; those of spans that have no rows are none.
fn write(
    connection: &Connection,
    folder: &Folder,
    looks: &[Look],
    tasks: &[Task],
    purpose: Purpose,
) -> Result<Vec<Option<Arc<SealedFile>>>, ResultError> {
    let mut written = Vec::new();
    for task in tasks {
        let table = looks[task.table].table;
        let span = task.piece.span;
        let path = folder.new_file(table.name, span);
        let rows = export(connection, table, span, &path).inspect_err(|_| {
            // What there is of it is removed by the next seal otherwise.
            let _ = std::fs::remove_file(&path);
        });
        let rows = rows.map_err(sealing)?;
        let file = folder
            .add(path.clone(), span, rows)
            .map_err(io(folder.path()))?;
        if rows == 0 && span != Span::NEVER && table.cut != Cut::Whole {
            written.push(None);
            continue;
        }
        if purpose.is_seal() {
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(io(&path))?;
        }
        written.push(Some(file));
    }
    if purpose.is_seal() && !written.is_empty() {
        folder.sync().map_err(io(folder.path()))?;
    }
    Ok(written)
}

/// Returns the rows of the file.
fn export(
    connection: &Connection,
    table: &SealedTable,
    span: Span,
    path: &Path,
) -> duckdb::Result<u64> {
    let path = path.display().to_string().replace('\'', "''");
    let condition = match table.cut {
        Cut::Whole => "true".to_owned(),
        Cut::Time(_) => span.sql(),
    };
    // Rows lie in the order of their commits, which is that of time but for those that came late.
    let rows = connection.execute(
        &format!(
            "COPY (SELECT * FROM fact.{} WHERE {condition}) TO '{path}' (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{utc: 'true'}})",
            table.name
        ),
        [],
    )?;
    Ok(rows as u64)
}

/// Returns what is not as in the files after this step; what is only to be joined is planned again.
fn marks_of(looks: &[Look], rest: &[Task]) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (position, look) in looks.iter().enumerate() {
        let changed = rest
            .iter()
            .filter(|task| task.reason != Reason::Joined && task.table == position);
        let spans = joined(changed.map(|task| task.piece.span).collect());
        marks.extend(spans.into_iter().map(|span| Mark {
            table: look.table.name.to_owned(),
            span,
        }));
    }
    marks
}

/// Returns what the store has to note: files that are there now, and those that are not needed any more.
fn change(
    seen: Vec<i64>,
    looks: &[Look],
    tasks: &[Task],
    written: &[Option<Arc<SealedFile>>],
    left: Vec<Mark>,
) -> Change {
    let added = tasks.iter().zip(written).filter_map(|(task, file)| {
        let (file, look) = (file.as_ref()?, &looks[task.table]);
        Some(Added {
            table: look.table.name,
            span: file.span,
            file: file.name(),
            rows: file.rows,
            bytes: file.bytes,
            shape: look.shape.clone(),
            sha256: file.sha256.clone(),
        })
    });
    let broken = looks.iter().flat_map(|look| look.broken.iter().cloned());
    let replaced = looks
        .iter()
        .enumerate()
        .flat_map(|(table, look)| replaced(table, look, tasks).map(|file| file.name()));
    Change {
        seen,
        added: added.collect(),
        removed: broken.chain(replaced).collect(),
        left,
    }
}

/// Files whose rows are in those that were written.
fn replaced<'a>(
    table: usize,
    look: &'a Look,
    tasks: &'a [Task],
) -> impl Iterator<Item = &'a Arc<SealedFile>> {
    look.files.iter().filter(move |file| {
        tasks
            .iter()
            .any(|task| task.table == table && task.piece.span.overlaps(file.span))
    })
}

/// Returns the files of each table, and those whose rows are in others now.
fn gather(looks: Vec<Look>, tasks: &[Task], written: &[Option<Arc<SealedFile>>]) -> Gathered {
    let mut files = BTreeMap::new();
    let mut removed = Vec::new();
    for (position, look) in looks.into_iter().enumerate() {
        let gone: Vec<Arc<SealedFile>> = replaced(position, &look, tasks).cloned().collect();
        let new = tasks.iter().zip(written);
        let new = new.filter(|(task, _)| task.table == position);
        let new = new.filter_map(|(_, file)| file.clone());
        let kept = look
            .files
            .iter()
            .filter(|file| !gone.iter().any(|gone| Arc::ptr_eq(gone, file)));
        let mut all: Vec<Arc<SealedFile>> =
            look.base.iter().chain(kept).cloned().chain(new).collect();
        // That without rows comes first: its columns are those of the table.
        all.sort_by_key(|file| (file.span != Span::NEVER, file.span));
        files.insert(look.table.name, all);
        removed.extend(gone);
    }
    (files, removed)
}

type Gathered = (
    BTreeMap<&'static str, Vec<Arc<SealedFile>>>,
    Vec<Arc<SealedFile>>,
);

fn sealing(source: duckdb::Error) -> ResultError {
    ResultError::Database {
        doing: "seal",
        source,
    }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ResultError {
    let path = path.to_owned();
    move |source| ResultError::Seal { path, source }
}
