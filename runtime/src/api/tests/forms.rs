//! Pages that write: services as YAML, their credentials, consumers, invoices and saved queries.

use serde_json::json;

use super::rooms::{submit, upload};
use super::world::READER;
use super::*;

/// Text of the editor of a page, and the revision it was read at.
fn editor(page: &str) -> (String, Option<String>) {
    let (_, rest) = page
        .split_once("<textarea id=\"text\"")
        .unwrap_or_else(|| panic!("no editor in {page}"));
    let (_, rest) = rest.split_once('>').unwrap();
    let (text, _) = rest.split_once("</textarea>").unwrap();
    let text = text
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let revision = page.split_once("name=\"revision\" value=\"");
    let revision = revision.and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()));
    (text, revision)
}

async fn member(router: &Router, slug: &str, key: &str) -> Value {
    let path = format!("/api/v1/services/{slug}");
    get(router, &path).await.json()[key].clone()
}

#[tokio::test]
async fn a_service_is_previewed_and_saved_and_a_second_writer_sees_both_texts() {
    let router = router(&world().await);
    let edit = "/services/shop-api/edit";
    let health = async || member(&router, "shop-api", "healthEndpoint").await;
    let (text, revision) = editor(&get(&router, edit).await.body);
    let revision = revision.expect("a revision");
    assert!(text.starts_with("services:\n"), "{text}");
    assert!(
        text.contains("***") && !text.contains("k3y-of-the-tests"),
        "{text}"
    );
    let mine = text.replace("/health", "/mine");
    let yours = text.replace("/health", "/yours");

    let fields = [("text", &*mine), ("revision", &*revision)];
    let preview = [fields[0], fields[1], ("preview", "yes")];
    let preview = submit(&router, edit, &preview).await;
    assert_eq!(preview.status, StatusCode::OK, "{}", preview.body);
    assert!(
        preview.body.contains("1 field would change"),
        "{}",
        preview.body
    );
    assert_eq!(health().await, "/health");

    let saved = submit(&router, edit, &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(saved.header("location"), Some("/services/shop-api"));
    assert_eq!(health().await, "/mine");

    let late = [("text", &*yours), ("revision", &*revision)];
    let late = submit(&router, edit, &late).await;
    assert_eq!(
        late.status,
        StatusCode::PRECONDITION_FAILED,
        "{}",
        late.body
    );
    assert!(late.body.contains("/mine"), "{}", late.body);
    let (kept, now_at) = editor(&late.body);
    assert_eq!(kept, yours);
    let again = [("text", &*kept), ("revision", now_at.as_deref().unwrap())];
    let again = submit(&router, edit, &again).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.body);
    assert_eq!(health().await, "/yours");
}

#[tokio::test]
async fn faults_of_a_description_have_their_places_and_the_text_is_kept() {
    let router = router(&world().await);
    let one = "services:\n  - name: New\n    baseUrl: https://new.example.com\n";
    for (text, wanted) in [
        (
            format!("{one}    tgas: [x]\n"),
            ["<b>Line 4, column ", "services[0].tgas"],
        ),
        (
            one.replace("https://", "nonsense "),
            ["<b>Line 3, column 14</b>", "services[0].baseUrl"],
        ),
        (
            format!("{one}    authentication: {{type: bearer, tokenFile: /etc/hostname}}\n"),
            ["<b>Line 4, column ", "configuration files only"],
        ),
        ("services: [".to_owned(), ["<b>Line ", "is not valid YAML"]),
    ] {
        let refused = submit(&router, "/new/yaml", &[("text", text.as_str())]).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{text}: {}",
            refused.body
        );
        for part in wanted {
            assert!(
                refused.body.contains(part),
                "{text}: no {part} in {}",
                refused.body
            );
        }
        assert_eq!(editor(&refused.body).0, text);
    }
    let sent = one.replace('\n', "\r\n");
    let made = submit(&router, "/new/yaml", &[("text", sent.as_str())]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.body);
    assert_eq!(
        member(&router, "new", "baseUrl").await,
        "https://new.example.com"
    );
}

#[tokio::test]
async fn a_service_of_a_file_can_be_read_and_not_changed() {
    let router = router(&world().await);
    let page = get(&router, "/services/mail/edit").await.body;
    assert!(
        page.contains("services.yaml") && page.contains("readonly"),
        "{page}"
    );
    let (text, revision) = editor(&page);
    assert_eq!(revision, None);
    for path in ["/services/mail/edit", "/services/mail/delete"] {
        let refused = submit(&router, path, &[("text", text.as_str())]).await;
        assert_ne!(
            refused.status,
            StatusCode::SEE_OTHER,
            "{path}: {}",
            refused.body
        );
    }
    assert_eq!(
        member(&router, "mail", "baseUrl").await,
        "https://mail.example.com"
    );
}

