//! Mends what a kill tore. A checkpoint of DuckDB (1.5.6, `MetadataManager::Flush`) writes blocks of metadata
//! anew in their places, 256 KiB each, before the header that needs them. The kernel ends a write of
//! a process that is killed at any page, and then the block is part old, part new, and its checksum
//! is that of neither. The part that the header in force needs is the same in both, so the block is
//! whole again with a checksum of its own. Only the last thing in the log being the mark of a
//! checkpoint shows that one was under way; without it a wrong checksum is damage.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use duckdb::{AccessMode, Config, Connection};

use super::ResultError;
use super::damage::log_of;

/// Bytes before the first block: three headers.
const BLOCKS_AT: u64 = 12_288;
/// A block begins with its checksum.
const BLOCK: usize = 256 * 1024;
const CHECKSUM: usize = 8;
/// Blocks of metadata are a few; more that are torn are none of one kill.
const MOST_BLOCKS: usize = 100;

/// Entries of the log begin with the size of what follows the entry's checksum, both of 8 bytes.
const ENTRY_HEAD: usize = 16;
/// Payload of the entry that ends a transaction.
const FLUSH: [u8; 5] = [0x64, 0, 0x64, 0xff, 0xff];
/// Beginning of the payload of the entry that a checkpoint writes first, and its largest size.
const CHECKPOINT: [u8; 3] = [0x64, 0, 0x63];
const CHECKPOINT_MOST: usize = 64;

/// Mends the blocks that are torn, if a checkpoint was under way; returns how many they were. No
/// program may have the file open.
pub(super) fn mend(path: &Path, memory_limit: &str) -> Result<usize, ResultError> {
    let failed = |source| ResultError::Torn {
        path: path.to_owned(),
        source,
    };
    if !ends_in_checkpoint(&log_of(path)).map_err(failed)? {
        return Ok(0);
    }
    let mut mended = 0;
    let blocks = loop {
        let error = match metadata_blocks(path, memory_limit) {
            Ok(blocks) => break blocks,
            Err(error) => error,
        };
        let named = torn_block(&error).filter(|_| mended < MOST_BLOCKS);
        let Some(at) = named else {
            return Err(error);
        };
        if !mend_block(path, at).map_err(failed)? {
            return Err(error);
        }
        mended += 1;
    };
    // Opening reads some of them alone.
    for at in blocks {
        mended += usize::from(mend_block(path, at).map_err(failed)?);
    }
    Ok(mended)
}

fn ends_in_checkpoint(log: &Path) -> io::Result<bool> {
    let mut file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let most = 2 * ENTRY_HEAD + FLUSH.len() + CHECKPOINT_MOST;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most as u64)))?;
    let mut end = Vec::with_capacity(most);
    file.read_to_end(&mut end)?;
    Ok(is_end_of_checkpoint(&end))
}

fn is_end_of_checkpoint(end: &[u8]) -> bool {
    let Some(rest) = before_entry(end, FLUSH.len()).filter(|_| end.ends_with(&FLUSH)) else {
        return false;
    };
    (CHECKPOINT.len()..=CHECKPOINT_MOST).any(|size| {
        before_entry(rest, size).is_some() && rest[rest.len() - size..].starts_with(&CHECKPOINT)
    })
}

/// Returns what lies before an entry whose payload has this size, if there is one at the end.
fn before_entry(bytes: &[u8], size: usize) -> Option<&[u8]> {
    let at = bytes.len().checked_sub(ENTRY_HEAD + size)?;
    let (rest, entry) = bytes.split_at(at);
    let named = entry.first_chunk().map(|head| u64::from_le_bytes(*head));
    (named == Some(size as u64)).then_some(rest)
}

