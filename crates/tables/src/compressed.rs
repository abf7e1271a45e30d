//! Input that may be compressed: told by its first bytes, never by its name.

use std::io::{self, BufRead, BufReader, Read};

/// Reads gzip and Zstandard as what they hold, and everything else as it is. Several compressed files one behind the other
/// are one. A compressed file that was cut off is an error where it ends.
///
/// ```
/// use std::io::Read;
///
/// use backstory_tables::decompressed;
///
/// let mut text = String::new();
/// decompressed(&b"{\"uid\":\"em-1\"}\n"[..])?.read_to_string(&mut text)?;
/// assert_eq!(text, "{\"uid\":\"em-1\"}\n");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// When the first bytes can't be read.
pub fn decompressed<'r>(reader: impl Read + Send + 'r) -> io::Result<Box<dyn Read + Send + 'r>> {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    const ZSTANDARD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    // The longest of the marks; a pipe may give fewer bytes at first.
    let mut mark = Vec::new();
    let mut reader = reader;
    reader.by_ref().take(ZSTANDARD.len() as u64).read_to_end(&mut mark)?;
    let is_gzip = mark.starts_with(GZIP);
    let is_zstandard = mark == ZSTANDARD;
    let whole = io::Cursor::new(mark).chain(reader);
    if is_gzip {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))));
    }
    if is_zstandard {
        return Ok(Box::new(zstd::stream::read::Decoder::with_buffer(buffered(whole))?));
    }
    Ok(Box::new(whole))
}

fn buffered(reader: impl Read + Send) -> impl BufRead + Send {
    BufReader::with_capacity(256 << 10, reader)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        decompressed(bytes)?.read_to_end(&mut text)?;
        Ok(text)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_input_is_read_as_what_it_holds() {
        let text = b"{\"uid\":\"a\"}\n".repeat(1_000);
        assert_eq!(read(&text).unwrap(), text);
        assert_eq!(read(&gzip(&text)).unwrap(), text);
        assert_eq!(read(&zstd::bulk::compress(&text, 1).unwrap()).unwrap(), text);
        assert_eq!(read(&[gzip(&text), gzip(b"x")].concat()).unwrap(), [&text[..], b"x"].concat());
        for short in [&b""[..], b"{", b"\x1f"] {
            assert_eq!(read(short).unwrap(), short);
        }
    }

    #[test]
    fn cut_compressed_input_is_an_error() {
        let text = b"{\"uid\":\"a\"}\n".repeat(1_000);
        for whole in [gzip(&text), zstd::bulk::compress(&text, 1).unwrap()] {
            assert!(read(&whole[..whole.len() - 3]).is_err());
        }
    }
}
