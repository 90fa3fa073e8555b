//! The status of a call, which gRPC has beside that of HTTP.

use std::fmt;

use extrack_plugin::http::Response;

/// Names of the status codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

pub(crate) struct CallStatus {
    pub(crate) name: &'static str,
    text: String,
}

impl CallStatus {
    /// None if the answer is not one of gRPC.
    pub(crate) fn of(response: &Response) -> Option<Self> {
        // An answer without a body has them among its headers.
        let find = |name| response.trailer(name).or(response.header(name));
        let code: usize = find("grpc-status")?.parse().ok()?;
        Some(Self {
            name: CODES.get(code).copied().unwrap_or("not known"),
            text: decoded(find("grpc-message").unwrap_or_default()),
        })
    }
}

impl fmt::Display for CallStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if self.text.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.text)
    }
}

/// The text of a `grpc-message`, which is percent-encoded.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let digits = text.get(index + 1..index + 3).filter(|_| *byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(encoded) => {
                decoded.push(encoded);
                index += 3;
            }
            None => {
                decoded.push(*byte);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
