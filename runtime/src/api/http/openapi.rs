//! `/api/v1/openapi.json`: OpenAPI 3.1, from the routes themselves.

use std::sync::Arc;

use aide::openapi::{Info, License, OpenApi, SecurityScheme};
use aide::transform::TransformOpenApi;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::endpoint::Endpoint;
use super::error::ApiError;
use crate::api_types::scope::Scope::Read;

/// Declares the operation.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/openapi.json", get)
            .id("openapiGet")
            .summary("This description")
            .returns::<200, Json<Map<String, Value>>>(),
    ]
}

/// Name of the security scheme.
pub(crate) const TOKEN: &str = "token";

/// The document as it is served, written once.
#[derive(Clone)]
pub(crate) struct Document(Arc<Bytes>);

impl Document {
    pub(crate) fn new(api: &OpenApi) -> Self {
        Self(Arc::new(
            serde_json::to_vec(api)
                .expect("an OpenAPI document is plain JSON")
                .into(),
        ))
    }
}

async fn get(Extension(Document(document)): Extension<Document>) -> Response {
    (
        [(CONTENT_TYPE, "application/json")],
        document.as_ref().clone(),
    )
        .into_response()
}

pub(crate) fn start() -> OpenApi {
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

pub(crate) fn finish(api: TransformOpenApi<'_>) -> TransformOpenApi<'_> {
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
