//! A rotation, whole and cut off at each step.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::domain::{Channel, ChannelOptions, Origin};
use crate::store::{ControlError, KeyError};

/// Where a rotation is cut off.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    Before,
    /// Half of the new key's file is written.
    HalfKey,
    KeyMade,
    /// Rows are sealed anew, and not committed.
    Sealed,
    Committed,
    Placed,
}

async fn open(folder: &Path) -> Result<ControlStore> {
    ControlStore::open(
        &folder.join("control.sqlite"),
        Keyring::load(None, folder).unwrap(),
    )
    .await
}

fn channel() -> Channel {
    Channel {
        id: ChannelId("ops".to_owned()),
        name: "ops".to_owned(),
        plugin: "webhook".to_owned(),
        settings: json!({"url": "https://hooks.example/s3cret"}),
        origin: Origin::Api,
        options: ChannelOptions::default(),
    }
}

async fn fill(store: &ControlStore) {
    store
        .service_insert("shop", &json!({"authentication": {"value": "k3y-of-shop"}}))
        .await
        .unwrap();
    store.channel_put(&channel()).await.unwrap();
    store
        .credential_token_put("shop", "default", b"r3fresh")
        .await
        .unwrap();
    let files = BTreeMap::from([("services.yaml".to_owned(), "services: []".to_owned())]);
    store
        .accepted_configuration_put(&files, 1, "test")
        .await
        .unwrap();
}

async fn check(store: &ControlStore) {
    let services = store.service_list().await.unwrap();
    assert_eq!(services[0].spec["authentication"]["value"], "k3y-of-shop");
    let found = store.channel_get(&channel().id).await.unwrap().unwrap();
    assert_eq!(found.settings, channel().settings);
    let token = store.credential_token("shop", "default").await.unwrap();
    assert_eq!(token.unwrap(), b"r3fresh");
    let accepted = store.accepted_configuration_get().await.unwrap().unwrap();
    assert_eq!(accepted.files["services.yaml"], "services: []");
}

async fn rotate_until(store: &ControlStore, folder: &Path, cut: Cut) {
    if cut == Cut::Before {
        return;
    }
    if cut == Cut::HalfKey {
        return std::fs::write(folder.join("secret.key.next.new"), "a1b2").unwrap();
    }
    let next = store.keyring.make_next().unwrap().unwrap();
    if cut == Cut::KeyMade {
        return;
    }
    let mut tx = store.begin_write().await.unwrap();
    store.reseal_in(&mut tx, &next).await.unwrap();
    if cut == Cut::Sealed {
        return drop(tx);
    }
    tx.commit().await.unwrap();
    if cut == Cut::Placed {
        Keyring::place_next(folder).unwrap();
    }
}

#[tokio::test]
async fn a_rotation_that_is_cut_off_anywhere_leaves_a_store_that_opens() {
    for cut in [
        Cut::Before,
        Cut::HalfKey,
        Cut::KeyMade,
        Cut::Sealed,
        Cut::Committed,
        Cut::Placed,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let store = open(folder).await.unwrap();
        fill(&store).await;
        let before = store.keyring.id();
        rotate_until(&store, folder, cut).await;
        store.reader.close().await;
        store.writer.close().await;
        drop(store);

        let store = open(folder).await.unwrap();
        check(&store).await;
        let is_new = matches!(cut, Cut::Committed | Cut::Placed);
        assert_eq!(store.keyring.id() != before, is_new, "{cut:?}");
        assert!(!folder.join("secret.key.next").exists(), "{cut:?}");
        // Whatever is left of the one before, the next rotation works.
        let rotated = store.key_rotate(NewKey::Made, None).await.unwrap().unwrap();
        assert_eq!(rotated.rows, 4, "{cut:?}");
        store.close().await;
        drop(store);
        check(&open(folder).await.unwrap()).await;
    }
}

#[tokio::test]
async fn the_key_of_before_opens_nothing_and_is_kept_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let former = folder.join("former.key");
    let store = open(folder).await.unwrap();
    fill(&store).await;
    let rotated = store
        .key_rotate(NewKey::Made, Some(&former))
        .await
        .unwrap()
        .unwrap();
    store.close().await;
    drop(store);
    let good = std::fs::read_to_string(folder.join("secret.key")).unwrap();
    std::fs::copy(&former, folder.join("secret.key")).unwrap();
    let error = open(folder).await.err().unwrap();
    let text = error.to_string();
    assert!(
        matches!(error, ControlError::Key(KeyError::Wrong { .. })),
        "{text}"
    );
    assert!(
        text.contains(&rotated.from) && text.contains(&rotated.to),
        "{text}"
    );
    std::fs::write(folder.join("secret.key"), good).unwrap();
    check(&open(folder).await.unwrap()).await;
}

#[tokio::test]
async fn a_key_that_was_given_as_text_is_replaced_by_another_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let with = |text: &str| Keyring::load(Some(text.to_owned().into()), folder.path()).unwrap();
    let (old, new) = ("the old key, long enough", "the new key, long enough");
    let store = ControlStore::open(&path, with(old)).await.unwrap();
    fill(&store).await;
    assert_eq!(store.key_rotate(NewKey::Made, None).await.unwrap(), None);
    let given = NewKey::Given(new.to_owned().into());
    store.key_rotate(given, None).await.unwrap().unwrap();
    store.close().await;
    drop(store);
    assert!(ControlStore::open(&path, with(old)).await.is_err());
    check(&ControlStore::open(&path, with(new)).await.unwrap()).await;
}

#[tokio::test]
async fn a_row_that_does_not_open_stops_a_rotation_before_it_changes_anything() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    fill(&store).await;
    store
        .execute("UPDATE services SET sealed = zeroblob(200)")
        .await;
    let before = store.keyring.id();
    let error = store.key_rotate(NewKey::Made, None).await.err().unwrap();
    assert!(
        error
            .to_string()
            .contains("services `shop` does not decrypt")
    );
    store.close().await;
    drop(store);
    let store = open(folder.path()).await.unwrap();
    assert_eq!(store.keyring.id(), before);
}
