//! JSON Lines made from a table, for records that were delivered in another form: contacts as CSV.

use std::io::{BufWriter, Write};

use arrow_array::RecordBatch;

use crate::canonical::Canonical;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;

const BUFFER: usize = 256 << 10;

/// Writes each row as one line: the API's own fields, sorted by name, with `extra` merged back in. Absent values are absent
/// keys, and the project's own columns are left out, so that the line is a record as the service would have sent it.
///
/// ```
/// use backstory_tables::{ActivityBatches, JsonLinesFile, Origin};
/// use jiff::Timestamp;
///
/// let export = &b"{\"uid\":\"em-1\",\"type\":\"email\",\"new\":true,\"tags\":[]}\n"[..];
/// let mut lines = Vec::new();
/// let mut file = JsonLinesFile::new(&mut lines);
/// for batch in ActivityBatches::new(export, &Origin::offline(Timestamp::UNIX_EPOCH)) {
///     file.write(&batch?)?;
/// }
/// file.finish()?;
/// assert_eq!(lines, b"{\"new\":true,\"type\":\"email\",\"uid\":\"em-1\"}\n");
/// # Ok::<(), backstory_tables::Error>(())
/// ```
#[derive(Debug)]
pub struct JsonLinesFile<W: Write> {
    writer: BufWriter<W>,
    line: Vec<u8>,
}

impl<W: Write> JsonLinesFile<W> {
    /// Begins a file.
    pub fn new(writer: W) -> Self {
        Self { writer: BufWriter::with_capacity(BUFFER, writer), line: Vec::new() }
    }

    /// Writes the rows of a nested batch.
    ///
    /// # Errors
    /// [`ErrorKind::Write`], and [`ErrorKind::Table`] when a column is of a type that no table of this crate has.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let schema = batch.schema();
        let rows = Canonical::of(schema.fields(), batch.columns())?;
        for row in 0..batch.num_rows() {
            self.line.clear();
            if !rows.write(row, &mut self.line) {
                self.line.extend_from_slice(b"{}");
            }
            self.line.push(b'\n');
            self.writer.write_all(&self.line).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// [`ErrorKind::Write`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.writer.flush().map_err(failed)
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::write("the JSON Lines", error)
}
