//! Content codings (RFC 9110, 8.4): taken off under the cap, so that a few bytes can't become many,
//! and in small steps, so that one body does not hold up what else runs on its thread.

use std::io::{ErrorKind, Read};

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};
use tokio::task::yield_now;

use super::room::BodyRoom;
use crate::net::failure::NetError;

const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, deflate, br");

/// Codings on top of each other. Each multiplies what a bomb gains, and more than two are a mistake
/// of the server.
const MAX_CODINGS: usize = 3;
/// Members of one gzip body: each costs a decoder, and may be empty.
const MAX_MEMBERS: usize = 4_096;
/// Bytes decoded before other tasks are let in, some 0.2 ms.
const STEP: usize = 64 * 1024;
/// Members decoded before other tasks are let in.
const STEP_MEMBERS: usize = 16;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

/// Unless the caller asked for codings of its own.
pub(super) fn accept(headers: &mut HeaderMap) {
    headers.entry(ACCEPT_ENCODING).or_insert(ACCEPTED);
}

/// How the body is coded, in the order in which that was done; empty if it is as it is.
pub(super) fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Unknown> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = String::from_utf8_lossy(value.as_bytes());
        for name in value.split(',').map(str::trim) {
            codings.push(match name.to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                other => {
                    return Err(Unknown(format!(
                        "`{}`",
                        other.chars().take(40).collect::<String>()
                    )));
                }
            });
            if codings.len() > MAX_CODINGS {
                return Err(Unknown(format!("more than {MAX_CODINGS} codings")));
            }
        }
    }
    Ok(codings)
}

/// A coding that can't be taken off. The text is for people.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is compressed by {0}; known codings are `gzip`, `deflate` and `br`")]
pub(super) struct Unknown(String);

impl From<Unknown> for NetError {
    fn from(unknown: Unknown) -> Self {
        NetError::Protocol(unknown.to_string())
    }
}

/// Removes what described the coded body and is not true of the decoded one.
pub(super) fn strip(headers: &mut HeaderMap) {
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
}

/// The body without these codings. Neither it nor anything on the way to it is longer than the cap.
pub(super) async fn decode(
    codings: &[Coding],
    mut body: Bytes,
    cap: usize,
    room: &BodyRoom,
) -> Result<Bytes, NetError> {
    for coding in codings.iter().rev() {
        body = coding.decode(&body, cap, room).await?;
    }
    Ok(body)
}

impl Coding {
    async fn decode(self, body: &[u8], cap: usize, room: &BodyRoom) -> Result<Bytes, NetError> {
        let mut decoded = Decoded {
            bytes: Vec::new(),
            cap,
            coded: body.len(),
            room,
        };
        match self {
            Coding::Gzip => decoded.gzip(body).await?,
            // By the standard with a zlib header; some servers leave it out.
            Coding::Deflate if has_zlib_header(body) => {
                decoded.drain(ZlibDecoder::new(body)).await?
            }
            Coding::Deflate => decoded.drain(DeflateDecoder::new(body)).await?,
            Coding::Brotli => {
                decoded
                    .drain(brotli_decompressor::Decompressor::new(body, 4096))
                    .await?
            }
        }
        Ok(decoded.bytes.into())
    }
}

fn has_zlib_header(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0)
}

struct Decoded<'a> {
    bytes: Vec<u8>,
    cap: usize,
    /// Bytes of the coded body, which is there until the end.
    coded: usize,
    room: &'a BodyRoom,
}

impl Decoded<'_> {
    /// One member after the other. What follows the last one and is no member is padding, which
    /// browsers ignore as well.
    async fn gzip(&mut self, mut rest: &[u8]) -> Result<(), NetError> {
        for member in 1.. {
            let mut decoder = GzDecoder::new(rest);
            self.drain(&mut decoder).await?;
            rest = decoder.into_inner();
            if !rest.starts_with(&GZIP_MAGIC) {
                break;
            }
            if member == MAX_MEMBERS {
                let text = format!(
                    "the body can't be decompressed: it has more than {MAX_MEMBERS} members"
                );
                return Err(NetError::Protocol(text));
            }
            if member % STEP_MEMBERS == 0 {
                yield_now().await;
            }
        }
        Ok(())
    }

    async fn drain(&mut self, mut decoder: impl Read) -> Result<(), NetError> {
        let mut since_yield = 0;
        loop {
            let start = self.bytes.len();
            // One byte more separates a body that ends at the cap from one that goes on.
            let room = (self.cap + 1 - start).min(STEP);
            self.room.reserve(self.coded + start + room)?;
            self.bytes.resize(start + room, 0);
            let read = decoder.read(&mut self.bytes[start..]);
            self.bytes
                .truncate(start + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(0) => return Ok(()),
                Ok(_) if self.bytes.len() > self.cap => return Err(too_large(self.cap)),
                Ok(count) => since_yield += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    let text = "the body can't be decompressed: it ends early, or was cut off";
                    return Err(NetError::Protocol(text.to_owned()));
                }
                Err(error) => {
                    return Err(NetError::Protocol(format!(
                        "the body can't be decompressed: {error}"
                    )));
                }
            }
            if since_yield >= STEP {
                since_yield = 0;
                yield_now().await;
            }
        }
    }
}

