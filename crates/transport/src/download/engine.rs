//! The part of a download that starts again: after a failure it asks for the rest, or for everything once more.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{HeaderValue, Method, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::attempt::Attempt;
use super::range::{Validator, proven_rest};
use super::{Downloaded, Plan, Progress, Resume};
use crate::backoff::PauseInput;
use crate::error::{Error, ErrorKind};
use crate::refusal::Refusal;
use crate::reply_watch::ReplyWatch;

/// How much further than ever before a download must get to have its allowance of restarts refilled. Less is no progress: a
/// server that cuts every reply after a few bytes would keep it busy for ever.
const PROGRESS: u64 = 64 << 10;
/// For how long a `Retry-After` is honoured.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(60);

/// What becomes of the bytes that are out already when everything comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// They are given out again, after [`Step::Rewind`]. Whoever takes them hashes them, once all are there.
    Rewind,
    /// They are skipped, once they are proven to be the same.
    SkipWhatIsOut,
}

/// What comes next.
pub(super) enum Step {
    /// Bytes, never none.
    Data(Bytes),
    /// Forget all bytes so far: they come again.
    Rewind,
    /// That was the whole. The hash is left out with [`Restart::Rewind`].
    End(Downloaded),
}

/// A state of a resource of which the first `bytes` are known.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) bytes: u64,
    pub(super) validator: Validator,
}

/// A download under way.
pub(super) struct Engine {
    plan: Plan,
    restart: Restart,
    attempt: Option<Attempt>,
    /// How many bytes of the present reply have been decoded, those it continues from included; and their hash, unless the
    /// bytes are hashed where they are written.
    position: u64,
    sha256: Option<Sha256>,
    /// Bytes that are out already and must come again the same: how many, and their hash.
    expected: Option<(u64, [u8; 32])>,
    /// What names the state of the resource that the bytes up to `position` belong to, where going on from there is possible.
    validator: Option<Validator>,
    /// The furthest position at which the allowance was refilled.
    mark: u64,
    restarts_without_progress: u32,
    restarts: u32,
    wire_bytes: u64,
    began: Instant,
}

impl Engine {
    pub(super) fn new(plan: Plan, restart: Restart) -> Self {
        Self {
            plan,
            restart,
            attempt: None,
            position: 0,
            sha256: (restart == Restart::SkipWhatIsOut).then(Sha256::new),
            expected: None,
            validator: None,
            mark: 0,
            restarts_without_progress: 0,
            restarts: 0,
            wire_bytes: 0,
            began: Instant::now(),
        }
    }

    /// Goes on after what another process has left.
    pub(super) fn continue_from(&mut self, known: Known) {
        self.position = known.bytes;
        self.mark = known.bytes;
        self.validator = Some(known.validator);
    }

    /// What another process would need to go on from here, if it could.
    pub(super) fn known(&self) -> Option<Known> {
        let validator = self.validator.clone()?;
        (self.position > 0).then_some(Known { bytes: self.position, validator })
    }

    /// The next step. After an error or the end there is none.
    pub(super) async fn next(&mut self) -> Result<Step, Error> {
        loop {
            let failure = match self.attempt.take() {
                None => match self.open().await {
                    Ok(Opened::Continued) => continue,
                    Ok(Opened::Rewound) => return Ok(Step::Rewind),
                    Err(error) => error,
                },
                Some(mut attempt) => match attempt.chunk(&mut self.wire_bytes).await {
                    Ok(Some(chunk)) => {
                        if !attempt.is_plain() {
                            self.validator = None;
                        }
                        self.attempt = Some(attempt);
                        match self.accept(chunk)? {
                            Some(chunk) => return Ok(Step::Data(chunk)),
                            None => continue,
                        }
                    }
                    Ok(None) => return self.end(attempt),
                    Err(error) => error,
                },
            };
            self.recover(failure).await?;
        }
    }

    /// Sends a request and begins to read its reply.
    async fn open(&mut self) -> Result<Opened, Error> {
        loop {
            let mut request = (self.plan.request)();
            let target = (request.method().clone(), request.uri().clone());
            if target.0 != Method::GET {
                let error = Error::new(ErrorKind::Setup, "only a GET can be downloaded");
                return Err(error.with_target(&target.0, &target.1));
            }
            let wanted = if self.plan.resume == Resume::Never { "gzip" } else { "identity" };
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(wanted));
            let from = self.validator.clone().filter(|_| self.position > 0);
            if let Some(validator) = &from {
                validator.ask_for_rest(self.position, request.headers_mut());
            }
            let response = ReplyWatch::send(&*self.plan.service, request, self.plan.stall_timeout).await?;
            let rest = match (response.status(), &from) {
                (StatusCode::OK | StatusCode::NON_AUTHORITATIVE_INFORMATION | StatusCode::NO_CONTENT, _) => {
                    None
                }
                (StatusCode::PARTIAL_CONTENT, Some(validator)) => {
                    let rest = proven_rest(response.headers(), self.position, validator);
                    if rest.is_none() {
                        tracing::debug!("the partial reply is not proven to be the rest: starting over");
                        self.validator = None;
                        continue;
                    }
                    rest
                }
                (StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => {
                    self.validator = None;
                    continue;
                }
                _ => {
                    let refusal = Refusal::read(response).await;
                    let attempts = refusal.attempts;
                    let error = Error::refused(refusal).with_target(&target.0, &target.1);
                    return Err(error.with_attempts(attempts, self.began.elapsed()));
                }
            };
            let attempt =
                Attempt::new(response, rest, self.plan.stall_timeout, self.plan.accept_unproven_end)
                    .map_err(|error| error.with_target(&target.0, &target.1))?;
            // Half of a compressed reply, in any disguise, is nothing to go on from.
            if rest.is_some() && !attempt.is_plain() {
                self.validator = None;
                continue;
            }
            let rewound = rest.is_none() && self.position > 0;
            if rewound {
                self.start_over();
            }
            if rest.is_none() {
                let resumable = self.plan.resume == Resume::IfRange && attempt.is_plain();
                self.validator = attempt.validator.clone().filter(|_| resumable);
            }
            self.attempt = Some(attempt);
            let told = rewound && self.restart == Restart::Rewind;
            return Ok(if told { Opened::Rewound } else { Opened::Continued });
        }
    }

