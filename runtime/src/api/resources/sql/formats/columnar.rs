//! Arrow and Parquet, with the types of the database.

use arrow_ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::{EncodeResult, Encoder};
use crate::store::{QueryError, RecordBatch, SchemaRef};

/// Rows of a row group, which is kept in memory until it is whole.
const ROW_GROUP: usize = 64 * 1024;

/// The stream format of Arrow IPC.
pub(super) struct ArrowStream(StreamWriter<Vec<u8>>);

impl ArrowStream {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self, QueryError> {
        let writer = StreamWriter::try_new(Vec::new(), schema);
        writer
            .map(Self)
            .map_err(|error| unknown_type("Arrow", &error))
    }
}

impl Encoder for ArrowStream {
    fn batch(&mut self, batch: &RecordBatch) -> EncodeResult {
        self.0
            .write(batch)
            .map_err(|error| unknown_type("Arrow", &error))?;
        Ok(std::mem::take(self.0.get_mut()))
    }

    fn end(&mut self, _is_truncated: bool) -> EncodeResult {
        self.0
            .finish()
            .map_err(|error| unknown_type("Arrow", &error))?;
        Ok(std::mem::take(self.0.get_mut()))
    }
}

pub(super) struct Parquet(ArrowWriter<Vec<u8>>);

impl Parquet {
    pub(super) fn new(schema: SchemaRef) -> Result<Self, QueryError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(ROW_GROUP))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties));
        writer
            .map(Self)
            .map_err(|error| unknown_type("Parquet", &error))
    }
}

impl Encoder for Parquet {
    fn batch(&mut self, batch: &RecordBatch) -> EncodeResult {
        self.0
            .write(batch)
            .map_err(|error| unknown_type("Parquet", &error))?;
        Ok(std::mem::take(self.0.inner_mut()))
    }

    fn end(&mut self, is_truncated: bool) -> EncodeResult {
        let mark = is_truncated.to_string();
        let mark = KeyValue::new("extrack.truncated".to_owned(), mark);
        self.0.append_key_value_metadata(mark);
        self.0
            .finish()
            .map_err(|error| unknown_type("Parquet", &error))?;
        Ok(std::mem::take(self.0.inner_mut()))
    }
}

fn unknown_type(format: &str, error: &dyn std::error::Error) -> QueryError {
    let message = format!("{error}; {format} can't hold a column of this type, cast it to VARCHAR");
    QueryError::Invalid(message.into())
}