pub(super) fn too_large(cap: usize) -> NetError {
    NetError::TooLarge(format!(
        "the body is compressed and holds more than {cap} bytes, or came as more"
    ))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    /// `hello hello hello hello`, and 10 MiB of `a`.
    const BROTLI: &[u8] =
        b"\x1b\x16\x00\xf8\x8d\x94\x6e\xde\x44\x55\x86\x96\x6c\x20\x6f\x21\x4f\x1c\xe0\x38";
    const BROTLI_BOMB: &[u8] =
        b"\xcb\xff\xff\x3f\xf8\x25\xc2\xe2\xb1\x40\x20\xf7\xfe\x2f\xff\xff\x3f\xf0\x4b\x00\xc4\x61\x11\x80\xee\xfd\x07";

    fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        match coding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            "zlib" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            _ => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    async fn decode_one(coding: Coding, body: &[u8], cap: usize) -> Result<Bytes, NetError> {
        decode(
            &[coding],
            Bytes::copy_from_slice(body),
            cap,
            &BodyRoom::default(),
        )
        .await
    }

    #[tokio::test]
    async fn takes_off_each_coding_up_to_the_cap() {
        let body = vec![b'a'; 1000];
        for (coding, bytes) in [
            (Coding::Gzip, coded("gzip", &body)),
            (Coding::Deflate, coded("zlib", &body)),
            (Coding::Deflate, coded("raw", &body)),
        ] {
            assert_eq!(decode_one(coding, &bytes, 1000).await.unwrap(), body);
            assert!(matches!(
                decode_one(coding, &bytes, 999).await,
                Err(NetError::TooLarge(_))
            ));
            let cut = decode_one(coding, &bytes[..bytes.len() - 9], 1000).await;
            assert!(matches!(cut, Err(NetError::Protocol(_))), "{coding:?}");
        }
        assert_eq!(
            decode_one(Coding::Brotli, BROTLI, 23).await.unwrap(),
            "hello hello hello hello"
        );
        assert!(matches!(
            decode_one(Coding::Brotli, BROTLI, 22).await,
            Err(NetError::TooLarge(_))
        ));
        assert!(matches!(
            decode_one(Coding::Brotli, &BROTLI[..9], 100).await,
            Err(NetError::Protocol(_))
        ));
        assert!(matches!(
            decode_one(Coding::Brotli, BROTLI_BOMB, 1 << 20).await,
            Err(NetError::TooLarge(_))
        ));
        assert_eq!(
            decode_one(Coding::Brotli, BROTLI_BOMB, 10 << 20)
                .await
                .unwrap()
                .len(),
            10 << 20
        );
    }

    #[tokio::test]
    async fn codings_on_top_of_each_other_are_taken_off_last_first() {
        let body = coded("zlib", &coded("gzip", b"twice"));
        assert_eq!(
            decode(
                &[Coding::Gzip, Coding::Deflate],
                body.into(),
                1000,
                &BodyRoom::default()
            )
            .await
            .unwrap(),
            "twice"
        );
        let bomb = coded("gzip", &coded("gzip", &vec![0; 4 << 20]));
        let read = decode(
            &[Coding::Gzip, Coding::Gzip],
            bomb.into(),
            1 << 20,
            &BodyRoom::default(),
        )
        .await;
        assert!(matches!(read, Err(NetError::TooLarge(_))));
    }

    #[tokio::test]
    async fn gzip_may_have_members_and_padding() {
        let two = [coded("gzip", b"one "), coded("gzip", b"two"), vec![0; 512]].concat();
        assert_eq!(
            decode_one(Coding::Gzip, &two, 100).await.unwrap(),
            "one two"
        );
        let cut = [coded("gzip", b"one "), coded("gzip", b"two")[..12].to_vec()].concat();
        assert!(matches!(
            decode_one(Coding::Gzip, &cut, 100).await,
            Err(NetError::Protocol(_))
        ));
    }

    #[tokio::test]
    async fn many_empty_members_end_at_a_bound_and_let_others_run() {
        let member = coded("gzip", b"");
        let most = decode_one(Coding::Gzip, &member.repeat(MAX_MEMBERS), 100)
            .await
            .unwrap();
        assert!(most.is_empty());
        let others = std::rc::Rc::new(std::cell::Cell::new(0));
        let seen = others.clone();
        let local = tokio::task::LocalSet::new();
        local.spawn_local(async move {
            loop {
                seen.set(seen.get() + 1);
                yield_now().await;
            }
        });
        let read = local
            .run_until(decode_one(
                Coding::Gzip,
                &member.repeat(MAX_MEMBERS + 1),
                100,
            ))
            .await;
        assert!(
            read.unwrap_err()
                .to_string()
                .contains("more than 4096 members")
        );
        assert!(others.get() > 10, "{}", others.get());
    }

    #[test]
    fn reads_the_header() {
        let codings = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            });
            codings(&headers).map_err(|Unknown(name)| name)
        };
        assert_eq!(codings(&[]), Ok(vec![]));
        assert_eq!(codings(&["identity"]), Ok(vec![]));
        assert_eq!(codings(&["GZIP"]), Ok(vec![Coding::Gzip]));
        assert_eq!(codings(&["identity, br"]), Ok(vec![Coding::Brotli]));
        assert_eq!(
            codings(&["gzip, br"]),
            Ok(vec![Coding::Gzip, Coding::Brotli])
        );
        assert_eq!(
            codings(&["gzip", "x-gzip"]),
            Ok(vec![Coding::Gzip, Coding::Gzip])
        );
        assert_eq!(codings(&["zstd"]), Err("`zstd`".to_owned()));
        assert_eq!(
            codings(&["gzip, gzip, gzip, gzip"]),
            Err("more than 3 codings".to_owned())
        );
    }
}