    fn start_over(&mut self) {
        if let Some(sha256) = self.sha256.as_mut().map(std::mem::take) {
            // While bytes are still being compared, those that are out reach further than the position.
            self.expected.get_or_insert_with(|| (self.position, sha256.finalize().into()));
        }
        self.position = 0;
    }

    /// Counts and hashes a chunk, and gives that part of it which is not out already.
    fn accept(&mut self, mut chunk: Bytes) -> Result<Option<Bytes>, Error> {
        if let Some((out, digest)) = self.expected {
            let again = usize::try_from(out - self.position).unwrap_or(usize::MAX).min(chunk.len());
            let again = chunk.split_to(again);
            self.hash(&again);
            self.position += again.len() as u64;
            if self.position == out {
                self.expected = None;
                let same = self.sha256.as_ref().is_some_and(|sha256| sha256.clone().finalize()[..] == digest);
                if !same {
                    let message =
                        format!("it restarted with other bytes: the first {out} are not those of before");
                    return Err(self.explain(Error::new(ErrorKind::BodyCorrupt, message)));
                }
            }
        }
        self.hash(&chunk);
        self.position += chunk.len() as u64;
        if self.position >= self.mark + PROGRESS {
            self.mark = self.position;
            self.restarts_without_progress = 0;
        }
        self.tell();
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }

    fn hash(&mut self, bytes: &[u8]) {
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    fn tell(&self) {
        if let Some(progress) = &self.plan.progress {
            progress(Progress {
                bytes: self.expected.map_or(self.position, |(out, _)| out),
                wire_bytes: self.wire_bytes,
                wire_total: self.attempt.as_ref().and_then(Attempt::announced),
                restarts: self.restarts,
            });
        }
    }

    fn end(&mut self, attempt: Attempt) -> Result<Step, Error> {
        if let Some((out, _)) = self.expected {
            let message =
                format!("it restarted with fewer bytes: {} instead of at least {out}", self.position);
            return Err(self.explain(Error::new(ErrorKind::BodyCorrupt, message)));
        }
        Ok(Step::End(Downloaded {
            bytes: self.position,
            wire_bytes: self.wire_bytes,
            sha256: self.sha256.as_ref().map_or_else(String::new, hex),
            restarts: self.restarts,
            request_id: attempt.request_id,
            date: attempt.date,
            end_proven: !attempt.unproven_end,
        }))
    }

    /// Pauses before a restart, if one is allowed; else the failure is final.
    async fn recover(&mut self, failure: Error) -> Result<(), Error> {
        // Before the first byte, what a retry layer has given up on is not tried as often once more.
        let given_up = self.wire_bytes == 0 && failure.attempts() > 1;
        if !failure.is_retryable() || given_up || self.restarts_without_progress >= self.plan.restarts {
            return Err(self.explain(failure));
        }
        self.restarts += 1;
        self.restarts_without_progress += 1;
        let backoff =
            self.plan.backoff.pause(&PauseInput::new(self.restarts_without_progress, self.began.elapsed()));
        let asked = failure.refusal().and_then(Refusal::retry_delay).or(failure.asked_pause());
        let pause = asked.unwrap_or_default().min(RETRY_AFTER_CAP).max(backoff);
        tracing::debug!(kind = ?failure.kind(), bytes = self.position, ?pause, "the download starts again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Adds to a failure what the whole download was.
    fn explain(&self, failure: Error) -> Error {
        let request = (self.plan.request)();
        let (attempts, elapsed) = (self.restarts.saturating_add(failure.attempts()), self.began.elapsed());
        // A refusal tells its own story, and so does a failure before the first byte.
        if failure.refusal().is_some() || (self.wire_bytes == 0 && self.position == 0) {
            return failure.with_target(request.method(), request.uri()).with_attempts(attempts, elapsed);
        }
        let out = self.expected.map_or(self.position, |(out, _)| out);
        let message = match self.restarts_without_progress {
            0 => format!("the download failed after {out} bytes"),
            restarts => format!(
                "the download failed after {out} bytes; {restarts} restarts in a row did not get further"
            ),
        };
        Error::new(failure.kind(), message)
            .with_retryable(failure.is_retryable())
            .with_may_have_been_sent(failure.may_have_been_sent())
            .with_target(request.method(), request.uri())
            .with_attempts(attempts, elapsed)
            .with_source(failure)
    }
}

/// How a reply relates to the bytes that are there already.
enum Opened {
    /// It goes on, or begins with nothing there, or what is there will be compared.
    Continued,
    /// It begins anew, and what is there must be forgotten.
    Rewound,
}

/// A digest in lower case hexadecimal digits.
pub(super) fn hex(sha256: &Sha256) -> String {
    sha256.clone().finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
