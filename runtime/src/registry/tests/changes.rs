//! Many changes at once, and what they say they do.

use super::*;
use crate::registry::{ChangeKind, RefusedChange, ServiceChange, ServiceChanged};

fn put(spec: Value, revision: Option<i64>) -> ServiceChange {
    ServiceChange::Put { spec, revision }
}

fn delete(slug: &str) -> ServiceChange {
    ServiceChange::Delete {
        slug: slug.to_owned(),
        revision: None,
    }
}

fn kinds(changed: &[ServiceChanged]) -> Vec<(&str, ChangeKind, i64)> {
    changed
        .iter()
        .map(|changed| (changed.slug.as_str(), changed.kind, changed.revision))
        .collect()
}

fn reasons(refused: Vec<RefusedChange>) -> Vec<(Option<usize>, String)> {
    refused
        .into_iter()
        .map(|RefusedChange { index, error }| match error {
            CatalogError::Invalid(faults) => (index, texts(&faults).join("; ")),
            error => (index, error.to_string()),
        })
        .collect()
}

fn named(name: &str) -> Value {
    json!({"name": name, "baseUrl": format!("https://{name}.example")})
}

#[tokio::test]
async fn a_batch_is_made_as_a_whole_and_nothing_is_written_that_is_the_same() {
    let registry = registry(FileEntries::default()).await;
    registry.create(shop()).await.unwrap();
    registry.create(named("old")).await.unwrap();
    // As it is shown, with `***`.
    let same = Value::Object(registry.record("shop-api").unwrap().spec);
    let on_new = json!({"name": "b", "baseUrl": "https://b.example", "dependsOn": ["a"]});
    let changes = vec![
        put(same.clone(), Some(1)),
        put(on_new, Some(0)),
        put(named("a"), None),
        delete("old"),
    ];
    let wanted = [
        ("shop-api", ChangeKind::Unchanged, 1),
        ("b", ChangeKind::Created, 0),
        ("a", ChangeKind::Created, 0),
        ("old", ChangeKind::Deleted, 1),
    ];
    let before = registry.catalog().version;
    let planned = registry.change(changes.clone(), true).await.unwrap();
    assert_eq!(kinds(&planned), wanted);
    assert_eq!(registry.catalog().version, before, "a dry run");
    assert!(registry.record("old").is_some());

    let changed = registry.change(changes, false).await.unwrap();
    assert_eq!(kinds(&changed), wanted);
    assert_eq!(registry.catalog().version, before + 1, "published once");
    assert_eq!(registry.slugs(), ["a", "b", "shop-api"]);
    let stored = registry.store.control.service_list().await.unwrap();
    let revisions: Vec<_> = stored.iter().map(|stored| stored.revision).collect();
    assert_eq!(revisions, [1, 1, 1]);

    let mut other = same;
    other["team"] = json!("payments");
    let changed = registry.change(vec![put(other, Some(1))], false).await;
    let changed = changed.unwrap();
    assert_eq!(kinds(&changed), [("shop-api", ChangeKind::Changed, 1)]);
    let fields: Vec<_> = changed[0].fields.iter().map(|field| &field.field).collect();
    assert_eq!(fields, ["/team"]);
    let stored = registry.store.control.service_list().await.unwrap();
    assert_eq!(stored[2].spec["authentication"]["token"], "s3cret");
}

#[tokio::test]
async fn one_reason_against_a_change_keeps_all_of_them_from_being_made() {
    let services = json!([{"name": "From File", "baseUrl": "https://f"}]);
    let registry = registry(entries(services, json!([]), json!([]))).await;
    registry.create(named("a")).await.unwrap();
    let on_a = json!({"name": "b", "baseUrl": "https://b.example", "dependsOn": ["a"]});
    registry.create(on_a).await.unwrap();
    let refused = registry
        .change(
            vec![
                put(named("new"), Some(0)),
                put(named("From file"), None),
                put(named("a"), Some(7)),
                put(named("gone"), Some(3)),
                put(json!({"name": "bad", "baseUrl": "bad"}), None),
                put(named("new"), None),
            ],
            false,
        )
        .await
        .unwrap_err();
    assert_eq!(
        reasons(refused),
        [
            (Some(1), "service `from-file` comes from services.yaml; change it there".to_owned()),
            (
                Some(2),
                "the service was changed meanwhile: it is at revision 1; read it again, then repeat".to_owned()
            ),
            (
                Some(3),
                "service `gone` was deleted meanwhile; read the services again, then repeat".to_owned()
            ),
            (Some(4), "/baseUrl: `bad` has no scheme; write `https://bad`".to_owned()),
            (Some(5), "another change of the same request is about service `new`".to_owned()),
        ]
    );
    let refused = registry
        .change(vec![put(named("new"), None), delete("a")], false)
        .await
        .unwrap_err();
    assert_eq!(
        reasons(refused),
        [(
            Some(1),
            "`b` can't work without `a`; change that first".to_owned()
        )]
    );
    assert_eq!(registry.slugs(), ["a", "b", "from-file"]);
    // Together they may go, in whatever order.
    registry
        .change(vec![delete("a"), delete("b")], false)
        .await
        .unwrap();
    assert_eq!(registry.slugs(), ["from-file"]);
}

#[tokio::test]
async fn a_secret_that_changes_is_a_field_and_its_value_is_not_shown() {
    let registry = registry(FileEntries::default()).await;
    registry.create(shop()).await.unwrap();
    let mut other = shop();
    other["authentication"]["token"] = json!("another-s3cret");
    let changed = registry.change(vec![put(other, None)], true).await.unwrap();
    let fields = &changed[0].fields;
    assert_eq!(fields.len(), 1);
    assert_eq!(
        (
            fields[0].field.as_str(),
            &fields[0].before,
            &fields[0].after
        ),
        ("/authentication/token", &json!("***"), &json!("***"))
    );
}
