use serde_json::json;
use tempfile::TempDir;

use super::*;

/// A data folder as `kill -9` leaves it: everything of the second half lies in the log alone.
async fn killed() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    for index in 0..10 {
        store
            .service_insert(&format!("before-{index}"), &json!({}))
            .await
            .unwrap();
    }
    store.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)").await;
    for index in 0..10 {
        store
            .service_insert(&format!("after-{index}"), &json!({}))
            .await
            .unwrap();
    }
    store.mark().unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in [
        "control.sqlite",
        "control.sqlite-wal",
        "control.id",
        "secret.key",
    ] {
        fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    copy
}

async fn open(folder: &Path) -> Result<ControlStore> {
    open_with(folder, false).await
}

async fn open_with(folder: &Path, accepts_loss: bool) -> Result<ControlStore> {
    let keyring = Keyring::load(None, folder).unwrap();
    let filled_later = vec![folder.join("results.duckdb"), folder.join("recordings")];
    let settings = ControlSettings {
        ballast_bytes: 0,
        filled_later,
        accepts_loss,
    };
    ControlStore::open_with(&folder.join("control.sqlite"), keyring, settings).await
}

async fn services(store: &ControlStore) -> usize {
    store.service_list().await.unwrap().len()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

type Harm = fn(&Path);

#[tokio::test]
async fn a_store_that_lost_content_is_not_opened_until_that_is_accepted() {
    let harms: [(&str, &str, Harm, usize); 9] = [
        (
            "emptied",
            "empty or gone",
            |folder| fs::write(folder.join("control.sqlite"), "").unwrap(),
            0,
        ),
        (
            "gone with its log",
            "empty or gone",
            |folder| {
                fs::remove_file(folder.join("control.sqlite")).unwrap();
                fs::remove_file(folder.join("control.sqlite-wal")).unwrap();
            },
            0,
        ),
        (
            "gone with its marker, beside results",
            "empty or gone",
            |folder| {
                fs::remove_file(folder.join("control.sqlite")).unwrap();
                fs::remove_file(folder.join("control.id")).unwrap();
                fs::write(folder.join("results.duckdb"), "rows").unwrap();
            },
            0,
        ),
        (
            "log deleted",
            "commits are missing",
            |folder| fs::remove_file(folder.join("control.sqlite-wal")).unwrap(),
            10,
        ),
        (
            "log cut",
            "commits are missing",
            |folder| {
                change(&folder.join("control.sqlite-wal"), |log| {
                    log.truncate(log.len() / 2)
                })
            },
            19,
        ),
        (
            "log damaged in the middle",
            "log is damaged at frame",
            |folder| {
                change(&folder.join("control.sqlite-wal"), |log| {
                    let middle = log.len() / 2;
                    log[middle] ^= 1;
                });
            },
            19,
        ),
        (
            "head of the log damaged",
            "header of its write-ahead log",
            |folder| change(&folder.join("control.sqlite-wal"), |log| log[25] ^= 1),
            10,
        ),
        (
            "overwritten",
            "is damaged",
            |folder| {
                fs::write(
                    folder.join("control.sqlite"),
                    "no database at all, ".repeat(1_000),
                )
                .unwrap();
                fs::remove_file(folder.join("control.sqlite-wal")).unwrap();
            },
            0,
        ),
        (
            "another store",
            "another one",
            |folder| {
                change(&folder.join("control.id"), |text| {
                    text[0] = if text[0] == b'0' { b'1' } else { b'0' }
                });
            },
            20,
        ),
    ];
    for (name, reason, harm, most_left) in harms {
        let folder = killed().await;
        harm(folder.path());
        for _ in 0..2 {
            let error = open(folder.path())
                .await
                .err()
                .unwrap_or_else(|| panic!("{name}: opened"))
                .to_string();
            assert!(
                error.contains(reason) && error.contains("store accept"),
                "{name}: {error}"
            );
        }
        let accepted = open_with(folder.path(), true).await.unwrap();
        assert!(services(&accepted).await <= most_left, "{name}");
        accepted.close().await;
        drop(accepted);
        let again = open(folder.path())
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        again.service_insert("new", &json!({})).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_lost_nothing_is_opened() {
    let intact: [(&str, Harm); 5] = [
        ("killed", |_| {}),
        ("beside results", |folder| {
            fs::write(folder.join("results.duckdb"), "rows").unwrap()
        }),
        ("from before there was a marker", |folder| {
            fs::remove_file(folder.join("control.id")).unwrap()
        }),
        ("marker cut short by a full disk", |folder| {
            fs::write(folder.join("control.id"), "").unwrap()
        }),
        ("a transaction that was under way", |folder| {
            change(&folder.join("control.sqlite-wal"), |log| {
                let rest = log[log.len() - 4_120..log.len() - 50].to_vec();
                log.extend(rest);
            });
        }),
    ];
    for (name, harm) in intact {
        let folder = killed().await;
        harm(folder.path());
        for _ in 0..2 {
            let store = open(folder.path())
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(services(&store).await, 20, "{name}");
            store.close().await;
        }
    }
}

#[tokio::test]
async fn an_older_copy_is_not_the_store_that_was_here() {
    let folder = killed().await;
    let backup = folder.path().join("backup");
    let store = open(folder.path()).await.unwrap();
    store.close().await;
    drop(store);
    fs::copy(folder.path().join("control.sqlite"), &backup).unwrap();
    let store = open(folder.path()).await.unwrap();
    store.service_insert("later", &json!({})).await.unwrap();
    store.close().await;
    drop(store);
    fs::copy(&backup, folder.path().join("control.sqlite")).unwrap();
    let error = open(folder.path()).await.err().unwrap().to_string();
    assert!(error.contains("last 1 commits are missing"), "{error}");
    // With its own marker it is what it says it is.
    fs::remove_file(folder.path().join("control.id")).unwrap();
    assert_eq!(services(&open(folder.path()).await.unwrap()).await, 20);
}

#[tokio::test]
async fn a_migration_that_finds_no_room_says_that_the_disk_is_full() {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    sqlx::raw_sql("PRAGMA max_page_count = 1")
        .execute(&pool)
        .await
        .unwrap();
    let full = sqlx::raw_sql("CREATE TABLE t (x)")
        .execute(&pool)
        .await
        .unwrap_err();
    let error = without_room(ControlError::Migrate(
        sqlx::migrate::MigrateError::ExecuteMigration(full, 15),
    ));
    assert!(error.is_full() && error.is_unwritable());
    assert!(
        error.causes().contains("is full, so it can't be opened")
            && error.causes().contains("free some space")
    );
    let other = without_room(ControlError::Interrupted);
    assert!(matches!(other, ControlError::Interrupted));
}
