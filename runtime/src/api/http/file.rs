//! An answer that is a file, for the description of the API.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response};

/// A WebAssembly component.
pub(crate) struct File;

/// A tar archive.
pub(crate) struct TarFile;

/// A Parquet file.
pub(crate) struct ParquetFile;

/// A report, in the format that was asked for.
pub(crate) struct ReportFile;

fn response_of(content_type: &str) -> Response {
    Response {
        content: [(content_type.to_owned(), MediaType::default())]
            .into_iter()
            .collect(),
        ..Response::default()
    }
}

/// Describes an answer with a file of a type.
macro_rules! file_output {
    ($file:ty, $content_type:literal) => {
        impl OperationOutput for $file {
            type Inner = Self;

            fn operation_response(
                _context: &mut GenContext,
                _operation: &mut Operation,
            ) -> Option<Response> {
                Some(response_of($content_type))
            }

            fn inferred_responses(
                _context: &mut GenContext,
                _operation: &mut Operation,
            ) -> Vec<(Option<u16>, Response)> {
                vec![(Some(200), response_of($content_type))]
            }
        }
    };
}

file_output!(File, "application/wasm");
file_output!(TarFile, "application/x-tar");
file_output!(ParquetFile, "application/vnd.apache.parquet");
file_output!(ReportFile, "application/pdf");
