//! The footer of a file, kept in the form in which it will be written.
//!
//! A file writer of the parquet crate keeps the description of each row group until the end: 90 KB for these tables'
//! columns, so that the memory of a conversion grew by 3 MiB for each GiB of input. In its written form a row group's description
//! is a tenth of that, and, as row groups are much alike, a hundredth when those before it are compressed. The crate writes whole footers only, but a list in them is its length and then its elements, each of
//! which is written without regard to its neighbours. So each row group is written into a footer of its own and cut out there.

use std::io::Write;

use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::schema::types::SchemaDescPtr;

/// The length of a footer and the magic number, which end a file.
const TAIL: usize = 8;
/// The type of the list's elements, which are structures, in Thrift's compact protocol; above it stands how many there are.
const STRUCTURES: u8 = 0x0c;
/// When so many bytes have come together, they are compressed.
const PACKED: usize = 128 << 10;
/// From this many elements on, their number follows in a form of its own.
const MANY: usize = 15;

pub(super) struct Footer {
    schema: SchemaDescPtr,
    created_by: String,
    key_values: Vec<KeyValue>,
    /// The row groups so far, as they will be written: the first ones compressed, with their length, and the last ones.
    packed: Vec<(Vec<u8>, usize)>,
    groups: Vec<u8>,
    count: usize,
    rows: i64,
}

impl Footer {
    pub(super) fn new(schema: SchemaDescPtr, created_by: String, key_values: Vec<KeyValue>) -> Self {
        Self { schema, created_by, key_values, packed: Vec::new(), groups: Vec::new(), count: 0, rows: 0 }
    }

    pub(super) fn add_key_value(&mut self, entry: KeyValue) {
        self.key_values.push(entry);
    }

    /// How many row groups there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn add(&mut self, group: RowGroupMetaData) -> Result<()> {
        self.count += 1;
        self.rows += group.num_rows();
        let (_, group, _) = self.cut(vec![group])?;
        self.groups.extend(group);
        if self.groups.len() >= PACKED {
            self.packed.push((zstd::bulk::compress(&self.groups, 1)?, self.groups.len()));
            self.groups.clear();
        }
        Ok(())
    }

    /// Writes the footer, and the end of the file.
    pub(super) fn finish(self, mut writer: impl Write) -> Result<()> {
        // What stands before the list tells the number of rows.
        let (before, _, after) = self.cut(vec![self.filler(self.rows)?])?;
        let mut footer = before;
        if self.count < MANY {
            footer.push((self.count as u8) << 4 | STRUCTURES);
        } else {
            footer.push((MANY as u8) << 4 | STRUCTURES);
            let mut left = self.count;
            while left >= 0x80 {
                footer.push(left as u8 | 0x80);
                left >>= 7;
            }
            footer.push(left as u8);
        }
        let packed: usize = self.packed.iter().map(|(_, len)| len).sum();
        let length = u32::try_from(footer.len() + packed + self.groups.len() + after.len())
            .map_err(|_| ParquetError::General("the footer has more than 4 GiB".to_owned()))?;
        writer.write_all(&footer)?;
        for (packed, len) in &self.packed {
            writer.write_all(&zstd::bulk::decompress(packed, *len)?)?;
        }
        for part in [&self.groups[..], &after, &length.to_le_bytes(), b"PAR1"] {
            writer.write_all(part)?;
        }
        Ok(())
    }

    /// What stands before the list of these row groups, in it, and behind it.
    fn cut(&self, groups: Vec<RowGroupMetaData>) -> Result<(Vec<u8>, Vec<u8>, Vec<u8>)> {
        let (empty, at) = self.written_with_list(Vec::new())?;
        let after = empty[at + 1..].to_vec();
        let (mut before, at) = self.written_with_list(groups)?;
        before.truncate(before.len() - after.len());
        let list = before.split_off(at + 1);
        before.truncate(at);
        Ok((before, list, after))
    }

    /// A footer with these row groups, and where their list begins: footers that differ in nothing else first do so there.
    fn written_with_list(&self, groups: Vec<RowGroupMetaData>) -> Result<(Vec<u8>, usize)> {
        let mut more = groups.clone();
        more.push(self.filler(0)?);
        let (written, more) = (self.written(groups)?, self.written(more)?);
        let at = written.iter().zip(&more).position(|(one, other)| one != other);
        let at = at.ok_or_else(|| ParquetError::General("a footer without row groups".to_owned()))?;
        Ok((written, at))
    }

    /// A footer with these row groups, without the end of the file.
    fn written(&self, groups: Vec<RowGroupMetaData>) -> Result<Vec<u8>> {
        let file = FileMetaData::new(
            1,
            0,
            Some(self.created_by.clone()),
            Some(self.key_values.clone()),
            self.schema.clone(),
            None,
        );
        let mut bytes = Vec::new();
        ParquetMetaDataWriter::new(&mut bytes, &ParquetMetaData::new(file, groups)).finish()?;
        bytes.truncate(bytes.len() - TAIL);
        Ok(bytes)
    }

    /// A row group that tells nothing but a number of rows.
    fn filler(&self, rows: i64) -> Result<RowGroupMetaData> {
        let columns =
            self.schema.columns().iter().map(|column| ColumnChunkMetaData::builder(column.clone()).build());
        RowGroupMetaData::builder(self.schema.clone())
            .set_column_metadata(columns.collect::<Result<_>>()?)
            .set_num_rows(rows)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use parquet::file::metadata::ParquetMetaDataReader;
    use parquet::schema::parser::parse_message_type;
    use parquet::schema::types::SchemaDescriptor;

    use super::*;

    #[test]
    fn any_number_of_row_groups_is_read_back_as_it_was_added() {
        let schema =
            parse_message_type("message m { optional int64 a; required group b { required binary c; } }");
        let schema: SchemaDescPtr = Arc::new(SchemaDescriptor::new(Arc::new(schema.unwrap())));
        for count in [0, 1, 14, 15, 16, 127, 128, 6_000] {
            let entry = |key: &str| KeyValue::new(key.to_owned(), "é".to_owned());
            let mut footer = Footer::new(schema.clone(), "a test".to_owned(), vec![entry("first")]);
            let mut groups = Vec::new();
            for number in 0..count {
                // Rows whose number takes one byte, and several.
                let group = footer.filler(i64::from(number) * 1_000).unwrap();
                let group = group.into_builder().set_ordinal(number).set_file_offset(4).build().unwrap();
                footer.add(group.clone()).unwrap();
                groups.push(group);
            }
            footer.add_key_value(entry("last"));
            let mut file = b"PAR1".to_vec();
            footer.finish(&mut file).unwrap();
            let read = ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(file)).unwrap();
            assert_eq!(read.row_groups(), groups);
            let rows: i64 = groups.iter().map(RowGroupMetaData::num_rows).sum();
            let of_file = read.file_metadata();
            assert_eq!((of_file.num_rows(), of_file.created_by()), (rows, Some("a test")));
            let entries = of_file.key_value_metadata().unwrap();
            assert_eq!(entries, &[entry("first"), entry("last")]);
            assert!(of_file.column_orders().is_some());
        }
    }
}
