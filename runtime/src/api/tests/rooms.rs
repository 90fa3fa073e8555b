//! The pages of plugins, routing and settings, and their forms.

use super::*;

pub(super) async fn submit(router: &Router, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    let body = body.extend_pairs(fields).finish();
    let request = as_admin(Method::POST, path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header("accept", "text/html");
    send(router, request.body(body.into()).unwrap()).await
}

pub(super) async fn upload(router: &Router, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut body = String::new();
    for (name, content) in fields {
        let file = match *name {
            "component" => "; filename=\"plugin.wasm\"",
            "file" => "; filename=\"november.csv\"",
            _ => "",
        };
        body.push_str(&format!(
            "--limit\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n"
        ));
    }
    body.push_str("--limit--\r\n");
    let request = as_admin(Method::POST, path)
        .header(CONTENT_TYPE, "multipart/form-data; boundary=limit")
        .header("accept", "text/html");
    send(router, request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn plugins_are_listed_by_kind_and_each_has_a_page() {
    let router = router(&world().await);
    let all = get(&router, "/plugins").await.body;
    assert!(all.contains(r#"href="/plugins/http""#) && all.contains(r#"href="/plugins/slack""#));
    let probes = get(&router, "/plugins?kind=probe").await.body;
    assert!(probes.contains(r#"href="/plugins/http""#), "{probes}");
    assert!(!probes.contains(r#"href="/plugins/slack""#), "{probes}");
    let one = get(&router, "/plugins/http").await;
    assert_eq!(one.status, StatusCode::OK, "{}", one.body);
    for part in [
        "What it may",
        "Versions",
        "Used by",
        "Install another version",
    ] {
        assert!(one.body.contains(part), "{part} is missing in {}", one.body);
    }
    let none = get(&router, "/plugins/nothing").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(none.body.contains("there is no plugin `nothing`"));
}

#[tokio::test]
async fn a_component_comes_in_a_form() {
    let world = world().await;
    let router = router(&world);
    let fields = [("name", "quota"), ("component", "\0asm")];
    let done = upload(&router, "/plugins/install", &fields).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    assert_eq!(done.header("location"), Some("/plugins/quota"));
    assert!(
        world
            .plugins
            .lock()
            .unwrap()
            .iter()
            .any(|plugin| plugin.name == "quota")
    );

    let wrong = upload(&router, "/plugins/http/upload", &[("component", "text")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        wrong.body.contains("this is not a WebAssembly component"),
        "{}",
        wrong.body
    );
    let nothing = upload(&router, "/plugins/http/upload", &[("component", "")]).await;
    assert_eq!(nothing.status, StatusCode::BAD_REQUEST, "{}", nothing.body);
}

#[tokio::test]
async fn a_silence_is_previewed_made_and_ended() {
    let router = router(&world().await);
    let preview = get(&router, "/routing?silence=service%3D%22shop-api%22")
        .await
        .body;
    assert!(preview.contains("1 open alert"), "{preview}");
    for unreadable in ["silence=nonsense", "labels=nonsense"] {
        let wrong = get(&router, &format!("/routing?{unreadable}")).await.body;
        assert!(wrong.contains(r#"class="fault""#), "{wrong}");
    }

    let fields = [
        ("matchers", r#"service="shop-api""#),
        ("for", "1h"),
        ("comment", "a move"),
    ];
    let made = submit(&router, "/routing/silences", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.body);
    let page = get(&router, "/routing").await.body;
    assert!(page.contains("a move"), "{page}");
    let (_, rest) = page
        .split_once("/routing/silences/")
        .expect("a form that ends it");
    let (id, _) = rest.split_once('/').unwrap();
    submit(&router, &format!("/routing/silences/{id}/end"), &[]).await;
    let page = get(&router, "/routing").await.body;
    assert!(!page.contains("a move"), "{page}");
}

#[tokio::test]
async fn maintenance_is_planned_and_a_wrong_window_says_why() {
    let router = router(&world().await);
    let (matchers, everything) = (("matchers", "service=db"), ("everything", "yes"));
    for (fields, wanted) in [
        (vec![], "every alert"),
        (vec![matchers, everything], "every alert"),
        (vec![matchers, ("cron", "0 2 * * SUN")], "/duration"),
    ] {
        let fields = [&fields[..], &[("name", "Move")]].concat();
        let wrong = submit(&router, "/routing/maintenance", &fields).await;
        let status = wrong.status;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{}", wrong.body);
        assert!(wrong.body.contains(wanted), "{wanted}: {}", wrong.body);
    }
    let fields = [
        ("name", "Move"),
        everything,
        ("cron", "0 2 * * SUN"),
        ("duration", "2h"),
        ("timezone", "Europe/Berlin"),
    ];
    let made = submit(&router, "/routing/maintenance", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.body);
    let page = get(&router, "/routing").await.body;
    assert!(
        page.contains("0 2 * * SUN") && page.contains("Europe/Berlin"),
        "{page}"
    );
    submit(&router, "/routing/maintenance/remove", &[("name", "Move")]).await;
    let page = get(&router, "/routing").await.body;
    assert!(page.contains("None is planned."), "{page}");
}

#[tokio::test]
async fn a_query_is_saved_and_has_an_address_without_its_statement() {
    let router = router(&world().await);
    let fields = [("name", "the-answer"), ("q", "SELECT 42 AS answer")];
    let saved = submit(&router, "/sql/save", &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(saved.header("location"), Some("/sql?saved=the-answer"));
    let page = get(&router, "/sql?saved=the-answer").await.body;
    assert!(page.contains("SELECT 42 AS answer"), "{page}");
    assert!(page.contains(r#"href="/sql?saved=the-answer""#), "{page}");
    let none = get(&router, "/sql?saved=nothing").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND, "{}", none.body);
}

#[tokio::test]
async fn a_saved_query_runs_with_its_defaults_or_the_values_of_its_fields() {
    let router = router(&world().await);
    let query = serde_json::json!({
        "name": "loud",
        "query": "SELECT upper($word) AS loud",
        "defaults": {"word": "quiet words"},
    });
    let saved = send_json(&router, Method::POST, "/api/v1/queries", query).await;
    assert_eq!(saved.status, StatusCode::CREATED, "{}", saved.body);
    let page = get(&router, "/sql?saved=loud").await.body;
    assert!(page.contains("<td>QUIET WORDS</td>"), "{page}");
    let field = r#"name="p_word" value="quiet words""#;
    assert!(page.contains(field), "{page}");
    let page = get(&router, "/sql?saved=loud&p_word=other").await.body;
    assert!(page.contains("<td>OTHER</td>"), "{page}");
    let (_, rest) = page
        .split_once(r#"href="/sql/download?format=csv"#)
        .expect("a download");
    let (rest, _) = rest.split_once('"').unwrap();
    let rest = rest.replace("&amp;", "&");
    let all = get(&router, &format!("/sql/download?format=csv{rest}")).await;
    assert_eq!(all.body, "loud\r\nOTHER\r\n");
    let form = get(&router, "/sql?q=SELECT+upper%28%24word%29&p_word=").await;
    assert!(form.body.contains(r#"role="alert""#), "{}", form.body);
}

#[tokio::test]
async fn an_alert_shows_its_silences_and_a_resolved_one_takes_none() {
    let router = router(&world().await);
    let fields = [
        ("for", "2h"),
        ("what", "service"),
        ("note", "a planned move"),
    ];
    let made = submit(&router, "/alerts/2/silence", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.body);
    let page = get(&router, "/alerts/2").await.body;
    for part in ["Silenced", "a planned move", "service=&quot;shop-api&quot;"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    let late = submit(&router, "/alerts/1/silence", &fields).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.body);
    let other = get(&router, "/alerts/1").await.body;
    assert!(!other.contains("a planned move"), "{other}");
    let silences = get(&router, "/api/v1/silences").await.json();
    assert_eq!(silences["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_token_is_shown_once_and_revoked() {
    let router = router(&world().await);
    let fields = [
        ("name", "grafana"),
        ("read", "yes"),
        ("sql", "yes"),
        ("expires", "90d"),
    ];
    let made = submit(&router, "/settings/tokens", &fields).await;
    assert!(made.body.contains("<code>extrack_"), "{}", made.body);
    let page = get(&router, "/settings").await.body;
    assert!(
        page.contains("grafana") && page.contains("read, sql"),
        "{page}"
    );
    assert!(page.contains("token.create"), "who changed what: {page}");
    let again = submit(&router, "/settings/tokens", &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let tokens = get(&router, "/api/v1/tokens").await.json();
    let tokens = tokens["items"].as_array().unwrap();
    let id = tokens
        .iter()
        .find(|token| token["name"] == "grafana")
        .unwrap()["id"]
        .clone();
    submit(&router, &format!("/settings/tokens/{id}/revoke"), &[]).await;
    let tokens = get(&router, "/api/v1/tokens").await.body;
    assert!(!tokens.contains("grafana"), "{tokens}");
}