/// Opens the store without writing, which leaves the log as it is; returns where its blocks of
/// metadata begin.
fn metadata_blocks(path: &Path, memory_limit: &str) -> Result<Vec<u64>, ResultError> {
    let opening = |source| ResultError::Database {
        doing: "look through",
        source,
    };
    let read = || {
        let config = Config::default()
            .max_memory(memory_limit)?
            .access_mode(AccessMode::ReadOnly)?
            .with("autoinstall_known_extensions", "false")?
            .with("autoload_known_extensions", "false")?;
        let connection = Connection::open_with_flags(path, config)?;
        let sql = "SELECT DISTINCT block_id FROM pragma_metadata_info()";
        let mut statement = connection.prepare(sql)?;
        let ids = statement.query_map([], |row| row.get::<_, i64>("block_id"))?;
        ids.map(|id| Ok(BLOCKS_AT + id?.unsigned_abs() * BLOCK as u64))
            .collect::<duckdb::Result<Vec<u64>>>()
    };
    // Bindings of the database panic on some errors of a damaged file.
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    read.map_or(Err(ResultError::Reader), |read| read.map_err(opening))
}

/// Returns the place of the block whose checksum is wrong, by the text of the error.
fn torn_block(error: &ResultError) -> Option<u64> {
    let ResultError::Database { source, .. } = error else {
        return None;
    };
    let text = source.to_string();
    let (_, place) = text.split_once("does not match stored checksum")?;
    let (_, place) = place.split_once("in block at location ")?;
    let digits = place.find(|c: char| !c.is_ascii_digit());
    let at: u64 = place[..digits.unwrap_or(place.len())].parse().ok()?;
    (at.checked_sub(BLOCKS_AT)? % BLOCK as u64 == 0).then_some(at)
}

/// Gives a block the checksum of what is in it. False: it has that.
fn mend_block(path: &Path, at: u64) -> io::Result<bool> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let mut block = vec![0; BLOCK];
    file.read_exact_at(&mut block, at)?;
    let (stored, content) = block.split_at(CHECKSUM);
    let computed = checksum(content).to_le_bytes();
    if stored == computed {
        return Ok(false);
    }
    tracing::warn!(
        at,
        stored = hex::encode(stored),
        computed = hex::encode(computed),
        "the last stop of the program tore a block of the results store; it is mended"
    );
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&computed)?;
    file.sync_all()?;
    Ok(true)
}

/// DuckDB's checksum of whole words.
fn checksum(content: &[u8]) -> u64 {
    let words = content.chunks_exact(8).map(|word| {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        word.wrapping_mul(0xbf58_476d_1ce4_e5b9)
    });
    words.fold(5_381, |sum, word| sum ^ word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(payload: &[u8]) -> Vec<u8> {
        let size = payload.len() as u64;
        [&size.to_le_bytes()[..], &[7; 8], payload].concat()
    }

    #[test]
    fn a_log_that_ends_in_a_checkpoint_is_known() {
        let mark = entry(&[0x64, 0, 0x63, 0x65, 0, 9, 9, 9, 9, 9, 0xff, 0xff]);
        let flush = entry(&FLUSH);
        let row = entry(&[0x64, 0, 0x1c, 1, 2, 3]);
        for (entries, wanted) in [
            (vec![&row, &flush, &mark, &flush], true),
            (vec![&mark, &flush], true),
            (vec![&row, &flush], false),
            (vec![&mark, &flush, &row, &flush], false),
            (vec![&flush, &mark], false),
            (vec![&flush], false),
            (vec![], false),
        ] {
            let log: Vec<u8> = entries.into_iter().flatten().copied().collect();
            assert_eq!(is_end_of_checkpoint(&log), wanted, "{log:?}");
            assert!(!is_end_of_checkpoint(&log[..log.len().saturating_sub(1)]));
        }
    }

    #[test]
    fn the_place_of_a_block_is_in_the_error() {
        let place = |text: &str| {
            let source =
                duckdb::Error::DuckDBFailure(duckdb::ffi::Error::new(1), Some(text.into()));
            torn_block(&ResultError::Database {
                doing: "open",
                source,
            })
        };
        let text = |at: u64| {
            format!(
                "IO Error: Corrupt database file: computed checksum 1 does not match stored checksum 2 in block at location {at}"
            )
        };
        assert_eq!(place(&text(12_288)), Some(12_288));
        assert_eq!(place(&format!("{}.\n", text(1_323_008))), Some(1_323_008));
        assert_eq!(place(&text(4_096)), None, "a header");
        assert_eq!(place("IO Error: Cannot open file"), None);
    }
}
