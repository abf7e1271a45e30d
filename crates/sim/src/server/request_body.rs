//! The body of a request, as far as it is of use.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// The most bytes that a body may have; real ones have a few hundred.
const MOST: usize = 1024 * 1024;
/// The most bytes of a longer one that are waited for.
const MOST_WAITED_FOR: usize = 64 * MOST;

/// Why there is no body to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    TooLong,
    /// It broke off, or was no HTTP.
    Broken,
}

impl Unread {
    /// What the reply says.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::TooLong => "The body is longer than 1 MiB",
            Self::Broken => "The body could not be read",
        }
    }
}

/// Reads a body. One that is too long is waited for and dropped: who is still sending does not see the reply.
pub(super) async fn read(mut body: Incoming) -> Result<Bytes, Unread> {
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let piece = frame.map_err(|_| Unread::Broken)?.into_data().unwrap_or_default();
        length += piece.len();
        if length <= MOST {
            kept.extend_from_slice(&piece);
        } else if length > MOST_WAITED_FOR {
            break;
        }
    }
    if length <= MOST { Ok(kept.into()) } else { Err(Unread::TooLong) }
}
