//! The connection as the fault engine sees it: a stream that can be made to end at a chosen byte.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::faults::Close;

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

/// A connection under such a control.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    control: Control,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, control: Control) -> Self {
        Self { stream, control }
    }

    fn end(&self) -> u8 {
        self.control.0.end.load(Ordering::Acquire)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.end() == RST {
            // Closing a socket that does not linger sends a reset. If it can't be set the peer sees a plain end.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The server flushes after each round of writing, when nothing is left in its own buffers: the moment at which
    /// exactly the chosen bytes were sent.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end() == GO_ON {
            return Pin::new(&mut self.stream).poll_flush(context);
        }
        let this = &mut *self;
        let orders = Arc::clone(&this.control.0);
        let mut tail = orders.tail.lock().unwrap_or_else(PoisonError::into_inner);
        while !tail.is_empty() {
            let sent = ready!(Pin::new(&mut this.stream).poll_write(context, &tail))?;
            tail.advance(sent);
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "ended by the fault engine")))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
