//! Looks whether SQLite's write-ahead log is whole. SQLite ignores everything behind the first
//! frame whose checksum is wrong, which is right for the end of a log that a crash cut short, and
//! loses what was committed when it lies in the middle.
//!
//! The format: a header of 32 bytes, then frames of 24 bytes and a page each
//! (<https://sqlite.org/fileformat2.html#walformat>).

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Magic number; its last bit is the byte order of the checksums.
const MAGIC: u32 = 0x377f_0682;

/// Returns what is wrong with the log of a store, if anything is.
pub(super) fn damage(store: &Path) -> io::Result<Option<String>> {
    let mut name = store.as_os_str().to_owned();
    name.push("-wal");
    match File::open(&name) {
        Ok(file) => damage_in(BufReader::new(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn damage_in(mut log: impl Read) -> io::Result<Option<String>> {
    let mut header = [0; HEADER];
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let magic = word(&header, 0);
    let page = word(&header, 8) as usize;
    if magic & !1 != MAGIC || !page.is_power_of_two() || !(512..=65_536).contains(&page) {
        return Ok(Some(
            "the header of its write-ahead log is damaged".to_owned(),
        ));
    }
    let is_big = magic & 1 == 1;
    let mut sum = checksum((0, 0), &header[..24], is_big);
    if sum != (word(&header, 24), word(&header, 28)) {
        return Ok(Some(
            "the header of its write-ahead log is damaged".to_owned(),
        ));
    }
    let salt = &header[16..24];
    let mut frame = vec![0; FRAME_HEADER + page];
    let (mut number, mut broken) = (0_u64, None);
    // Commits that follow one another in frames behind the broken one.
    let (mut in_a_row, mut lost_commits) = (0_u64, 0_u64);
    while fill(&mut log, &mut frame)? {
        number += 1;
        let is_of_this_log = &frame[8..16] == salt;
        let stored = (word(&frame, 16), word(&frame, 20));
        let computed = checksum(
            checksum(sum, &frame[..8], is_big),
            &frame[FRAME_HEADER..],
            is_big,
        );
        let follows = is_of_this_log && computed == stored;
        sum = stored;
        if follows && broken.is_none() {
            continue;
        }
        broken.get_or_insert(number);
        // Frames of an earlier log have other salts; those of a commit that failed and was
        // overwritten are one commit each.
        in_a_row = if follows { in_a_row } else { 0 };
        in_a_row += u64::from(is_of_this_log && word(&frame, 4) > 0);
        lost_commits = lost_commits.max(in_a_row);
    }
    // A machine that lost its power may leave the last transaction in any order, and nothing of it
    // was answered as done.
    Ok(broken.filter(|_| lost_commits > 1).map(|frame| {
        format!("its write-ahead log is damaged at frame {frame}, with {lost_commits} commits from there on")
    }))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Goes on from a sum over the bytes before; the length is a multiple of 8.
fn checksum(mut sum: (u32, u32), bytes: &[u8], is_big: bool) -> (u32, u32) {
    let number = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if is_big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    };
    for pair in bytes.chunks_exact(8) {
        sum.0 = sum.0.wrapping_add(number(pair)).wrapping_add(sum.1);
        sum.1 = sum.1.wrapping_add(number(&pair[4..])).wrapping_add(sum.0);
    }
    sum
}

/// False at the end, also where less than the whole is left.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log with this many commits of one frame each.
    fn log(commits: usize) -> Vec<u8> {
        const PAGE: usize = 512;
        let mut log = Vec::new();
        for number in [MAGIC, 3_007_000, PAGE as u32, 0, 0xaaaa, 0xbbbb] {
            log.extend(number.to_be_bytes());
        }
        let mut sum = checksum((0, 0), &log, false);
        log.extend([sum.0.to_be_bytes(), sum.1.to_be_bytes()].concat());
        for index in 1..=commits {
            let head = [(index as u32).to_be_bytes(), 9_u32.to_be_bytes()].concat();
            let page = vec![index as u8; PAGE];
            sum = checksum(checksum(sum, &head, false), &page, false);
            log.extend(head);
            log.extend_from_within(16..24);
            log.extend([sum.0.to_be_bytes(), sum.1.to_be_bytes()].concat());
            log.extend(page);
        }
        log
    }

    #[test]
    fn a_log_that_ends_early_is_sound_and_one_broken_in_the_middle_is_not() {
        let whole = log(5);
        let frame = |index: usize| HEADER + index * (FRAME_HEADER + 512);
        let broken_at = |at: usize| {
            let mut log = whole.clone();
            log[at] ^= 1;
            log
        };
        let mut earlier = log(2);
        // What is left of a log before, with other salts.
        let mut rest = whole[frame(2)..].to_vec();
        rest.chunks_mut(FRAME_HEADER + 512)
            .for_each(|frame| frame[8] ^= 1);
        earlier.extend(rest);
        // Of other pages, each of which begins anew.
        let mut failed = log(2);
        failed.extend(&whole[frame(3)..frame(4)]);
        failed.extend(&whole[frame(1)..frame(2)]);
        for (name, log, is_damaged) in [
            ("whole", whole.clone(), false),
            ("nothing", Vec::new(), false),
            ("a header alone", whole[..HEADER].to_vec(), false),
            (
                "cut within a frame",
                whole[..frame(4) + 100].to_vec(),
                false,
            ),
            ("the last frame torn", broken_at(frame(4) + 200), false),
            ("the rest of a log before", earlier, false),
            (
                "the rest of commits that failed and were overwritten",
                failed,
                false,
            ),
            ("the header", broken_at(20), true),
            ("the magic number", broken_at(0), true),
            ("the first frame", broken_at(frame(0) + 100), true),
            ("a frame in the middle", broken_at(frame(2) + 30), true),
            ("a salt in the middle", broken_at(frame(2) + 9), true),
        ] {
            assert_eq!(
                damage_in(log.as_slice()).unwrap().is_some(),
                is_damaged,
                "{name}"
            );
        }
    }
}
