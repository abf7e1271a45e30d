//! Arrow IPC: the tables as Arrow has them in memory, for readers that map a file or take a stream.

use std::fmt;
use std::io::{BufWriter, Write};

use arrow_array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{ArrowError, SchemaRef};

use crate::error::{Error, ErrorKind};
use crate::parquet_file::Compression;
use crate::resource::Resource;
use crate::schema::schema;

/// Arrow writes each column's buffers one by one; this is what a system call takes of them.
const BUFFER: usize = 256 << 10;

/// How an Arrow file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrowOptions {
    compression: Compression,
    stream: bool,
}

impl Default for ArrowOptions {
    /// A file without compression, which can be mapped into memory as it is.
    fn default() -> Self {
        Self { compression: Compression::None, stream: false }
    }
}

impl ArrowOptions {
    /// Compresses the buffers of each batch. Arrow has no Snappy.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Writes a stream, which has no footer and is read from its beginning, in place of a file. It is what a reader at the
    /// other end of a pipe wants.
    #[must_use]
    pub fn as_stream(mut self) -> Self {
        self.stream = true;
        self
    }

    fn ipc(self) -> Result<IpcWriteOptions, Error> {
        let refuse = |error: ArrowError| {
            Error::new(ErrorKind::Format, "the Arrow file can't be compressed so").with_source(error)
        };
        let options = IpcWriteOptions::default();
        match self.compression {
            Compression::None => Ok(options),
            Compression::Zstd(level) => options
                .try_with_compression(Some(CompressionType::ZSTD))
                .and_then(|options| options.try_with_compression_level(Some(level)))
                .map_err(refuse),
            Compression::Snappy => {
                Err(Error::new(ErrorKind::Format, "Arrow files have no Snappy; take zstd or none"))
            }
        }
    }
}

/// Writes the batches of one nested table to an Arrow IPC file or stream.
///
/// ```
/// use backstory_formats::JsonLines;
/// use backstory_tables::{ActivityBatchBuilder, ArrowFile, ArrowOptions, Origin, Resource};
/// use jiff::Timestamp;
///
/// let mut batches = ActivityBatchBuilder::new(&Origin::offline(Timestamp::UNIX_EPOCH));
/// let mut lines = JsonLines::new();
/// let mut rows = lines.feed(b"{\"uid\":\"em-1\",\"type\":\"email\"}\n");
/// while let Some(row) = rows.next() {
///     batches.push(&row.activity()?, row.position().line);
/// }
/// let mut bytes = Vec::new();
/// let mut file = ArrowFile::new(Resource::Activities, &mut bytes, &ArrowOptions::default())?;
/// file.write(&batches.finish())?;
/// file.finish()?;
/// assert_eq!(&bytes[..6], b"ARROW1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ArrowFile<W: Write> {
    schema: SchemaRef,
    writer: Writer<W>,
}

enum Writer<W: Write> {
    File(Box<FileWriter<BufWriter<W>>>),
    Stream(Box<StreamWriter<BufWriter<W>>>),
}

impl<W: Write> ArrowFile<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// [`ErrorKind::Write`], and [`ErrorKind::Format`] for a compression that Arrow doesn't have.
    pub fn new(resource: Resource, writer: W, options: &ArrowOptions) -> Result<Self, Error> {
        Self::of_schema(schema(resource), writer, options)
    }

    pub(crate) fn of_schema(schema: SchemaRef, writer: W, options: &ArrowOptions) -> Result<Self, Error> {
        let (ipc, writer) = (options.ipc()?, BufWriter::with_capacity(BUFFER, writer));
        let writer = if options.stream {
            StreamWriter::try_new_with_options(writer, &schema, ipc).map(Box::new).map(Writer::Stream)
        } else {
            FileWriter::try_new_with_options(writer, &schema, ipc).map(Box::new).map(Writer::File)
        };
        Ok(Self { writer: writer.map_err(failed)?, schema })
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// [`ErrorKind::Write`], and [`ErrorKind::Table`] when the batch isn't of the table's [`schema`](crate::schema()).
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        // The writers themselves take any batch.
        if self.schema.fields() != batch.schema_ref().fields() {
            let message = "the batch hasn't the columns of the table that is being written";
            return Err(Error::new(ErrorKind::Table, message));
        }
        match &mut self.writer {
            Writer::File(file) => file.write(batch),
            Writer::Stream(stream) => stream.write(batch),
        }
        .map_err(failed)
    }

    /// Writes the footer of a file, or the mark at the end of a stream.
    ///
    /// # Errors
    /// [`ErrorKind::Write`].
    pub fn finish(self) -> Result<(), Error> {
        let buffered = match self.writer {
            Writer::File(mut file) => file.finish().and_then(|()| file.into_inner()),
            Writer::Stream(mut stream) => stream.finish().and_then(|()| stream.into_inner()),
        };
        let mut writer = buffered
            .map_err(failed)?
            .into_inner()
            .map_err(|error| Error::write("the Arrow file", error.into_error()))?;
        writer.flush().map_err(|error| Error::write("the Arrow file", error))
    }
}

impl<W: Write> fmt::Debug for ArrowFile<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrowFile")
            .field("stream", &matches!(self.writer, Writer::Stream(_)))
            .finish_non_exhaustive()
    }
}

fn failed(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => Error::write("the Arrow file", error),
        error => Error::write("the Arrow file", error),
    }
}
