//! Giving up on a server that does not answer, without counting the time for which a request waits its turn.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};
use crate::service::{HttpService, Request, Response};

/// For how long a request may be left without a reply; among the extensions of each that a
/// [`Download`](crate::Download) sends.
///
/// A layer that makes a request wait for something other than the server, such as a turn or a token, [holds](Self::hold)
/// its watch meanwhile: the time begins anew behind that. A [`Retry`](crate::Retry) layer watches each attempt by itself.
#[derive(Clone, Debug)]
pub struct ReplyWatch {
    timeout: Duration,
    holders: watch::Sender<usize>,
}

/// A [`ReplyWatch`] that is held for as long as this lives.
#[derive(Debug)]
#[must_use = "it is held no longer than this lives"]
pub struct HeldWatch(Option<watch::Sender<usize>>);

impl ReplyWatch {
    /// Holds the watch of a request, if it has one.
    pub fn hold(request: &Request) -> HeldWatch {
        let holders = request.extensions().get::<Self>().map(|watch| watch.holders.clone());
        if let Some(holders) = &holders {
            holders.send_modify(|holders| *holders += 1);
        }
        HeldWatch(holders)
    }

    /// How long the attempts of a request may take, each by itself.
    pub(crate) fn timeout_of(request: &Request) -> Option<Duration> {
        request.extensions().get::<Self>().map(|watch| watch.timeout)
    }

    /// Sends a request and waits for the head of its reply; no longer than `limit`, but for the time for which its watch is
    /// held.
    pub(crate) async fn send(
        service: &(impl HttpService + ?Sized),
        mut request: Request,
        limit: Duration,
    ) -> Result<Response, Error> {
        let watch = Self { timeout: limit, holders: watch::Sender::new(0) };
        let mut holders = watch.holders.subscribe();
        request.extensions_mut().insert(watch.clone());
        let mut reply = service.send(request);
        loop {
            let is_held = *holders.borrow_and_update() > 0;
            let limit = if is_held { Duration::MAX } else { limit };
            match timeout(limit, select(&mut reply, pin!(holders.changed()))).await {
                Ok(Either::Left((result, _))) => return result,
                // Held, or let go.
                Ok(Either::Right(_)) => {}
                Err(_) => {
                    let message = format!("no reply began within {} s", limit.as_secs_f64());
                    return Err(Error::new(ErrorKind::Timeout, message));
                }
            }
        }
    }
}

impl Drop for HeldWatch {
    fn drop(&mut self) {
        if let Some(holders) = &self.0 {
            holders.send_modify(|holders| *holders = holders.saturating_sub(1));
        }
    }
}
