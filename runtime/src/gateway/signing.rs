//! Bodies that a signature of the credential covers: read whole before the first byte goes on,
//! within a bound for each and one for all together. All others pass as they come.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::ClientBody;
use super::refusal::Refusal;
use crate::plugin_host::{PayloadUse, RequestSigner};

/// Largest body that is read to be signed.
pub(super) const MAX_BODY_BYTES: usize = 4 << 20;
/// Room for all of them together.
const ROOM_KIBIBYTES: usize = 64 << 10;

/// Room for bodies that are read. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct SigningRoom(Arc<Semaphore>);

impl Default for SigningRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM_KIBIBYTES)))
    }
}

/// Returns the hash of the body from a client that signs as well.
pub(super) fn sent_hash(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-amz-content-sha256")?;
    value.to_str().ok().map(str::to_owned)
}

/// A body that was read, with its room.
#[derive(Debug)]
pub(super) struct SignedBody {
    pub(super) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// A client's body once it is known whether it has to be signed.
pub(super) enum Unsent {
    Passing(ClientBody),
    Read(SignedBody),
}

impl SigningRoom {
    /// Reads the body if the signature covers it. `sent_hash` is that of [`sent_hash`].
    pub(super) async fn read(
        &self,
        body: ClientBody,
        sent_hash: Option<String>,
        signer: Option<RequestSigner>,
        is_tls: bool,
        within: Duration,
    ) -> Result<Unsent, Refusal> {
        let Some(signer) = signer else {
            return Ok(Unsent::Passing(body));
        };
        if body.is_end_stream() {
            let (bytes, room) = (Bytes::new(), None);
            return Ok(Unsent::Read(SignedBody { bytes, _room: room }));
        }
        match signer.payload_use(sent_hash.as_deref(), is_tls) {
            Ok(PayloadUse::None) => return Ok(Unsent::Passing(body)),
            Ok(PayloadUse::Whole) => {}
            Err(error) => return Err(Refusal::unsigned(error)),
        }
        let most = body.size_hint().upper().unwrap_or(MAX_BODY_BYTES as u64);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if most > MAX_BODY_BYTES {
            return Err(Refusal::body_unsigned(MAX_BODY_BYTES));
        }
        let kibibytes = u32::try_from(most.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        let room = self.0.clone().try_acquire_many_owned(kibibytes);
        let room = room.map_err(|_| Refusal::no_room_to_sign())?;
        let Ok(read) = tokio::time::timeout(within, whole(body)).await else {
            let detail = "the body, which is signed, did not arrive in time";
            return Err(Refusal::request_wrong(detail).kind("client"));
        };
        let bytes = read?;
        Ok(Unsent::Read(SignedBody {
            bytes,
            _room: Some(room),
        }))
    }
}

async fn whole(mut body: ClientBody) -> Result<Bytes, Refusal> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Refusal::request_wrong("the body broke off").kind("client"));
        };
        // No signature covers trailers, and behind a body of a known length there are none.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > MAX_BODY_BYTES {
            return Err(Refusal::body_unsigned(MAX_BODY_BYTES));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;
    use crate::domain::{Credential, CredentialKind, SigV4};
    use crate::gateway::client_body;

    fn signer(service: &str) -> RequestSigner {
        let credential = Credential {
            name: "default".to_owned(),
            kind: CredentialKind::SigV4(SigV4 {
                access_key: "AKID".to_owned(),
                secret_key: "s3cret".into(),
                session_token: "".into(),
                region: "eu-central-1".to_owned(),
                service: service.to_owned(),
            }),
            hosts: Vec::new(),
            expiry: None,
        };
        RequestSigner::of(&credential).unwrap()
    }

    /// Bytes that were read, none if the body passes; else the status of the refusal.
    async fn read(length: usize, service: &str, hash: Option<&str>) -> Result<Option<usize>, u16> {
        let body = client_body(Full::new(Bytes::from(vec![b'x'; length])));
        let (hash, signer) = (hash.map(str::to_owned), Some(signer(service)));
        let room = SigningRoom::default();
        let within = Duration::from_secs(30);
        match room.read(body, hash, signer, true, within).await {
            Ok(Unsent::Passing(_)) => Ok(None),
            Ok(Unsent::Read(body)) => Ok(Some(body.bytes.len())),
            Err(refusal) => Err(refusal.status().as_u16()),
        }
    }

    #[tokio::test]
    async fn a_body_is_read_within_its_bound_only_where_its_hash_is_needed() {
        let hash = "0".repeat(64);
        let chunks = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
        for (length, service, hash, wanted) in [
            (0, "sqs", None, Ok(Some(0))),
            (MAX_BODY_BYTES, "sqs", None, Ok(Some(MAX_BODY_BYTES))),
            (MAX_BODY_BYTES + 1, "sqs", None, Err(413)),
            (MAX_BODY_BYTES + 1, "sqs", Some(hash.as_str()), Ok(None)),
            (MAX_BODY_BYTES + 1, "s3", None, Ok(None)),
            (5, "s3", Some(chunks), Err(400)),
        ] {
            let found = read(length, service, hash).await;
            assert_eq!(found, wanted, "{length} {service} {hash:?}");
        }
    }
}
