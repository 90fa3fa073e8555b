//! Kept rows that can't be committed, on a disk: append-only files of frames in a folder beside the
//! control store, because the disk of the results may be the one that is full. A frame is synced
//! before its rows count as durable; the oldest is committed first, and removed after its commit.
//! After a crash a frame may be there although it was committed, which the writer finds out from
//! the database.

mod frame;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::part::Part;
use crate::domain::UnixMillis;
use frame::FrameInfo;

/// A file is closed when it is as large, and removed once all of it is committed.
const SEGMENT_BYTES: u64 = 8 << 20;
/// Frames whose rows are read for one commit. A frame holds a second of rows, so that a long
/// backlog takes many commits.
const MOST_FRAMES: usize = 500;

const EXTENSION: &str = "rows";

#[derive(Debug, Clone)]
pub struct SpoolSettings {
    pub folder: PathBuf,
    /// Size of all files together. Default 1 GiB: hours of 1,000 rows a second.
    pub max_bytes: u64,
    /// Nothing is spooled while less is free on that disk: the control store needs the rest.
    /// Default 64 MiB.
    pub reserve_bytes: u64,
}

impl SpoolSettings {
    pub const MAX_BYTES: u64 = 1 << 30;
    pub const RESERVE_BYTES: u64 = 64 << 20;

    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            max_bytes: Self::MAX_BYTES,
            reserve_bytes: Self::RESERVE_BYTES,
        }
    }
}

/// One file.
struct Segment {
    path: PathBuf,
    /// Of the frames in `frames` and those removed from its beginning.
    bytes: u64,
    /// Frames before this one are committed.
    read_at: u64,
    frames: VecDeque<FrameInfo>,
}

pub(super) struct Spool {
    settings: SpoolSettings,
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// Of the last segment, while it takes more frames.
    open: Option<File>,
    next_number: u64,
    rows: u64,
    bytes: u64,
    /// The oldest frames are from before this start.
    inherited: usize,
}

