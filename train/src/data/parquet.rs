//! Parquet files: rows of a table, in *row groups* that can be read one by one, compressed by zstd or snappy or not at all.
//!
//! A file is read a row group at a time and never as a whole. Rows become JSON values, so a nested column (the choices of a
//! question, the messages of a conversation) has the shape that its publisher's JSON has; the texts of a pretraining shard
//! are read from their one column. Format: the Apache Parquet specification. Next: `shards.rs`, a folder of such files.

use crate::error::{Result, TrainError};
use ::parquet::basic::{Compression, Repetition, Type as PhysicalType, ZstdLevel};
use ::parquet::data_type::{ByteArray, ByteArrayType};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::record::{Field, Row};
use ::parquet::schema::types::Type;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The column of a pretraining shard.
pub const TEXT: &str = "text";
/// Documents in a row group of the shards we write, as the original's.
pub const GROUP: usize = 1024;

/// An open file.
pub struct ParquetFile {
    path: PathBuf,
    reader: SerializedFileReader<File>,
}

impl ParquetFile {
    /// Open `path` and read its footer.
    pub fn open(path: &Path) -> Result<ParquetFile> {
        let file = File::open(path).map_err(TrainError::io(path))?;
        let reader = guarded(path, || SerializedFileReader::new(file))?;
        Ok(ParquetFile { path: path.to_owned(), reader })
    }
    /// Row groups.
    pub fn groups(&self) -> usize {
        self.reader.num_row_groups()
    }
    /// Rows of a group, as the footer says.
    pub fn rows_of(&self, group: usize) -> usize {
        let groups = self.reader.metadata().row_groups();
        groups.get(group).map_or(0, |g| usize::try_from(g.num_rows()).unwrap_or(0))
    }
    /// Rows in all.
    pub fn len(&self) -> usize {
        (0..self.groups()).map(|g| self.rows_of(g)).sum()
    }
    /// Has it no rows?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Names of the columns.
    pub fn columns(&self) -> Vec<String> {
        let schema = self.reader.metadata().file_metadata().schema();
        schema.get_fields().iter().map(|f| f.name().to_string()).collect()
    }
    /// The texts of a row group; a missing text is empty.
    pub fn texts(&self, group: usize) -> Result<Vec<String>> {
        let schema = self.reader.metadata().file_metadata().schema();
        let Some(column) = schema.get_fields().iter().find(|f| f.name() == TEXT) else {
            let found = self.columns().join(", ");
            let why = format!(
                "no column `{TEXT}` (there are: {found}); a pretraining shard has its documents there"
            );
            return Err(TrainError::bad(&self.path, why));
        };
        let only = guarded(&self.path, || {
            Type::group_type_builder(schema.name()).with_fields(vec![column.clone()]).build()
        })?;
        let text = |row: Row| match row.into_columns().pop().map(|(_, field)| field) {
            Some(Field::Str(text)) => Ok(text),
            Some(Field::Bytes(bytes)) => match std::str::from_utf8(bytes.data()) {
                Ok(text) => Ok(text.to_owned()),
                Err(e) => Err(TrainError::bad(&self.path, format!("row group {group}: not UTF-8: {e}"))),
            },
            Some(Field::Null) | None => Ok(String::new()),
            Some(other) => {
                let why = format!("column `{TEXT}` holds {other}, not text");
                Err(TrainError::bad(&self.path, why))
            }
        };
        self.each_row(group, Some(only), text)
    }
    /// All rows of a group, each an object of its columns.
    pub fn rows(&self, group: usize) -> Result<Vec<Value>> {
        self.each_row(group, None, |row| Ok(object(&row)))
    }
    /// All rows of the file.
    pub fn all_rows(&self) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        for group in 0..self.groups() {
            rows.extend(self.rows(group)?);
        }
        Ok(rows)
    }
    fn each_row<T>(
        &self,
        group: usize,
        columns: Option<Type>,
        mut f: impl FnMut(Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        if group >= self.groups() {
            let why =
                format!("row group {group} of {}: the file has changed since it was listed", self.groups());
            return Err(TrainError::bad(&self.path, why));
        }
        let rows = guarded(&self.path, || {
            let reader: Box<dyn RowGroupReader + '_> = self.reader.get_row_group(group)?;
            reader.get_row_iter(columns)?.collect::<std::result::Result<Vec<Row>, ParquetError>>()
        })?;
        if rows.len() != self.rows_of(group) {
            let why =
                format!("row group {group} has {} rows, its footer says {}", rows.len(), self.rows_of(group));
            return Err(TrainError::bad(&self.path, format!("{why}; {AGAIN}")));
        }
        rows.into_iter().map(&mut f).collect()
    }
}

