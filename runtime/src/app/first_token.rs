//! The first token, without which no one could use the API.

use crate::api::{Scope, new_token, token_hash};
use crate::domain::now_ms;
use crate::store::control::{TokenDraft, TokenOrigin};
use crate::store::{ControlError, ControlStore};

const GIVEN_TOKEN: &str = "admin (EXTRACK_ADMIN_TOKEN)";

/// Makes the first token at the first start: the given one, or a new one, which is returned once
/// and kept hashed. A given token takes the place of the one given before, which goes with the
/// variable too.
pub(super) async fn first_token(
    control: &ControlStore,
    given: Option<&str>,
) -> Result<Option<String>, ControlError> {
    let scopes: Vec<String> = Scope::ALL
        .iter()
        .map(|scope| scope.as_str().to_owned())
        .collect();
    let hash = given.map(token_hash);
    for name in control
        .token_delete_others(TokenOrigin::Environment, hash.as_ref())
        .await?
    {
        tracing::warn!(
            token = name,
            "the token given before is revoked: `EXTRACK_ADMIN_TOKEN` has changed"
        );
    }
    let draft = |name, hash, origin| TokenDraft {
        name,
        hash,
        scopes: &scopes,
        expires_ms: None,
        origin,
        created_by: "",
    };
    if let Some(hash) = hash {
        if control.token_find(&hash, now_ms()).await?.is_none() {
            control
                .token_insert(draft(GIVEN_TOKEN, &hash, TokenOrigin::Environment))
                .await?;
        }
        return Ok(None);
    }
    if control.token_count().await? > 0 {
        return Ok(None);
    }
    let token = new_token();
    control
        .token_insert(draft("admin", &token_hash(&token), TokenOrigin::Start))
        .await?;
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keyring;

    #[tokio::test]
    async fn a_given_token_is_good_as_long_as_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, folder.path()).unwrap();
        let control = ControlStore::open(&folder.path().join("control.sqlite"), keyring)
            .await
            .unwrap();
        let is_good = async |token: &str| {
            control
                .token_find(&token_hash(token), now_ms())
                .await
                .unwrap()
                .is_some()
        };

        let first = first_token(&control, None).await.unwrap().unwrap();
        assert!(first.starts_with("extrack_") && is_good(&first).await);
        assert_eq!(first_token(&control, None).await.unwrap(), None);
        assert_eq!(first_token(&control, Some("one")).await.unwrap(), None);
        assert!(is_good("one").await && is_good(&first).await);
        first_token(&control, Some("two")).await.unwrap();
        assert!(is_good("two").await && !is_good("one").await);
        first_token(&control, None).await.unwrap();
        assert!(!is_good("two").await && is_good(&first).await);
    }
}
