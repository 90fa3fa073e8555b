//! `status-pages.yaml`

use super::*;

const TWO: &str = "\
services:
  - {name: Shop, baseUrl: \"https://shop.example\", public: true}
  - {name: Vault, baseUrl: \"https://vault.example\"}
";

async fn with(pages: &str) -> (Folder, Result<Loaded, Faults>) {
    let folder = Folder::with(TWO, "");
    std::fs::write(folder.config().join(STATUS_PAGES), pages).unwrap();
    let loaded = folder.load(&[]).await;
    (folder, loaded)
}

#[tokio::test]
async fn pages_are_in_the_catalog_and_what_they_can_not_show_is_a_warning() {
    let pages = "\
statusPages:
  - name: team
    title: Our services
    groups:
      - title: All
        services: [shop, vault, gone]
";
    let (folder, loaded) = with(pages).await;
    let loaded = loaded.unwrap();
    let warnings = folder.told(&loaded.warnings);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (warning, text) in warnings.iter().zip(["`vault` is not shown", "`gone`"]) {
        assert!(
            warning.starts_with("config/status-pages.yaml:6:") && warning.contains(text),
            "{warning}"
        );
    }
    let catalog = catalog(loaded).await;
    assert_eq!(catalog.status_pages[0].title, "Our services");
}

#[tokio::test]
async fn a_fault_has_its_place_in_the_file() {
    for (pages, place) in [
        ("statusPages:\n  - name: Two words\n    title: A\n", ":2:"),
        ("statusPages:\n  - name: a\n    tite: A\n", ":3:"),
        (
            "statusPages:\n  - {name: a, title: A}\n  - {name: a, title: B}\n",
            ":3:",
        ),
    ] {
        let (_, loaded) = with(pages).await;
        let faults = loaded.unwrap_err().to_string();
        let wanted = format!("status-pages.yaml{place}");
        assert!(faults.contains(&wanted), "{faults}");
    }
}
