//! Content codings (RFC 9110, 8.4): taken off under the cap, so that a few bytes can't become many.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue};

use crate::net::failure::NetError;

const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, deflate, br");

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

/// How the body is coded; none if it is as it is.
pub(super) fn coding(headers: &HeaderMap) -> Result<Option<Coding>, Unknown> {
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().map_err(|_| Unknown("not text".to_owned()))?.split(',').map(str::trim) {
            let coding = match name.to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                other => return Err(Unknown(other.chars().take(40).collect())),
            };
            // Codings on top of each other multiply what a bomb gains, and nobody sends them.
            if found.replace(coding).is_some() {
                return Err(Unknown("several codings".to_owned()));
            }
        }
    }
    Ok(found)
}

/// A coding that can't be taken off.
#[derive(Debug)]
pub(super) struct Unknown(String);

impl From<Unknown> for NetError {
    fn from(Unknown(name): Unknown) -> Self {
        NetError::Protocol(format!(
            "the body is encoded by `{name}`; only one of `gzip`, `deflate` and `br` is understood"
        ))
    }
}

/// What described the coded body and is not true of the decoded one.
pub(super) fn strip(headers: &mut HeaderMap) {
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
}

impl Coding {
    pub(super) fn decode(self, body: &[u8], cap: usize) -> Result<Bytes, NetError> {
        match self {
            Coding::Gzip => drain(MultiGzDecoder::new(body), cap),
            // By the standard with a zlib header; some servers leave it out.
            Coding::Deflate if has_zlib_header(body) => drain(ZlibDecoder::new(body), cap),
            Coding::Deflate => drain(DeflateDecoder::new(body), cap),
            Coding::Brotli => drain(brotli_decompressor::Decompressor::new(body, 4096), cap),
        }
    }
}

fn has_zlib_header(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0)
}

fn drain(decoder: impl Read, cap: usize) -> Result<Bytes, NetError> {
    let mut decoded = Vec::new();
    // One byte more tells a body that ends at the cap from one that goes on.
    let read = decoder.take(cap as u64 + 1).read_to_end(&mut decoded);
    if decoded.len() > cap {
        return Err(too_large(cap));
    }
    read.map_err(|error| NetError::Protocol(format!("the body can't be decompressed: {error}")))?;
    Ok(decoded.into())
}

pub(super) fn too_large(cap: usize) -> NetError {
    NetError::TooLarge(format!("the body is compressed and holds more than {cap} bytes, or came as more"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    /// `hello hello hello hello`, and 10 MiB of `a`.
    const BROTLI: &[u8] = b"\x1b\x16\x00\xf8\x8d\x94\x6e\xde\x44\x55\x86\x96\x6c\x20\x6f\x21\x4f\x1c\xe0\x38";
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

    #[test]
    fn takes_off_each_coding_up_to_the_cap() {
        let body = vec![b'a'; 1000];
        for (coding, bytes) in [
            (Coding::Gzip, coded("gzip", &body)),
            (Coding::Deflate, coded("zlib", &body)),
            (Coding::Deflate, coded("raw", &body)),
        ] {
            assert_eq!(coding.decode(&bytes, 1000).unwrap(), body);
            assert!(matches!(coding.decode(&bytes, 999), Err(NetError::TooLarge(_))));
            assert!(matches!(coding.decode(&bytes[..bytes.len() - 9], 1000), Err(NetError::Protocol(_))), "{coding:?}");
        }
        assert_eq!(Coding::Brotli.decode(BROTLI, 23).unwrap(), "hello hello hello hello");
        assert!(matches!(Coding::Brotli.decode(BROTLI, 22), Err(NetError::TooLarge(_))));
        assert!(matches!(Coding::Brotli.decode(&BROTLI[..9], 100), Err(NetError::Protocol(_))));
        assert!(matches!(Coding::Brotli.decode(BROTLI_BOMB, 1 << 20), Err(NetError::TooLarge(_))));
        assert_eq!(Coding::Brotli.decode(BROTLI_BOMB, 10 << 20).unwrap().len(), 10 << 20);
        let two = [coded("gzip", b"one "), coded("gzip", b"two")].concat();
        assert_eq!(Coding::Gzip.decode(&two, 100).unwrap(), "one two");
    }

    #[test]
    fn reads_the_header() {
        let coding = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            });
            coding(&headers).map_err(|Unknown(name)| name)
        };
        assert_eq!(coding(&[]), Ok(None));
        assert_eq!(coding(&["identity"]), Ok(None));
        assert_eq!(coding(&["GZIP"]), Ok(Some(Coding::Gzip)));
        assert_eq!(coding(&["identity, br"]), Ok(Some(Coding::Brotli)));
        assert_eq!(coding(&["zstd"]), Err("zstd".to_owned()));
        assert_eq!(coding(&["gzip, br"]), Err("several codings".to_owned()));
        assert_eq!(coding(&["gzip", "gzip"]), Err("several codings".to_owned()));
    }
}
