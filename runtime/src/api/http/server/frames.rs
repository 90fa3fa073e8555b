//! Follows the frames of HTTP/2 (RFC 9113, 4.1) just far enough to see whether a head has begun and
//! not ended: the library waits for the rest of one without a limit of time.

/// First bytes of each connection (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADER_BYTES: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

#[derive(Debug)]
pub(super) struct FrameWatch {
    /// Bytes to come that are looked at no further: of the preface, or of a frame's payload.
    skipped: usize,
    /// Header of the next frame, as far as it is there.
    header: [u8; HEADER_BYTES],
    filled: usize,
    is_head_open: bool,
    /// The head is complete when the skipped bytes are there.
    ends_head: bool,
}

impl FrameWatch {
    pub(super) fn new() -> Self {
        Self {
            skipped: PREFACE.len(),
            header: [0; HEADER_BYTES],
            filled: 0,
            is_head_open: false,
            ends_head: false,
        }
    }

    /// Takes what was read; returns whether there is a head of which some is missing.
    pub(super) fn read(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = self.skipped.min(rest.len());
            self.skipped -= count;
            rest = &rest[count..];
            if self.skipped == 0 && std::mem::take(&mut self.ends_head) {
                self.is_head_open = false;
            }
            let count = (HEADER_BYTES - self.filled).min(rest.len());
            self.header[self.filled..self.filled + count].copy_from_slice(&rest[..count]);
            self.filled += count;
            rest = &rest[count..];
            if self.filled == HEADER_BYTES {
                self.begin_frame();
            }
        }
        self.is_head_open
    }

    fn begin_frame(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.filled = 0;
        self.skipped = u32::from_be_bytes([0, high, middle, low]) as usize;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.is_head_open = true;
            self.ends_head = flags & END_HEADERS != 0;
            if self.skipped == 0 && std::mem::take(&mut self.ends_head) {
                self.is_head_open = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        frame.resize(HEADER_BYTES + payload, 0xff);
        frame
    }

    #[test]
    fn a_head_is_open_from_its_first_frame_to_the_last_byte_of_its_last() {
        let settings = frame(4, 0, 12);
        let head = frame(HEADERS, 0, 300);
        let more = frame(CONTINUATION, 0, 0);
        let last = frame(CONTINUATION, END_HEADERS, 70_000);
        let data = frame(0, 1, 5);
        let whole = frame(HEADERS, END_HEADERS | 1, 40);
        let empty = frame(HEADERS, END_HEADERS, 0);
        for step in [1, 7, 8, 9, 10, 1_000, 100_000] {
            let mut watch = FrameWatch::new();
            let mut read = |bytes: &[u8]| {
                bytes
                    .chunks(step)
                    .map(|chunk| watch.read(chunk))
                    .last()
                    .unwrap()
            };
            assert!(!read(PREFACE), "{step}");
            assert!(!read(&settings), "{step}");
            assert!(read(&head[..HEADER_BYTES]), "{step}");
            assert!(read(&head[HEADER_BYTES..]), "{step}");
            assert!(read(&more), "{step}");
            assert!(read(&last[..last.len() - 1]), "{step}");
            assert!(!read(&last[last.len() - 1..]), "{step}");
            assert!(!read(&data), "{step}");
            assert!(!read(&whole), "{step}");
            assert!(!read(&empty), "{step}");
            assert!(!read(&whole[..HEADER_BYTES - 1]), "{step}");
        }
    }

    #[test]
    fn frames_that_come_together_are_told_apart() {
        let mut watch = FrameWatch::new();
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(4, 0, 6));
        bytes.extend(frame(HEADERS, END_HEADERS, 20));
        bytes.extend(&frame(HEADERS, END_HEADERS, 20)[..15]);
        assert!(watch.read(&bytes));
        assert!(!watch.read(&[0xff; 14]));
    }
}
