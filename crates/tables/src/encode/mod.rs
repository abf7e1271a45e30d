//! Parquet row groups from batches: our own encoding of columns, over the parquet crate's page writer and
//! metadata.
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
mod file;
mod footer;
mod hybrid;
mod leaf;
mod levels;
mod plan;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::schema::types::SchemaDescPtr;

pub(crate) use self::compression::Compressor;
pub(crate) use self::file::EncodedFile;
pub(crate) use self::leaf::Leaf;
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

    /// One for each column that has no columns inside.
    pub(crate) fn leaves(&self) -> Vec<Leaf> {
        self.leaves.iter().map(|plan| Leaf::new(Arc::clone(plan))).collect()
    }

    pub(crate) fn compressor(&self) -> Result<Compressor, Error> {
        Compressor::new(self.codec)
    }
}

/// A column of a batch that has no columns inside, ready to be encoded.
#[derive(Debug)]
pub(crate) struct LeafColumn {
    array: ArrayRef,
    levels: Arc<Levels>,
    nullable: bool,
    /// How many rows the batch has.
    rows: usize,
}

/// The leaves of a batch's columns, in the order of the schema.
pub(crate) fn leaf_columns(batch: &RecordBatch) -> Result<Vec<LeafColumn>, Error> {
    let levels = Arc::new(Levels::of_rows(batch.num_rows()));
    let mut leaves = Vec::new();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        visit(field, array, &levels, batch.num_rows(), &mut leaves)?;
    }
    Ok(leaves)
}

fn visit(
    field: &Field,
    array: &ArrayRef,
    levels: &Arc<Levels>,
    rows: usize,
    leaves: &mut Vec<LeafColumn>,
) -> Result<(), Error> {
    match field.data_type() {
        DataType::Struct(fields) => {
            let inner = Arc::new(levels.inside_struct(array, field.is_nullable()));
            for (field, array) in fields.iter().zip(array.as_struct().columns()) {
                visit(field, array, &inner, rows, leaves)?;
            }
            Ok(())
        }
        DataType::List(element) => {
            let list = array.as_list::<i32>();
            let inner = Arc::new(levels.inside_list(list, field.is_nullable())?);
            visit(element, list.values(), &inner, rows, leaves)
        }
        _ => {
            let (array, levels) = (Arc::clone(array), Arc::clone(levels));
            leaves.push(LeafColumn { array, levels, nullable: field.is_nullable(), rows });
            Ok(())
        }
    }
}

/// Encodes a file's row groups, one after the other.
pub(crate) struct RowGroupWriter {
    leaves: Vec<Leaf>,
    compressor: Compressor,
}

impl RowGroupWriter {
    pub(crate) fn new(layout: &Layout) -> Result<Self, Error> {
        Ok(Self { leaves: layout.leaves(), compressor: layout.compressor()? })
    }

    /// Encodes the rows of a batch, whose schema is the file's.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let columns = leaf_columns(batch)?;
        if columns.len() != self.leaves.len() {
            let (given, columns) = (columns.len(), self.leaves.len());
            let message = format!("the batch has {given} columns, the file {columns}, nested ones counted");
            return Err(Error::new(ErrorKind::Table, message));
        }
        self.leaves.iter_mut().zip(&columns).try_for_each(|(leaf, column)| {
            leaf.append(column)?;
            leaf.end_batch(&mut self.compressor)
        })
    }

    /// Ends the row group. The writer goes on with an empty one.
    pub(crate) fn finish(&mut self) -> Result<Vec<EncodedColumn>, Error> {
        self.leaves.iter_mut().map(|leaf| leaf.finish(&mut self.compressor)).collect()
    }
}

/// A column chunk whose pages are encoded: its bytes, and what the footer says of it.
pub(crate) type EncodedColumn = (Bytes, ColumnCloseResult);

fn failed(error: ParquetError) -> Error {
    Error::write("the Parquet file", error)
}
