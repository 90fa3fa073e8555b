//! Formats of answers: each turns Arrow batches into bytes, piece by piece.

mod columnar;
mod csv;
mod ndjson;

pub(crate) use csv::{field as csv_field, line as csv_line};

use crate::api_types::sql::SqlFormat;
use crate::store::{QueryError, QueryStream, RecordBatch};

/// Why an answer can't be written: a type that the format does not know.
pub(super) type EncodeResult = Result<Vec<u8>, QueryError>;

/// Writer of one answer. Each call returns the bytes that have come about.
pub(super) trait Encoder: Send {
    fn batch(&mut self, batch: &RecordBatch) -> EncodeResult;

    /// Returns what stands behind the last row.
    fn end(&mut self, is_truncated: bool) -> EncodeResult;

    /// Returns what marks an answer that breaks off, if the format can say so.
    fn broken(&mut self, _error: &QueryError) -> Option<Vec<u8>> {
        None
    }
}

/// Returns the writer of a streamed format; none for JSON, which is written whole.
pub(super) fn encoder(
    format: SqlFormat,
    stream: &QueryStream,
) -> Result<Option<Box<dyn Encoder>>, QueryError> {
    Ok(Some(match format {
        SqlFormat::Json => return Ok(None),
        SqlFormat::Ndjson => Box::new(ndjson::Ndjson::new(stream.columns())),
        SqlFormat::Csv => Box::new(csv::Csv::new(stream.columns())),
        SqlFormat::Arrow => Box::new(columnar::ArrowStream::new(&stream.schema())?),
        SqlFormat::Parquet => Box::new(columnar::Parquet::new(stream.schema())?),
    }))
}
