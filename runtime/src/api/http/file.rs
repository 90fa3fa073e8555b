//! An answer that is a file, for the description of the API.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response};

/// A WebAssembly component.
pub(crate) struct File;

impl OperationOutput for File {
    type Inner = Self;

    fn operation_response(
        _context: &mut GenContext,
        _operation: &mut Operation,
    ) -> Option<Response> {
        Some(Response {
            content: [("application/wasm".to_owned(), MediaType::default())]
                .into_iter()
                .collect(),
            ..Response::default()
        })
    }

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, Response)> {
        Self::operation_response(context, operation)
            .map(|response| (Some(200), response))
            .into_iter()
            .collect()
    }
}
