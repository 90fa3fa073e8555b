//! What `storage.yaml` says.

use super::*;

#[tokio::test]
async fn storage_yaml_says_where_backups_go() {
    let folder = Folder::with("", "");
    let path = folder.config().join(STORAGE);
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    assert_eq!(folder.load(&[]).await.unwrap().storage.backups, None);
    write("results: {backups: {folder: \"${WHERE}\", every: 6h}}");
    let loaded = folder.load(&[("WHERE", "/backups")]).await.unwrap();
    let backups = loaded.storage.backups.unwrap();
    assert_eq!(
        (backups.folder.as_path(), backups.every, backups.keep),
        (Path::new("/backups"), Duration::from_secs(6 * 3_600), 7)
    );
    write("results: {retention: {raw: 30d, 5m: 7, 1h: forever}}");
    let retention = folder.load(&[]).await.unwrap().storage.retention;
    let day = Duration::from_secs(86_400);
    assert_eq!(
        (
            retention.runs,
            retention.five_minutes,
            retention.hours,
            retention.days
        ),
        (Some(30 * day), Some(7 * day), None, None)
    );
    write("results: {retention: {raw: 36h, 5m: never, 1d: 0}}");
    let faults = folder.load(&[]).await.unwrap_err().to_string();
    assert_eq!(faults.matches("results.retention.").count(), 3, "{faults}");
    assert!(
        faults.contains("whole days between 1 and 3650, such as `30d`, or `forever`"),
        "{faults}"
    );
    write("results:\n  backups:\n    folder: b\n    every: 5m\n    keep: 0\n    where: x\n");
    let faults = folder.load(&[]).await.unwrap_err();
    for part in [
        "config/storage.yaml:3:13: results.backups.folder: `b` depends on where",
        "config/storage.yaml:4:12: results.backups.every: must be at least an hour",
        "config/storage.yaml:5:11: results.backups.keep: ",
        "config/storage.yaml:6:5: results.backups.where: is not a known key",
    ] {
        assert!(
            faults.to_string().contains(part),
            "{part} is not in {faults}"
        );
    }
}

#[tokio::test]
async fn storage_yaml_says_which_days_are_archived() {
    let folder = Folder::with("", "");
    let path = folder.config().join(STORAGE);
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    assert_eq!(folder.load(&[]).await.unwrap().storage.archive, None);
    for (text, days, archive_folder) in [
        ("results: {archive: {}}", 30, None),
        (
            "results: {archive: {after: 7, folder: /mnt/a}}",
            7,
            Some("/mnt/a"),
        ),
        (
            "results: {archive: {after: 7d}, retention: {raw: 8d}}",
            7,
            None,
        ),
    ] {
        write(text);
        let archive = folder.load(&[]).await.unwrap().storage.archive.unwrap();
        assert_eq!(archive.after, Duration::from_secs(days * 86_400), "{text}");
        assert_eq!(archive.folder.as_deref(), archive_folder.map(Path::new));
    }
    for (text, fault) in [
        (
            "results: {archive: {after: forever}}",
            "archive.after: must be whole days, such as `30d`",
        ),
        ("results: {archive: {after: 5h}}", "archive.after: must be"),
        (
            "results: {archive: {folder: a}}",
            "archive.folder: `a` depends on where",
        ),
        (
            "results: {archive: {}, retention: {raw: 30d}}",
            "retention.raw: must be longer than `archive.after`",
        ),
    ] {
        write(text);
        let faults = folder.load(&[]).await.unwrap_err().to_string();
        assert!(faults.contains(fault), "`{fault}` is not in {faults}");
    }
}
