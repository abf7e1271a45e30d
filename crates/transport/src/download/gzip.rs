//! Decompression that is fed chunks as they come: by header, or by the first bytes of a body that nothing labels.

use std::io::{self, Write as _};

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::error::{Error, ErrorKind};

/// How a gzip stream begins (RFC 1952, section 2.3.1): two bytes of magic and the only method there is. No text does.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// How much is decompressed at a time. Deflate grows at most about thousandfold, so that even a bomb stays small in memory.
const AT_A_TIME: usize = 16 << 10;

/// Decompresses a body, or passes it through.
pub(super) enum Decoder {
    /// Not enough has come to tell, or to see whether a label is right.
    Undecided {
        held: BytesMut,
        labelled: bool,
    },
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

impl Decoder {
    /// The decoder for a reply with these headers.
    pub(super) fn for_headers(headers: &HeaderMap) -> Result<Self, Error> {
        let encodings =
            headers.get_all(CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?").trim());
        let encodings: Vec<_> =
            encodings.filter(|encoding| !encoding.eq_ignore_ascii_case("identity")).collect();
        match encodings.as_slice() {
            [] => Ok(Self::Undecided { held: BytesMut::new(), labelled: false }),
            [one] if one.eq_ignore_ascii_case("gzip") || one.eq_ignore_ascii_case("x-gzip") => {
                Ok(Self::Undecided { held: BytesMut::new(), labelled: true })
            }
            other => {
                let message = format!("the body is encoded as {}, which was not asked for", other.join(", "));
                Err(Error::new(ErrorKind::BodyCorrupt, message))
            }
        }
    }

    /// Whether what is given out may differ from what came.
    pub(super) fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_) | Self::Undecided { labelled: true, .. })
    }

    /// Takes some of `wire`, and gives what it decodes to, which may be nothing yet.
    pub(super) fn push(&mut self, wire: &mut Bytes) -> Result<Bytes, Error> {
        match self {
            Self::Plain => Ok(std::mem::take(wire)),
            Self::Undecided { held, labelled } => {
                let labelled = *labelled;
                // Usually the first chunk tells, and nothing is copied.
                if !held.is_empty() || wire.len() < MAGIC.len() {
                    held.extend_from_slice(&std::mem::take(wire));
                    if held.len() < MAGIC.len() && MAGIC.starts_with(held) {
                        return Ok(Bytes::new());
                    }
                    *wire = std::mem::take(held).freeze();
                }
                if wire.starts_with(&MAGIC) {
                    *self = Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())));
                } else if labelled {
                    return Err(Error::new(
                        ErrorKind::BodyCorrupt,
                        "the body is labelled as gzip and is not",
                    ));
                } else {
                    *self = Self::Plain;
                }
                self.push(wire)
            }
            Self::Gzip(decoder) => {
                let piece = wire.split_to(wire.len().min(AT_A_TIME));
                decoder.write_all(&piece).map_err(corrupt)?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
        }
    }

    /// What is left when the body has ended.
    pub(super) fn finish(&mut self) -> Result<Bytes, Error> {
        match self {
            Self::Plain => Ok(Bytes::new()),
            // An empty result may be labelled, and still be empty (contract (j.17)).
            Self::Undecided { held, labelled: true } if !held.is_empty() => {
                Err(Error::new(ErrorKind::BodyCut, "the compressed body ends within its first bytes"))
            }
            Self::Undecided { held, .. } => Ok(std::mem::take(held).freeze()),
            Self::Gzip(decoder) => {
                decoder.try_finish().map_err(|error| {
                    let message = "the compressed body ends early, or its checksum does not match";
                    Error::new(ErrorKind::BodyCut, message).with_source(error)
                })?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
        }
    }
}

fn corrupt(error: io::Error) -> Error {
    Error::new(ErrorKind::BodyCorrupt, "the compressed body can't be decompressed").with_source(error)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(decoder: &mut Decoder, wire: &[u8], chunk: usize) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        for piece in wire.chunks(chunk.max(1)) {
            let mut piece = Bytes::copy_from_slice(piece);
            while !piece.is_empty() {
                text.extend_from_slice(&decoder.push(&mut piece)?);
            }
        }
        text.extend_from_slice(&decoder.finish()?);
        Ok(text)
    }

    fn unlabelled() -> Decoder {
        Decoder::for_headers(&HeaderMap::new()).unwrap()
    }

    fn labelled(encoding: &str) -> Result<Decoder, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
        Decoder::for_headers(&headers)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_chunking_of_plain_or_compressed_bytes_gives_the_same_text(
            text: Vec<u8>, more: Vec<u8>, chunk in 1_usize..40,
        ) {
            let mut whole = text.clone();
            whole.extend_from_slice(&more);
            let mut members = compressed(&text);
            members.extend(compressed(&more));
            prop_assert_eq!(decode(&mut unlabelled(), &members, chunk).unwrap(), whole.clone());
            prop_assert_eq!(decode(&mut labelled("gzip").unwrap(), &members, chunk).unwrap(), whole.clone());
            if !whole.starts_with(&MAGIC) {
                prop_assert_eq!(decode(&mut unlabelled(), &whole, chunk).unwrap(), whole);
            }
        }
    }

    #[test]
    fn a_cut_at_any_byte_is_noticed() {
        let wire = compressed(b"some text that is long enough to have a body of its own, own, own");
        for cut in 1..wire.len() {
            let error = decode(&mut labelled("gzip").unwrap(), &wire[..cut], 7).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BodyCut, "{cut}");
        }
    }

    #[test]
    fn a_changed_byte_is_never_passed_on_as_a_whole_body() {
        let wire = compressed(b"some text that is long enough to have a body of its own, own, own");
        // The header's time, flags and system (bytes 4 to 9) say nothing about the content.
        for at in 10..wire.len() {
            let mut wire = wire.clone();
            wire[at] ^= 0x10;
            assert!(decode(&mut labelled("gzip").unwrap(), &wire, 7).is_err(), "{at}");
        }
    }

    #[test]
    fn what_is_labelled_gzip_and_is_not_is_corrupt_and_an_unknown_label_is_refused() {
        let error = decode(&mut labelled("gzip").unwrap(), b"{\"uid\":1}", 100).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BodyCorrupt);
        assert_eq!(labelled("br").err().unwrap().kind(), ErrorKind::BodyCorrupt);
        assert!(labelled("identity").is_ok() && labelled("X-GZIP").unwrap().is_gzip());
    }

    #[test]
    fn nothing_is_nothing_however_it_is_labelled() {
        assert_eq!(decode(&mut unlabelled(), b"", 1).unwrap(), b"");
        assert_eq!(decode(&mut labelled("gzip").unwrap(), b"", 1).unwrap(), b"");
        assert_eq!(decode(&mut unlabelled(), &MAGIC[..2], 1).unwrap(), MAGIC[..2]);
    }

    #[test]
    fn a_bomb_is_let_out_piece_by_piece() {
        let mut wire = Bytes::from(compressed(&vec![0; 8 << 20]));
        let mut decoder = unlabelled();
        let (mut largest, mut total) = (0, 0);
        while !wire.is_empty() {
            let piece = decoder.push(&mut wire).unwrap().len();
            largest = largest.max(piece);
            total += piece;
        }
        total += decoder.finish().unwrap().len();
        assert_eq!(total, 8 << 20);
        assert!(largest <= 1_100 * AT_A_TIME, "{largest}");
    }
}
