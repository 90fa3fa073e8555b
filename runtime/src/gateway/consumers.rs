//! Who calls: consumers by the hashes of their tokens, all in memory, and where a request carries
//! its token.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use crate::domain::Consumer;
use crate::store::ControlError;
use crate::store::control::{ControlStore, TokenHash};

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-extrack-token");

/// All consumers. Cheap to clone.
#[derive(Clone)]
pub struct ConsumerBook(Arc<Book>);

struct Book {
    control: ControlStore,
    by_hash: ArcSwap<HashMap<TokenHash, Arc<Consumer>>>,
    /// Held while they are read, so that an older list never replaces a newer one.
    loading: tokio::sync::Mutex<()>,
}

impl ConsumerBook {
    /// Makes an empty one, see [`Self::load`].
    pub fn new(control: ControlStore) -> Self {
        Self(Arc::new(Book {
            control,
            by_hash: ArcSwap::default(),
            loading: tokio::sync::Mutex::default(),
        }))
    }

    /// Reads all from the store, after each change. A token that was revoked is good until then.
    pub async fn load(&self) -> Result<(), ControlError> {
        let _one = self.0.loading.lock().await;
        let all = self.0.control.consumer_all().await?;
        let all = all
            .into_iter()
            .map(|(hash, consumer)| (hash, Arc::new(consumer)));
        self.0.by_hash.store(Arc::new(all.collect()));
        Ok(())
    }

    pub(super) fn find(&self, token: &str) -> Option<Arc<Consumer>> {
        let hash: TokenHash = Sha256::digest(token.as_bytes()).into();
        self.0.by_hash.load().get(&hash).cloned()
    }
}

/// A token as it came, and the header to take out.
pub(super) struct SentToken {
    pub(super) token: String,
    header: HeaderName,
}

impl SentToken {
    /// Looks where clients put it: in a header of ours, in `Authorization`, and where the vendor's
    /// own library puts its key (`key_header`).
    pub(super) fn of(headers: &HeaderMap, key_header: Option<&HeaderName>) -> Option<Self> {
        let sent = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let plain = |name: &HeaderName| {
            Some(Self {
                token: sent(name)?.trim().to_owned(),
                header: name.clone(),
            })
        };
        let authorization = || {
            Some(Self {
                token: of_authorization(sent(&AUTHORIZATION)?)?,
                header: AUTHORIZATION,
            })
        };
        plain(&TOKEN_HEADER)
            .or_else(authorization)
            .or_else(|| plain(key_header?))
    }

    /// Takes every occurrence out, and the header of ours in any case.
    pub(super) fn strip(&self, headers: &mut HeaderMap) {
        headers.remove(&self.header);
        headers.remove(TOKEN_HEADER);
    }
}

/// The token of `Bearer`, or the password of `Basic`; where that is empty, as with vendors whose key
/// is the user's name, the name.
fn of_authorization(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (name, password) = pair.split_once(':')?;
    let token = if password.is_empty() { name } else { password };
    Some(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_where_clients_put_it_and_taken_out() {
        let key = HeaderName::from_static("x-api-key");
        for (name, value, wanted) in [
            ("authorization", "Bearer t0ken", Some("t0ken")),
            ("authorization", "bearer  t0ken", Some("t0ken")),
            ("authorization", "Basic dXNlcjp0MGtlbg==", Some("t0ken")),
            ("authorization", "Basic dDBrZW46", Some("t0ken")),
            ("authorization", "Digest t0ken", None),
            ("x-extrack-token", "t0ken", Some("t0ken")),
            ("x-api-key", "t0ken", Some("t0ken")),
            ("cookie", "t0ken", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
            let sent = SentToken::of(&headers, Some(&key));
            assert_eq!(
                sent.as_ref().map(|sent| sent.token.as_str()),
                wanted,
                "{name}: {value}"
            );
            if let Some(sent) = sent {
                sent.strip(&mut headers);
                assert!(headers.is_empty(), "{headers:?}");
            }
        }
    }
}
