//! Messages of the health service, by hand: a text one way, a number the other (Protocol Buffers,
//! framed as gRPC over HTTP/2 does).

/// Compression flag and length in front of a message.
const PREFIX_BYTES: usize = 5;
/// `HealthCheckRequest.service`, of the wire type `LEN`.
const SERVICE: u8 = 0x0a;
/// `HealthCheckResponse.status`, of the wire type `VARINT`.
const STATUS: u64 = 0x08;

/// A `HealthCheckRequest` with its prefix.
pub(crate) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(SERVICE);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], &message].concat()
}

/// The status in a `HealthCheckResponse` with its prefix.
pub(crate) fn serving_status(body: &[u8]) -> Result<&'static str, &'static str> {
    let (prefix, message) = body
        .split_at_checked(PREFIX_BYTES)
        .ok_or("the answer has no message")?;
    if prefix[0] != 0 {
        return Err("the answer is compressed, which was not asked for");
    }
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    let message = message
        .get(..length as usize)
        .ok_or("the message of the answer is shorter than it says")?;
    match status_of(message).ok_or("the message of the answer is no `HealthCheckResponse`")? {
        0 => Ok("UNKNOWN"),
        1 => Ok("SERVING"),
        2 => Ok("NOT_SERVING"),
        3 => Ok("SERVICE_UNKNOWN"),
        _ => Err("the answer has a status that is not known"),
    }
}

/// The last status counts, other fields are skipped, and none is 0: as Protocol Buffers say.
fn status_of(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => {
                let value = varint(&mut message)?;
                if tag == STATUS {
                    status = value;
                }
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