#[tokio::test]
async fn a_service_is_deleted_after_a_page_that_says_what_goes_with_it() {
    let router = router(&world().await);
    let spec = json!({"name": "checkout", "services": ["shop-api"]});
    send_json(&router, Method::POST, "/api/v1/consumers", spec).await;
    let page = get(&router, "/services/shop-api/delete").await.body;
    for part in ["1 open alert", "1 credential", "checkout"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    let old = submit(&router, "/services/shop-api/delete", &[("revision", "99")]).await;
    assert_eq!(old.status, StatusCode::PRECONDITION_FAILED, "{}", old.body);
    let done = submit(&router, "/services/shop-api/delete", &[]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let gone = get(&router, "/api/v1/services/shop-api").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn credentials_are_set_replaced_and_deleted_and_never_shown() {
    let world = world().await;
    let router = router(&world);
    let page = "/services/shop-api/credentials";
    let shown = get(&router, page).await.body;
    assert!(
        shown.contains("<code>api_key</code>") && !shown.contains("k3y-of-the-tests"),
        "{shown}"
    );

    let fields = [("name", "default"), ("value", "n3w-k3y")];
    let replaced = submit(&router, &format!("{page}/set"), &fields).await;
    assert_eq!(replaced.status, StatusCode::SEE_OTHER, "{}", replaced.body);
    let fields = [
        ("name", "billing-key"),
        ("type", "bearer"),
        ("secret", "t0k3n"),
    ];
    let added = submit(&router, &format!("{page}/set"), &fields).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
    let stored = world.control.service_list().await.unwrap();
    let stored = stored
        .iter()
        .find(|service| service.slug == "shop-api")
        .unwrap();
    assert_eq!(stored.spec["authentication"]["value"], "n3w-k3y");
    assert_eq!(stored.spec["credentials"]["billing-key"]["token"], "t0k3n");
    let shown = get(&router, page).await.body;
    assert!(shown.contains("billing-key"), "{shown}");
    assert!(
        !shown.contains("n3w-k3y") && !shown.contains("t0k3n"),
        "{shown}"
    );

    let fields = [("name", "other"), ("type", "bearer"), ("secret", " ")];
    let empty = submit(&router, &format!("{page}/set"), &fields).await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST, "{}", empty.body);
    assert_eq!(
        empty.body.matches("write the secret").count(),
        1,
        "{}",
        empty.body
    );
    let empty = submit(&router, &format!("{page}/set"), &[("name", "billing-key")]).await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST, "{}", empty.body);
    let late = [("name", "billing-key"), ("revision", "1")];
    let late = submit(&router, &format!("{page}/delete"), &late).await;
    assert_eq!(
        late.status,
        StatusCode::PRECONDITION_FAILED,
        "{}",
        late.body
    );
    let gone = submit(
        &router,
        &format!("{page}/delete"),
        &[("name", "billing-key")],
    )
    .await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.body);
    let shown = get(&router, page).await.body;
    assert!(!shown.contains("billing-key"), "{shown}");
}

#[tokio::test]
async fn a_consumer_is_added_with_a_token_shown_once_and_revoked() {
    let router = router(&world().await);
    let fields = [("name", "checkout"), ("services", "shop-api, mail")];
    let made = submit(&router, "/usage/consumers", &fields).await;
    assert!(made.body.contains("<code>extrack_"), "{}", made.body);
    let page = get(&router, "/usage").await.body;
    assert!(page.contains("shop-api, mail"), "{page}");
    assert!(!page.contains("extrack_"), "{page}");
    let wrong = [("name", "other"), ("services", "No Slug!")];
    let wrong = submit(&router, "/usage/consumers", &wrong).await;
    assert_eq!(
        wrong.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        wrong.body
    );

    let request = request(Method::GET, "/usage").header(AUTHORIZATION, format!("Bearer {READER}"));
    let reader = send(&router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(reader.status, StatusCode::OK, "{}", reader.body);
    assert!(!reader.body.contains("checkout"), "{}", reader.body);

    let consumers = get(&router, "/api/v1/consumers").await.json();
    let id = &consumers["items"][0]["id"];
    submit(&router, &format!("/usage/consumers/{id}/revoke"), &[]).await;
    let page = get(&router, "/usage").await.body;
    assert!(!page.contains("checkout"), "{page}");
}

#[tokio::test]
async fn an_invoice_is_imported_from_a_form_and_listed_with_its_drift() {
    let router = router(&world().await);
    let csv = "from,to,service,amount,currency\n2025-01-01,2025-02-01,shop-api,12.50,EUR\n2025-01-01,2025-02-01,nothing,1,EUR\n";
    let fields = [("file", csv), ("invoice", "INV-17")];
    let done = upload(&router, "/usage/invoices", &fields).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    for part in ["1 line imported", "1 line refused"] {
        assert!(
            done.body.contains(part),
            "{part} is missing in {}",
            done.body
        );
    }
    let page = get(&router, "/usage").await.body;
    for part in ["INV-17", "12.5 EUR"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    let named = upload(&router, "/usage/invoices", &[("file", csv)]).await;
    assert_eq!(named.status, StatusCode::OK, "{}", named.body);
    let page = get(&router, "/usage").await.body;
    assert!(page.contains("<td>november</td>"), "{page}");
    let nothing = upload(&router, "/usage/invoices", &[("file", "")]).await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST, "{}", nothing.body);
}

#[tokio::test]
async fn a_saved_query_is_deleted() {
    let router = router(&world().await);
    let fields = [("q", "SELECT 1"), ("name", "all-runs")];
    let saved = submit(&router, "/sql/save", &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert!(get(&router, "/sql").await.body.contains("all-runs"));
    let gone = submit(&router, "/sql/delete", &[("name", "all-runs")]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.body);
    assert!(!get(&router, "/sql").await.body.contains("all-runs"));
    let again = submit(&router, "/sql/delete", &[("name", "all-runs")]).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND, "{}", again.body);
}
