//! An answer that is a file, for the description of the API.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response};

/// A WebAssembly component.
pub(crate) struct File;

/// A tar archive.
pub(crate) struct TarFile;

fn response_of(content_type: &str) -> Response {
    Response {
        content: [(content_type.to_owned(), MediaType::default())]
            .into_iter()
            .collect(),
        ..Response::default()
    }
}

impl OperationOutput for File {
    type Inner = Self;

    fn operation_response(
        _context: &mut GenContext,
        _operation: &mut Operation,
    ) -> Option<Response> {
        Some(response_of("application/wasm"))
    }

    fn inferred_responses(
        _context: &mut GenContext,
        _operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        vec![(Some(200), response_of("application/wasm"))]
    }
}

impl OperationOutput for TarFile {
    type Inner = Self;

    fn operation_response(
        _context: &mut GenContext,
        _operation: &mut Operation,
    ) -> Option<Response> {
        Some(response_of("application/x-tar"))
    }

    fn inferred_responses(
        _context: &mut GenContext,
        _operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        vec![(Some(200), response_of("application/x-tar"))]
    }
}
