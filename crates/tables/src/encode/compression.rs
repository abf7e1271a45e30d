//! Compression of pages, with a context that is kept from page to page.

use parquet::basic::Compression;

use crate::error::{Error, ErrorKind};

/// Compresses pages.
pub(crate) struct Compressor {
    codec: Codec,
    out: Vec<u8>,
    /// Where pages are put together.
    page: Vec<u8>,
}

enum Codec {
    None,
    Snappy(Box<snap::raw::Encoder>),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    pub(crate) fn new(codec: Compression) -> Result<Self, Error> {
        let codec = match codec {
            Compression::UNCOMPRESSED => Codec::None,
            Compression::SNAPPY => Codec::Snappy(Box::new(snap::raw::Encoder::new())),
            Compression::ZSTD(level) => {
                Codec::Zstd(zstd::bulk::Compressor::new(level.compression_level()).map_err(failed)?)
            }
            other => {
                return Err(Error::new(ErrorKind::Format, format!("pages can't be compressed by {other}")));
            }
        };
        Ok(Self { codec, out: Vec::new(), page: Vec::new() })
    }

    /// An empty buffer for a page, to be given back with [`keep`](Self::keep).
    pub(crate) fn page(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.page)
    }

    /// Keeps the buffer for the next page.
    pub(crate) fn keep(&mut self, mut page: Vec<u8>) {
        page.clear();
        self.page = page;
    }

    /// The compressed bytes, until the next call.
    pub(crate) fn compress<'c>(&'c mut self, bytes: &'c [u8]) -> Result<&'c [u8], Error> {
        let len = match &mut self.codec {
            Codec::None => return Ok(bytes),
            Codec::Snappy(snappy) => {
                make_room(&mut self.out, snap::raw::max_compress_len(bytes.len()));
                snappy.compress(bytes, &mut self.out).map_err(failed)?
            }
            Codec::Zstd(zstd) => {
                make_room(&mut self.out, zstd::zstd_safe::compress_bound(bytes.len()));
                zstd.compress_to_buffer(bytes, &mut self.out[..]).map_err(failed)?
            }
        };
        Ok(&self.out[..len])
    }
}

/// Lengthens the buffer if it is too short; what is in it will be overwritten.
fn make_room(buffer: &mut Vec<u8>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Write, "a page can't be compressed").with_source(error)
}
