//! Rows on their way into buckets: gathered until there are enough, divided by the hash of their key, and put on disk in
//! sections of one bucket each. A bucket is then read from its sections alone, so memory holds a bucket at a time.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use arrow_select::interleave::interleave_record_batch;
use backstory_destination::Error;
use backstory_tables::{Resource, schema};
use zstd::bulk::{Compressor, Decompressor};

use crate::key;
use crate::problem::{unreadable, unwritable};
use crate::rows::text_column;

/// How many bytes of rows are gathered before they are divided. More of them make longer sections.
const GATHERED_BYTES: usize = 24 << 20;
/// Whatever is read again soon need not be small.
const LEVEL: i32 = 1;

/// Rows of one bucket, in a file.
#[derive(Clone, Copy, Debug)]
struct Section {
    bucket: u32,
    at: u64,
    len: usize,
    uncompressed: usize,
}

/// Divides rows into buckets, in a file of its own.
pub(crate) struct Divider {
    path: PathBuf,
    buckets: u32,
    gathered: Vec<RecordBatch>,
    gathered_bytes: usize,
    file: BufWriter<File>,
    written: u64,
    encoder: StreamWriter<Vec<u8>>,
    compressor: Compressor<'static>,
    sections: Vec<Section>,
}

impl Divider {
    pub(crate) fn new(path: PathBuf, buckets: u32) -> Result<Self, Error> {
        let failed = |error: io::Error| unwritable(&path, error);
        let file = File::create(&path).map_err(failed)?;
        let compressor = Compressor::new(LEVEL).map_err(failed)?;
        let mut encoder = StreamWriter::try_new(Vec::new(), &schema(Resource::Activities))
            .map_err(|error| unwritable(&path, error))?;
        // The schema is known; sections are rows alone.
        encoder.get_mut().clear();
        Ok(Self {
            path,
            buckets,
            gathered: Vec::new(),
            gathered_bytes: 0,
            file: BufWriter::with_capacity(1 << 20, file),
            written: 0,
            encoder,
            compressor,
            sections: Vec::new(),
        })
    }

    /// Takes in rows.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<(), Error> {
        self.gathered_bytes += bytes_in_memory(&batch);
        self.gathered.push(batch);
        if self.gathered_bytes >= GATHERED_BYTES {
            self.divide()?;
        }
        Ok(())
    }

    /// Puts on disk what has been gathered.
    fn divide(&mut self) -> Result<(), Error> {
        let mut rows = Vec::new();
        for (at, batch) in self.gathered.iter().enumerate() {
            let keys = text_column(batch, "_key")?.iter().map(Option::unwrap_or_default);
            let buckets = keys.map(|key| key::bucket(key::hash(key), self.buckets));
            rows.extend(buckets.enumerate().map(|(row, bucket)| (bucket, at, row)));
        }
        rows.sort_unstable();
        let batches: Vec<_> = self.gathered.iter().collect();
        for rows in rows.chunk_by(|left, right| left.0 == right.0) {
            let indices: Vec<_> = rows.iter().map(|&(_, batch, row)| (batch, row)).collect();
            interleave_record_batch(&batches, &indices)
                .and_then(|section| self.encoder.write(&section))
                .map_err(|error| unwritable(&self.path, error))?;
            let encoded = std::mem::take(self.encoder.get_mut());
            let compressed =
                self.compressor.compress(&encoded).map_err(|error| unwritable(&self.path, error))?;
            self.file.write_all(&compressed).map_err(|error| unwritable(&self.path, error))?;
            self.sections.push(Section {
                bucket: rows[0].0,
                at: self.written,
                len: compressed.len(),
                uncompressed: encoded.len(),
            });
            self.written += compressed.len() as u64;
        }
        self.gathered.clear();
        self.gathered_bytes = 0;
        Ok(())
    }

    /// Puts on disk what is left.
    pub(crate) fn finish(mut self) -> Result<Divided, Error> {
        self.divide()?;
        self.file.flush().map_err(|error| unwritable(&self.path, error))?;
        self.sections.sort_by_key(|section| section.bucket);
        Ok(Divided { path: self.path, sections: self.sections })
    }
}

/// Rows divided into buckets.
pub(crate) struct Divided {
    path: PathBuf,
    /// In the order of their buckets.
    sections: Vec<Section>,
}

impl Divided {
    pub(crate) fn open(&self) -> Result<DividedReader<'_>, Error> {
        let failed = |error: io::Error| unreadable(&self.path, error);
        let file = File::open(&self.path).map_err(failed)?;
        let decompressor = Decompressor::new().map_err(failed)?;
        let mut encoder = StreamWriter::try_new(Vec::new(), &schema(Resource::Activities))
            .map_err(|error| unreadable(&self.path, error))?;
        let preamble = Buffer::from_vec(std::mem::take(encoder.get_mut()));
        Ok(DividedReader { divided: self, file, decompressor, preamble })
    }
}

/// Reads buckets.
pub(crate) struct DividedReader<'d> {
    divided: &'d Divided,
    file: File,
    decompressor: Decompressor<'static>,
    /// The schema, as a stream begins with it.
    preamble: Buffer,
}

impl DividedReader<'_> {
    /// Appends the rows of a bucket.
    pub(crate) fn read(&mut self, bucket: u32, batches: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let sections = &self.divided.sections;
        let from = sections.partition_point(|section| section.bucket < bucket);
        for section in sections[from..].iter().take_while(|section| section.bucket == bucket) {
            let bytes = read_section(&mut self.file, section)
                .and_then(|compressed| self.decompressor.decompress(&compressed, section.uncompressed))
                .map_err(|error| unreadable(&self.divided.path, error))?;
            let batch = decode(self.preamble.clone(), Buffer::from_vec(bytes))
                .map_err(|error| unreadable(&self.divided.path, error))?;
            batches.extend(batch);
        }
        Ok(())
    }
}

fn read_section(file: &mut File, section: &Section) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; section.len];
    file.seek(SeekFrom::Start(section.at))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn decode(mut preamble: Buffer, mut section: Buffer) -> Result<Option<RecordBatch>, ArrowError> {
    let mut decoder = StreamDecoder::new();
    decoder.decode(&mut preamble)?;
    decoder.decode(&mut section)
}

/// How many bytes of memory the rows of a batch take.
pub(crate) fn bytes_in_memory(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

/// The folder's path for a divider's file.
pub(crate) fn file_in(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("rows-{number}"))
}