impl Spool {
    /// Lists what is there. What a crash cut off at the end of a file was never durable, and is
    /// left out.
    pub(super) fn open(settings: SpoolSettings) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&settings.folder)?;
        let mut spool = Self {
            segments: VecDeque::new(),
            open: None,
            next_number: 1,
            rows: 0,
            bytes: 0,
            inherited: 0,
            settings,
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(&spool.settings.folder)? {
            let path = entry?.path();
            if let Some(number) = number_of(&path) {
                found.push((number, path));
            }
        }
        found.sort();
        for (number, path) in found {
            spool.next_number = number + 1;
            match scan(path) {
                Ok(segment) if segment.frames.is_empty() => remove(&segment.path),
                Ok(segment) => {
                    spool.rows += segment
                        .frames
                        .iter()
                        .map(|frame| u64::from(frame.rows))
                        .sum::<u64>();
                    spool.bytes += segment.bytes;
                    spool.segments.push_back(segment);
                }
                Err((path, error)) => {
                    tracing::error!(%error, file = %path.display(), "a file of spooled results can't be read; it stays where it is");
                }
            }
        }
        spool.inherited = spool.frame_count();
        Ok(spool)
    }

    /// Rows from before this start wait: readers of the database lack them, and nothing in memory
    /// has them.
    pub(super) fn has_inherited(&self) -> bool {
        self.inherited > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Arrival of the oldest row.
    pub(super) fn oldest_ms(&self) -> Option<UnixMillis> {
        self.segments
            .front()?
            .frames
            .front()
            .map(|frame| frame.oldest_ms)
    }

    pub(super) fn last_run_id(&self) -> i64 {
        self.frames()
            .map(|frame| frame.last_run_id)
            .max()
            .unwrap_or(0)
    }

    pub(super) fn last_event_id(&self) -> i64 {
        self.frames()
            .map(|frame| frame.last_event_id)
            .max()
            .unwrap_or(0)
    }

    /// Frames that wait.
    pub(super) fn frame_count(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| segment.frames.len())
            .sum()
    }

    /// The kept rows of a part; on the disk when this returns.
    pub(super) fn append(&mut self, part: &Part, oldest_ms: UnixMillis) -> io::Result<()> {
        let (bytes, info) = frame::encode(part, oldest_ms)?;
        self.has_room(info.bytes)?;
        if self.open.is_none()
            || self
                .segments
                .back()
                .is_none_or(|last| last.bytes >= SEGMENT_BYTES)
        {
            self.begin_segment()?;
        }
        let (Some(file), Some(segment)) = (&mut self.open, self.segments.back_mut()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What was written of it must not stand before the next frame. If that fails too, the
            // file takes no more.
            let whole = segment.bytes;
            if file
                .set_len(whole)
                .and_then(|()| file.seek(SeekFrom::Start(whole)))
                .is_err()
            {
                self.open = None;
            }
            self.drop_empty_segment();
            return Err(error);
        }
        segment.bytes += info.bytes;
        segment.frames.push_back(info);
        self.rows += u64::from(info.rows);
        self.bytes += info.bytes;
        Ok(())
    }

    /// The oldest frames, up to about so many rows, and how many frames they are. What can't be
    /// read is given up; the third value counts its rows.
    pub(super) fn read(&mut self, most_rows: usize) -> (Vec<Part>, usize, usize) {
        let (mut parts, mut frames, mut rows, mut unreadable) = (Vec::new(), 0, 0, 0);
        for segment in &self.segments {
            let mut file = File::open(&segment.path).and_then(|mut file| {
                file.seek(SeekFrom::Start(segment.read_at))?;
                Ok(file)
            });
            for info in &segment.frames {
                if frames > 0 && (rows >= most_rows || frames >= MOST_FRAMES) {
                    return (parts, frames, unreadable);
                }
                frames += 1;
                let part = match &mut file {
                    Ok(file) => read_frame(file, info),
                    Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
                };
                match part {
                    Ok(part) => {
                        rows += part.kept_rows();
                        parts.push(part);
                    }
                    Err(error) => {
                        tracing::error!(%error, file = %segment.path.display(), rows = info.rows, "spooled results can't be read back");
                        unreadable += info.rows as usize;
                    }
                }
            }
        }
        (parts, frames, unreadable)
    }

    /// The oldest frames are committed, or given up.
    pub(super) fn remove(&mut self, frames: usize) {
        for _ in 0..frames {
            let Some(segment) = self.segments.front_mut() else {
                return;
            };
            if let Some(info) = segment.frames.pop_front() {
                self.inherited = self.inherited.saturating_sub(1);
                segment.read_at += info.bytes;
                self.rows -= u64::from(info.rows);
                self.bytes -= info.bytes;
            }
            if segment.frames.is_empty() {
                remove(&segment.path);
                self.segments.pop_front();
                if self.segments.is_empty() {
                    self.open = None;
                }
            }
        }
    }

    fn frames(&self) -> impl Iterator<Item = &FrameInfo> {
        self.segments.iter().flat_map(|segment| &segment.frames)
    }

    fn has_room(&self, bytes: u64) -> io::Result<()> {
        if self.bytes + bytes > self.settings.max_bytes {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the spool of results has reached its size",
            ));
        }
        let disk = rustix::fs::statvfs(&self.settings.folder)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize)
            < self.settings.reserve_bytes.saturating_add(bytes)
        {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "what is free on that disk is left to the control store",
            ));
        }
        Ok(())
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        self.open = None;
        let path = self
            .settings
            .folder
            .join(format!("{:08}.{EXTENSION}", self.next_number));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        // Else the file may be gone after a power cut, although its content was synced.
        File::open(&self.settings.folder)?.sync_all()?;
        self.next_number += 1;
        self.open = Some(file);
        self.segments.push_back(Segment {
            path,
            bytes: 0,
            read_at: 0,
            frames: VecDeque::new(),
        });
        Ok(())
    }

    fn drop_empty_segment(&mut self) {
        if self
            .segments
            .back()
            .is_some_and(|segment| segment.frames.is_empty())
        {
            self.open = None;
            if let Some(segment) = self.segments.pop_back() {
                remove(&segment.path);
            }
        }
    }
}

fn read_frame(file: &mut File, info: &FrameInfo) -> io::Result<Part> {
    let mut bytes = vec![0; info.bytes as usize];
    file.read_exact(&mut bytes)?;
    frame::decode(&bytes)
}

fn scan(path: PathBuf) -> Result<Segment, (PathBuf, io::Error)> {
    let content = match fs::read(&path) {
        Ok(content) => content,
        Err(error) => return Err((path, error)),
    };
    let mut segment = Segment {
        path,
        bytes: 0,
        read_at: 0,
        frames: VecDeque::new(),
    };
    while let Some(info) = frame::inspect(&content[segment.bytes as usize..]) {
        segment.bytes += info.bytes;
        segment.frames.push_back(info);
    }
    let rest = content.len() as u64 - segment.bytes;
    if rest > 0 {
        tracing::warn!(file = %segment.path.display(), bytes = rest, "the end of a file of spooled results is cut or damaged, and left out");
    }
    Ok(segment)
}

/// Whether a file of the folder holds rows.
pub(super) fn is_segment(path: &Path) -> bool {
    number_of(path).is_some()
}

fn number_of(path: &Path) -> Option<u64> {
    if path.extension()? != EXTENSION {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

/// A file that stays is found again at the next start, where its rows are seen to be committed.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, file = %path.display(), "a file of spooled results can't be removed");
    }
}

#[cfg(test)]
mod tests;
