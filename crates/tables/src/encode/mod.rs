//! Parquet row groups from batches: our own encoding of columns, over the parquet crate's page writer, metadata and
//! footer.
//!
//! The crate's own column writer is made for any schema and any data; for these tables it spends most of a conversion's
//! time in dictionaries that it later throws away, in statistics that help nobody, and in working out the levels of a list
//! anew for each of its leaves. Here levels are worked out once per list, integers and instants are delta-encoded
//! without a dictionary, and a dictionary that doesn't pay is given up after its first page. `docs/benchmarks.md` has what
//! it comes to, beside other tools.

mod chunk;
mod compression;
mod delta;
mod dictionary;
mod hybrid;
mod leaf;
mod levels;
mod plan;

use std::io::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescPtr;

use self::compression::Compressor;
use self::leaf::Leaf;
use self::levels::Levels;
use self::plan::LeafPlan;
use crate::error::{Error, ErrorKind};

/// What the columns of a file are, and how each is encoded. Threads share it.
#[derive(Debug)]
pub(crate) struct Layout {
    leaves: Vec<Arc<LeafPlan>>,
    codec: Compression,
}

impl Layout {
    pub(crate) fn of(schema: &SchemaDescPtr, codec: Compression) -> Self {
        // Children, and nothing else, have a place among their siblings.
        let of_children = schema.columns().iter().any(|column| column.name() == "ordinal");
        let plan = |column| Arc::new(LeafPlan::of(column, of_children, codec));
        Self { leaves: schema.columns().iter().map(plan).collect(), codec }
    }
}

/// Encodes one row group after the other.
pub(crate) struct RowGroupWriter {
    leaves: Vec<Leaf>,
    compressor: Compressor,
    rows: usize,
}

/// A row group whose columns are encoded.
pub(crate) struct EncodedColumns {
    columns: Vec<(Bytes, ColumnCloseResult)>,
    rows: u64,
}

impl RowGroupWriter {
    pub(crate) fn new(layout: &Layout) -> Result<Self, Error> {
        let leaves = layout.leaves.iter().map(|plan| Leaf::new(Arc::clone(plan))).collect();
        Ok(Self { leaves, compressor: Compressor::new(layout.codec)?, rows: 0 })
    }

    /// Encodes the rows of a batch, whose schema is the file's.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let levels = Levels::of_rows(batch.num_rows());
        let mut leaves = self.leaves.iter_mut();
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            visit(field, array, &levels, &mut leaves)?;
        }
        for leaf in &mut self.leaves {
            leaf.end_batch(&mut self.compressor)?;
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Ends the row group. The writer goes on with an empty one.
    pub(crate) fn finish(&mut self) -> Result<EncodedColumns, Error> {
        let rows = std::mem::take(&mut self.rows) as u64;
        let columns = self
            .leaves
            .iter_mut()
            .map(|leaf| leaf.finish(rows, &mut self.compressor))
            .collect::<Result<_, _>>()?;
        Ok(EncodedColumns { columns, rows })
    }
}

impl EncodedColumns {
    /// Appends the row group to its file; one without rows is left out.
    pub(crate) fn write<W: Write + Send>(self, file: &mut SerializedFileWriter<W>) -> Result<(), Error> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = file.next_row_group().map_err(failed)?;
        for (bytes, close) in self.columns {
            group.append_column(&bytes, close).map_err(failed)?;
        }
        group.close().map_err(failed)?;
        Ok(())
    }
}

/// Hands a column's leaves to their writers.
fn visit<'l>(
    field: &Field,
    array: &ArrayRef,
    levels: &Levels,
    leaves: &mut impl Iterator<Item = &'l mut Leaf>,
) -> Result<(), Error> {
    match field.data_type() {
        DataType::Struct(fields) => {
            let inner = levels.inside_struct(array, field.is_nullable());
            for (field, array) in fields.iter().zip(array.as_struct().columns()) {
                visit(field, array, &inner, leaves)?;
            }
            Ok(())
        }
        DataType::List(element) => {
            let list = array.as_list::<i32>();
            let inner = levels.inside_list(list, field.is_nullable())?;
            visit(element, list.values(), &inner, leaves)
        }
        _ => match leaves.next() {
            Some(leaf) => leaf.append(array, levels, field.is_nullable()),
            None => {
                Err(Error::new(ErrorKind::Table, format!("the file has no column for `{}`", field.name())))
            }
        },
    }
}

fn failed(error: ParquetError) -> Error {
    Error::write("the Parquet file", error)
}
