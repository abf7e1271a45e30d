//! Compression of pages, with a context that is kept from page to page.

use parquet::basic::Compression;

use crate::error::{Error, ErrorKind};

/// Compresses pages.
pub(crate) struct Compressor {
    codec: Codec,
    out: Vec<u8>,
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
        Ok(Self { codec, out: Vec::new() })
    }

    /// The compressed bytes, until the next call.
    pub(crate) fn compress<'c>(&'c mut self, bytes: &'c [u8]) -> Result<&'c [u8], Error> {
        let len = match &mut self.codec {
            Codec::None => return Ok(bytes),
            Codec::Snappy(snappy) => {
                self.out.resize(snap::raw::max_compress_len(bytes.len()), 0);
                snappy.compress(bytes, &mut self.out).map_err(failed)?
            }
            Codec::Zstd(zstd) => {
                self.out.resize(zstd::zstd_safe::compress_bound(bytes.len()), 0);
                zstd.compress_to_buffer(bytes, &mut self.out[..]).map_err(failed)?
            }
        };
        Ok(&self.out[..len])
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Write, "a page can't be compressed").with_source(error)
}
