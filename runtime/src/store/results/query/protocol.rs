//! What the program and the process that runs a statement say to each other. To the process: its
//! task, as JSON behind its length. From the process: a mark, and behind it frames of a kind, a
//! length and a content; between frames the database may draw its bar of progress. Nothing depends on
//! what came before.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};

use super::percent::Bar;
use super::{QueryLimits, QueryParams, QueryProgress, SqlColumn};
use crate::child::{Limits, Sandbox};

/// Limit of a task: a statement, its values, and some ten thousand files.
const MAX_TASK: u32 = 16 << 20;
/// Limit of a frame, so of one row.
pub(super) const MAX_FRAME: u32 = 64 << 20;
/// Begins the answer. What a library prints before it is passed over.
const MARK: &[u8] = b"\n\0extrack answers\0\n";
/// Limit of what is passed over.
const MAX_NOISE: usize = 4 << 10;

/// A statement that was admitted, and all that the process may know.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    pub(super) sql: String,
    pub(super) params: QueryParams,
    pub(super) answer: QueryLimits,
    /// Names in the statement, see [`Names`](super::super::gate::Names).
    pub(super) names: Vec<String>,
    pub(super) snapshot: Files,
    /// The one folder that it may write into.
    pub(super) spill: PathBuf,
    pub(super) threads: usize,
    pub(super) sandbox: Sandbox,
    pub(super) limits: Limits,
}

/// What a snapshot is for somebody who may only read its files.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Files {
    pub(super) tables: BTreeMap<String, Vec<PathBuf>>,
    pub(super) variables: String,
}

impl Task {
    /// Returns the task as it is sent.
    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        match u32::try_from(json.len()) {
            Ok(length) if length <= MAX_TASK => {
                Ok([&length.to_le_bytes()[..], json.as_slice()].concat())
            }
            _ => Err(io::Error::other("the statement needs too many files")),
        }
    }

    pub(super) fn read(input: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        input.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > MAX_TASK {
            return Err(io::Error::other("the task is too long"));
        }
        let mut json = vec![0; length as usize];
        input.read_exact(&mut json)?;
        Ok(serde_json::from_slice(&json)?)
    }
}

/// Kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// [`Head`]
    Head = 1,
    /// A whole stream of Arrow IPC, for itself: first without a batch, for the schema, later with one.
    Rows = 2,
    /// [`End`]
    End = 3,
    /// [`Failure`]
    Failed = 4,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Head, Self::Rows, Self::End, Self::Failed];
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) columns: Vec<SqlColumn>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) is_truncated: bool,
}

/// Why a statement has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Failure {
    /// The statement's own fault; DuckDB's text.
    Invalid(String),
    Memory,
    /// The process could not do what it is for.
    Broken(String),
}

/// The sending side.
pub(super) struct FrameWriter<W: Write> {
    output: W,
}

impl<W: Write> FrameWriter<W> {
    pub(super) fn begin(mut output: W) -> io::Result<Self> {
        output.write_all(MARK)?;
        Ok(Self { output })
    }

    pub(super) fn json(&mut self, kind: Kind, content: &impl Serialize) -> io::Result<()> {
        let json = serde_json::to_vec(content)?;
        self.frame(kind, &json)
    }

    pub(super) fn frame(&mut self, kind: Kind, content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(content.len())
            .ok()
            .filter(|length| *length <= MAX_FRAME)
            .ok_or_else(|| io::Error::other("a frame is too long"))?;
        self.output.write_all(&[kind as u8])?;
        self.output.write_all(&length.to_le_bytes())?;
        self.output.write_all(content)?;
        self.output.flush()
    }
}

/// What came from the process and is none of the above, or its early end.
#[derive(Debug)]
pub(super) struct Garbage;

/// The receiving side, which believes nothing.
pub(super) struct FrameReader<R> {
    input: BufReader<R>,
    bar: Bar,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads up to the mark.
    pub(super) async fn begin(input: R, progress: QueryProgress) -> Result<Self, Garbage> {
        let mut input = BufReader::new(input);
        let mut seen: Vec<u8> = Vec::new();
        while !seen.ends_with(MARK) {
            if seen.len() > MAX_NOISE {
                return Err(Garbage);
            }
            seen.push(input.read_u8().await.map_err(|_| Garbage)?);
        }
        Ok(Self {
            input,
            bar: Bar::new(progress),
        })
    }

    /// Reads up to the next frame.
    async fn kind(&mut self) -> Result<Kind, Garbage> {
        loop {
            let byte = self.input.read_u8().await.map_err(|_| Garbage)?;
            if let Some(kind) = Kind::ALL.into_iter().find(|kind| *kind as u8 == byte) {
                return Ok(kind);
            }
            if !self.bar.take(byte) {
                return Err(Garbage);
            }
        }
    }

    pub(super) async fn next(&mut self) -> Result<(Kind, Vec<u8>), Garbage> {
        let kind = self.kind().await?;
        let length = self.input.read_u32_le().await.map_err(|_| Garbage)?;
        if length > MAX_FRAME {
            return Err(Garbage);
        }
        // Grows with what comes: a length alone takes no memory.
        let mut content = Vec::new();
        let mut input = (&mut self.input).take(length.into());
        let read = input.read_to_end(&mut content).await;
        match read {
            Ok(read) if read == length as usize => Ok((kind, content)),
            _ => Err(Garbage),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn begin<'a>(
        sent: &'a [u8],
        progress: &QueryProgress,
    ) -> Result<FrameReader<&'a [u8]>, Garbage> {
        FrameReader::begin(sent, progress.clone()).await
    }

    #[tokio::test]
    async fn frames_are_read_behind_noise_and_nothing_else_is() {
        let mut sent = b"a library's greeting\n".to_vec();
        let mut writer = FrameWriter::begin(&mut sent).unwrap();
        writer.frame(Kind::Rows, b"abc").unwrap();
        writer
            .output
            .extend("\r 40% ▕██ ▏ (~2 seconds remaining)\n".bytes());
        let end = End { is_truncated: true };
        writer.json(Kind::End, &end).unwrap();
        assert!(
            writer
                .frame(Kind::Rows, &vec![0; MAX_FRAME as usize + 1])
                .is_err()
        );
        let progress = QueryProgress::default();
        let mut reader = begin(&sent, &progress).await.unwrap();
        assert_eq!(reader.next().await.unwrap(), (Kind::Rows, b"abc".to_vec()));
        assert_eq!(progress.percent(), None);
        assert_eq!(reader.next().await.unwrap().0, Kind::End);
        assert_eq!(progress.percent(), Some(40));
        assert!(reader.next().await.is_err(), "its end");
        for garbage in [
            &[9, 0, 0, 0, 0][..],
            &[2, 255, 255, 255, 255],
            &[2, 4, 0, 0, 0, 1, 2],
            &[2, 0],
        ] {
            let sent = [MARK, garbage].concat();
            let mut reader = begin(&sent, &progress).await.unwrap();
            assert!(reader.next().await.is_err(), "{garbage:?}");
        }
        let noise = vec![b'x'; 1 << 20];
        assert!(begin(&noise, &progress).await.is_err());
    }

    #[test]
    fn a_task_without_an_end_is_refused() {
        for sent in [
            &b""[..],
            &[255, 255, 255, 255, 1],
            &[2, 0, 0, 0, b'{', b'}'],
        ] {
            assert!(Task::read(&mut &*sent).is_err(), "{sent:?}");
        }
    }
}
