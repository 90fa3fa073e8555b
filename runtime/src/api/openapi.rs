//! `/api/v1/openapi.json`: OpenAPI 3.1, from the routes themselves.

use std::sync::Arc;

use aide::openapi::{Info, License, OpenApi, SecurityScheme};
use aide::transform::{TransformOpenApi, TransformOperation};
use axum::Extension;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::error::ApiError;

/// Name of the security scheme.
pub(super) const TOKEN: &str = "token";

/// The document as it is served, written once.
#[derive(Clone)]
pub(super) struct Document(Arc<Bytes>);

impl Document {
    pub(super) fn new(api: &OpenApi) -> Self {
        Self(Arc::new(
            serde_json::to_vec(api)
                .expect("an OpenAPI document is plain JSON")
                .into(),
        ))
    }
}

pub(super) async fn get(Extension(Document(document)): Extension<Document>) -> Response {
    (
        [(CONTENT_TYPE, "application/json")],
        document.as_ref().clone(),
    )
        .into_response()
}

pub(super) fn get_docs(operation: TransformOperation<'_>) -> TransformOperation<'_> {
    operation
        .id("openapiGet")
        .tag("program")
        .summary("This description")
        .response::<200, axum::Json<serde_json::Map<String, serde_json::Value>>>()
}

pub(super) fn start() -> OpenApi {
    aide::generate::extract_schemas(true);
    OpenApi {
        info: Info {
            title: "External Tracking".to_owned(),
            summary: Some("Watches the services you depend on and do not run.".to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            license: Some(License {
                name: "Apache-2.0".to_owned(),
                identifier: Some("Apache-2.0".to_owned()),
                ..License::default()
            }),
            ..Info::default()
        },
        ..OpenApi::default()
    }
}

pub(super) fn finish(api: TransformOpenApi<'_>) -> TransformOpenApi<'_> {
    let token = SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: None,
        description: Some(
            "A token; each operation names the scope that the token needs.".to_owned(),
        ),
        extensions: Default::default(),
    };
    api.security_scheme(TOKEN, token)
        .default_response::<ApiError>()
}