const AGAIN: &str = "damaged: delete it and run `nanochat data download` again";

/// Damaged bytes are an error, also where the reader does not expect them and panics.
fn guarded<T>(path: &Path, f: impl FnOnce() -> std::result::Result<T, ParquetError>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(TrainError::bad(path, format!("not a readable parquet file ({e}); {AGAIN}"))),
        Err(_) => Err(TrainError::bad(path, format!("not a readable parquet file; {AGAIN}"))),
    }
}

fn object(row: &Row) -> Value {
    Value::Object(
        row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect::<Map<_, _>>(),
    )
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(b) => json!(b),
        Field::Byte(n) => json!(n),
        Field::Short(n) => json!(n),
        Field::Int(n) => json!(n),
        Field::Long(n) => json!(n),
        Field::UByte(n) => json!(n),
        Field::UShort(n) => json!(n),
        Field::UInt(n) => json!(n),
        Field::ULong(n) => json!(n),
        Field::Float(x) => json!(x),
        Field::Double(x) => json!(x),
        Field::Str(text) => json!(text),
        Field::Bytes(bytes) => json!(String::from_utf8_lossy(bytes.data())),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        other => json!(other.to_string()), // dates, times, decimals, maps: none of our tasks has them
    }
}

/// Write texts as a pretraining shard: one column, row groups of `group` documents, zstd level 3, no dictionary, no
/// statistics. The file gets its name only when it is whole.
pub fn write_texts(path: &Path, texts: &[String], group: usize) -> Result<()> {
    let tmp = path.with_extension("parquet.writing");
    let file = File::create(&tmp).map_err(TrainError::io(&tmp))?;
    guarded(path, || {
        let column = Type::primitive_type_builder(TEXT, PhysicalType::BYTE_ARRAY)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(::parquet::basic::LogicalType::String))
            .build()?;
        let schema = Type::group_type_builder("schema").with_fields(vec![Arc::new(column)]).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .build();
        let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
        for chunk in texts.chunks(group.max(1)) {
            let mut rows = writer.next_row_group()?;
            if let Some(mut column) = rows.next_column()? {
                let values: Vec<ByteArray> = chunk.iter().map(|t| ByteArray::from(t.as_str())).collect();
                column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
                column.close()?;
            }
            rows.close()?;
        }
        writer.close().map(|_| ())
    })?;
    std::fs::rename(&tmp, path).map_err(TrainError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_in_their_row_groups() {
        let dir = crate::data::scratch("parquet");
        let path = dir.join("a.parquet");
        let texts: Vec<String> = (0..10).map(|i| format!("document {i} ä")).collect();
        write_texts(&path, &texts, 4).unwrap();
        let file = ParquetFile::open(&path).unwrap();
        assert_eq!((file.groups(), file.len(), file.columns()), (3, 10, vec!["text".to_string()]));
        let back: Vec<String> = (0..3).flat_map(|g| file.texts(g).unwrap()).collect();
        assert_eq!(back, texts);
        assert_eq!(file.rows(2).unwrap(), [json!({"text": "document 8 ä"}), json!({"text": "document 9 ä"})]);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_says_what_to_do_wherever_the_damage_is() {
        let dir = crate::data::scratch("parquet-damage");
        let path = dir.join("a.parquet");
        write_texts(&path, &(0..50).map(|i| format!("text number {i}")).collect::<Vec<_>>(), 20).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let read = |bytes: &[u8]| -> Result<usize> {
            std::fs::write(&path, bytes).unwrap();
            let file = ParquetFile::open(&path)?;
            let mut n = 0;
            for group in 0..file.groups().min(100) {
                n += file.texts(group)?.len();
            }
            Ok(n)
        };
        for cut in [0, 3, 8, whole.len() / 2, whole.len() - 1] {
            let error = read(&whole[..cut]).unwrap_err().to_string();
            assert!(error.contains("data download"), "{error}");
        }
        let mut refused = 0;
        for at in (0..whole.len()).step_by(7) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            refused += usize::from(read(&bytes).is_err()); // some bytes are free to be anything
        }
        assert!(refused > 20, "{refused}");
    }
}
