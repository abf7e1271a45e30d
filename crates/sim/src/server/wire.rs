//! The connection as the fault engine sees it: a stream that can be made to end at a chosen byte.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::error::Error;
use crate::faults::Close;
use crate::settings::Builder;

/// Tells a connection how to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Control(Arc<Orders>);

#[derive(Debug, Default)]
struct Orders {
    end: AtomicU8,
    /// Bytes to send before the end, past what HTTP has to say.
    tail: Mutex<Bytes>,
}

const GO_ON: u8 = 0;
const FIN: u8 = 1;
const RST: u8 = 2;

impl Control {
    /// Ends the connection once everything written so far was sent.
    pub(crate) fn end(&self, close: Close) {
        let end = match close {
            Close::Fin => FIN,
            Close::Rst => RST,
        };
        self.0.end.store(end, Ordering::Release);
    }

    /// Sends `tail` after everything written so far, then ends the connection.
    pub(crate) fn end_with(&self, tail: &'static [u8]) {
        *self.0.tail.lock().unwrap_or_else(PoisonError::into_inner) = Bytes::from_static(tail);
        self.end(Close::Fin);
    }
}

/// How connections are secured: not at all, or by TLS.
#[derive(Clone)]
pub(crate) enum Security {
    Plain,
    #[cfg(feature = "tls")]
    Tls(tokio_rustls::TlsAcceptor),
}

impl Security {
    #[cfg_attr(not(feature = "tls"), expect(unused_variables))]
    pub(crate) fn of(settings: &Builder) -> Result<Self, Error> {
        #[cfg(feature = "tls")]
        if let Some(authority) = &settings.tls {
            return super::tls::acceptor(authority).map(Self::Tls);
        }
        Ok(Self::Plain)
    }

    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::Plain => "http",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "https",
        }
    }

    /// The connection, ready for HTTP; `None` when the handshake failed.
    pub(crate) async fn secure(&self, stream: TcpStream, control: Control) -> Option<Wire> {
        let stream = match self {
            Self::Plain => Stream::Plain(stream),
            #[cfg(feature = "tls")]
            Self::Tls(acceptor) => Stream::Tls(Box::new(acceptor.accept(stream).await.ok()?)),
        };
        Some(Wire { stream, control })
    }
}

/// A connection under such a control.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Stream,
    control: Control,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

/// Calls the same method of whichever stream it is.
macro_rules! either {
    ($stream:expr, $inner:ident => $call:expr) => {
        match &mut $stream {
            Stream::Plain($inner) => $call,
            #[cfg(feature = "tls")]
            Stream::Tls($inner) => $call,
        }
    };
}

impl Wire {
    fn end(&self) -> u8 {
        self.control.0.end.load(Ordering::Acquire)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.end() == RST {
            // Closing a socket that does not linger sends a reset. If it can't be set the peer sees a plain end.
            let _ = self.stream.socket().set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.stream, inner => Pin::new(inner).poll_read(context, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.stream, inner => Pin::new(inner).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.stream, inner => Pin::new(inner).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    /// The server flushes after each round of writing, when nothing is left in its own buffers: the moment at which
    /// exactly the chosen bytes were sent.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end() == GO_ON {
            return either!(self.stream, inner => Pin::new(inner).poll_flush(context));
        }
        let this = &mut *self;
        let orders = Arc::clone(&this.control.0);
        let mut tail = orders.tail.lock().unwrap_or_else(PoisonError::into_inner);
        while !tail.is_empty() {
            let sent = ready!(either!(this.stream, inner => Pin::new(inner).poll_write(context, &tail)))?;
            tail.advance(sent);
        }
        // TLS holds back what it has encrypted until it is flushed.
        ready!(either!(this.stream, inner => Pin::new(inner).poll_flush(context)))?;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "ended by the fault engine")))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.stream, inner => Pin::new(inner).poll_shutdown(context))
    }
}
