//! What reaches into the systems of the operator.

use serde_json::json;

use super::*;

#[tokio::test]
async fn private_addresses_and_programs_over_the_api_need_the_admin_scope() {
    let router = router(&world().await);
    let spec = json!({"name": "writer", "scopes": ["read", "write"]});
    let made = send_json(&router, Method::POST, "/api/v1/tokens", spec)
        .await
        .json();
    let send_as = async |token: &str, body: Value| {
        let request = request(Method::POST, "/api/v1/services")
            .header("authorization", format!("Bearer {token}"));
        send(
            &router,
            request
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string().into())
                .unwrap(),
        )
        .await
    };
    let writer = made["token"].as_str().unwrap();
    let create = async |token: &str, private: bool| {
        let body = json!({"name": "Inner", "baseUrl": "http://10.0.0.1", "private": private});
        send_as(token, body).await
    };
    assert_eq!(create(writer, true).await.status, StatusCode::FORBIDDEN);
    assert_eq!(create(writer, false).await.status, StatusCode::CREATED);
    assert_ne!(create(ADMIN, true).await.status, StatusCode::FORBIDDEN);
    for (key, value) in [
        ("monitoring", json!({"probe": "nagios"})),
        ("probes", json!([{"plugin": "tls"}, {"plugin": "nagios"}])),
    ] {
        let mut body = json!({"name": "Clock", "baseUrl": "https://clock.example"});
        body[key] = value;
        let refused = send_as(writer, body.clone()).await.status;
        assert_eq!(refused, StatusCode::FORBIDDEN, "{body}");
        let allowed = send_as(ADMIN, body.clone()).await.status;
        assert_ne!(allowed, StatusCode::FORBIDDEN, "{body}");
    }
}
