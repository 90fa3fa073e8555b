//! Detached ed25519 signatures in the format of minisign.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use minisign_verify::{PublicKey, Signature};

/// The text of a signature has four lines.
pub const SIGNATURE_BYTES: usize = 4 << 10;

/// Faults of a public key as it stands in the second line of a `.pub` file.
pub fn check_key(key: &str) -> Result<(), String> {
    PublicKey::from_base64(key.trim()).map(drop).map_err(|_| {
        "is not a minisign public key: 56 characters that begin with `RW`, the second line of `minisign.pub`".to_owned()
    })
}

/// The id of the key that signed these bytes. Takes CPU time with their size.
pub(super) async fn verify(
    keys: &[String],
    component: Bytes,
    signature: String,
) -> Result<String, SignatureFault> {
    let keys = keys.to_vec();
    tokio::task::spawn_blocking(move || verify_blocking(&keys, &component, &signature))
        .await
        .unwrap_or_else(|_| Err(invalid("the signature can't be checked".to_owned())))
}

/// Why a signature does not count.
#[derive(Debug)]
pub(super) struct SignatureFault {
    pub(super) reason: String,
    /// The key that made the signature is not configured here; it may be good.
    pub(super) is_foreign: bool,
}

fn invalid(reason: String) -> SignatureFault {
    SignatureFault {
        reason,
        is_foreign: false,
    }
}

fn verify_blocking(
    keys: &[String],
    component: &[u8],
    signature: &str,
) -> Result<String, SignatureFault> {
    let signature = Signature::decode(signature.trim())
        .map_err(|error| invalid(format!("the signature is not one of minisign's: {error}")))?;
    let mut reason = "there is no key in `trust.keys` of plugins.yaml".to_owned();
    let mut is_foreign = true;
    for key in keys {
        let Ok(public) = PublicKey::from_base64(key.trim()) else {
            continue;
        };
        match public.verify(component, &signature, true) {
            Ok(()) => return Ok(key_id(key)),
            Err(minisign_verify::Error::UnexpectedKeyId)
                if !reason.starts_with("the signature") =>
            {
                reason =
                    "is signed by a key that is not in `trust.keys` of plugins.yaml".to_owned();
            }
            Err(minisign_verify::Error::UnexpectedKeyId) => {}
            Err(_) => {
                is_foreign = false;
                reason = format!(
                    "the signature by key `{}` is not of this component: one of them was changed after signing",
                    key_id(key)
                );
            }
        }
    }
    Err(SignatureFault { reason, is_foreign })
}

/// Returns a key's id as minisign prints it: 16 digits, the last byte first.
fn key_id(key: &str) -> String {
    let bytes = STANDARD.decode(key.trim()).unwrap_or_default();
    let id: Vec<u8> = bytes
        .get(2..10)
        .unwrap_or_default()
        .iter()
        .rev()
        .copied()
        .collect();
    hex::encode_upper(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of minisign's own documentation.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const OTHER: &str = "RWQBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==
";

    fn told(keys: &[&str], component: &str, signature: &str) -> Result<String, SignatureFault> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        verify_blocking(&keys, component.as_bytes(), signature)
    }

    #[test]
    fn a_signature_counts_for_its_bytes_and_its_key_only() {
        assert_eq!(
            told(&[OTHER, KEY], "test", SIGNATURE).unwrap(),
            "E7620F1842B4E81F"
        );
        for (keys, component, signature, wanted, foreign) in [
            (
                &[KEY][..],
                "tesT",
                SIGNATURE.to_owned(),
                "is not of this component",
                false,
            ),
            (
                &[KEY, OTHER],
                "tesT",
                SIGNATURE.to_owned(),
                "is not of this component",
                false,
            ),
            (
                &[OTHER],
                "test",
                SIGNATURE.to_owned(),
                "is signed by a key that is not in `trust.keys`",
                true,
            ),
            (&[], "test", SIGNATURE.to_owned(), "there is no key", true),
            (
                &[KEY],
                "test",
                SIGNATURE.replace("1633700835", "1633700836"),
                "is not of this component",
                false,
            ),
            (
                &[KEY],
                "test",
                "nonsense".to_owned(),
                "is not one of minisign's",
                false,
            ),
            (
                &[KEY],
                "test",
                String::new(),
                "is not one of minisign's",
                false,
            ),
        ] {
            let fault = told(keys, component, &signature).unwrap_err();
            assert!(fault.reason.contains(wanted), "{wanted:?} in {fault:?}");
            assert_eq!(fault.is_foreign, foreign, "{wanted:?}");
        }
    }

    #[test]
    fn keys_are_judged_when_they_are_written() {
        assert!(check_key(KEY).is_ok());
        for key in [
            "",
            "RWQ",
            "untrusted comment: minisign public key",
            &KEY[..55],
            &KEY.replace("RWQ", "XXX"),
        ] {
            assert!(check_key(key).is_err(), "{key}");
        }
    }
}
