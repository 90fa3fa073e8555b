use bytes::Bytes;

use super::*;

const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

fn trust(folder: &Path, keys: &[&str], require_signatures: bool) -> Trust {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    Trust::new(
        PluginTrust {
            keys,
            require_signatures,
            ..PluginTrust::default()
        },
        folder,
    )
}

#[tokio::test]
async fn what_is_not_signed_is_refused_where_signatures_are_required() {
    let folder = tempfile::tempdir().unwrap();
    let component = ComponentBytes::new(Bytes::from_static(b"\0asm"));
    let hash = component.digest.clone();
    for (keys, required, is_good) in [
        (&[][..], false, true),
        (&[KEY], false, true),
        (&[KEY], true, false),
        (&[], true, false),
    ] {
        let answer = trust(folder.path(), keys, required)
            .check_signature(&component)
            .await;
        assert_eq!(answer.is_ok(), is_good, "{keys:?} {required}");
        if let Err(refusal) = answer {
            assert!(
                refusal.step == InstallStep::Signature
                    && refusal.reason.contains("trust.requireSignatures"),
                "{refusal}"
            );
        }
    }

    // A signature that is damaged on disk is refused, even where none is asked for.
    let required = trust(folder.path(), &[KEY], true);
    required.keep(&hash, "damaged".to_owned()).await.unwrap();
    let refusal = required.check_signature(&component).await.unwrap_err();
    assert!(
        refusal.reason.contains("is not one of minisign's"),
        "{refusal}"
    );
    let free = trust(folder.path(), &[KEY], false);
    let refusal = free.check_signature(&component).await.unwrap_err();
    assert!(
        refusal.reason.contains("is not one of minisign's"),
        "{refusal}"
    );

    // What came with the program needs none.
    let (_, bundled) = bundled::bundled().plugins[0];
    assert_eq!(
        required
            .check_signature(&ComponentBytes::new(Bytes::from_static(bundled)))
            .await,
        Ok(None)
    );
}

#[test]
fn a_pin_allows_its_digests_only() {
    let pins = [("p".to_owned(), vec!["a".repeat(64), "b".repeat(64)])].into();
    let trust = Trust::new(
        PluginTrust {
            pins,
            ..PluginTrust::default()
        },
        Path::new("."),
    );
    assert_eq!(trust.check_pin("p", &"b".repeat(64)), Ok(()));
    assert_eq!(trust.check_pin("other", &"c".repeat(64)), Ok(()));
    let refusal = trust.check_pin("p", &"c".repeat(64)).unwrap_err();
    assert!(
        refusal.step == InstallStep::Pin
            && refusal
                .reason
                .contains("`plugins.p.sha256` in plugins.yaml"),
        "{refusal}"
    );
}
