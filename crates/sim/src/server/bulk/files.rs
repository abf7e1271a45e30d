//! The files of jobs: whole, by fragment or by range, as they are due or as a fault has them. Sources: contract (c.3),
//! (j.9) to (j.24).

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Response, StatusCode, header};

use super::super::body::{Body, End, Sending};
use super::super::reply;
use super::super::routes::STORAGE;
use super::super::state::State;
use super::super::target;
use super::super::wire::Control;
use super::jobs::find;
use super::ranges::Wanted;
use super::{Asked, RETENTION_DAYS, codings};
use crate::export::{Export, ExportStream, Layout, Measure};
use crate::faults::{Effect, Fault};
use crate::jobs::{Job, Phase, Resource};
use crate::switches::Row;

/// A request for a file.
pub(super) struct Download<'a> {
    pub(super) state: &'a Arc<State>,
    pub(super) job: &'a Job,
    pub(super) head: &'a http::request::Parts,
    pub(super) fault: Option<&'a Fault>,
    pub(super) control: &'a Control,
    /// Whose key it is.
    pub(super) key: &'a str,
    /// Whether the API is asked, rather than the storage that it may redirect to (row j.22).
    pub(super) at_api: bool,
}

/// Serves a file at the place that /data redirects to (row j.22). It takes no token: who sends one gives it away.
pub(in crate::server) async fn storage(
    state: &Arc<State>,
    path: &str,
    head: &http::request::Parts,
    control: &Control,
) -> Response<Body> {
    if head.headers.contains_key(header::AUTHORIZATION) {
        state.counters.finding("a token was sent to the storage that /data redirects to");
    }
    let path = path.strip_prefix(STORAGE).filter(|_| head.method == Method::GET).unwrap_or("");
    let found = path.split_once('/').and_then(|(resource, id)| Some((Resource::read(resource)?, id)));
    let Some((resource, id)) = found else { return reply::not_found() };
    match find(state, resource, id) {
        Ok(job) => {
            let key = "(storage)";
            Download { state, job: &job, head, fault: None, control, key, at_api: false }.answer().await
        }
        Err(refused) => *refused,
    }
}

impl<'a> Download<'a> {
    pub(super) fn of(state: &'a Arc<State>, job: &'a Job, asked: &Asked<'a>) -> Self {
        let Asked { head, fate, control, key, .. } = *asked;
        Self { state, job, head, fault: fate.fault, control, key, at_api: true }
    }

    fn effect(&self) -> Option<&Effect> {
        self.fault.map(|fault| &fault.effect)
    }

    /// The file of a job, or a fragment of it.
    pub(super) async fn answer(&self) -> Response<Body> {
        let (state, job, switches) = (self.state, self.job, &self.job.switches);
        let fragment = match fragment(self.head) {
            Ok(fragment) => fragment,
            Err(refused) => return *refused,
        };
        let (Phase::Completed, Some(export), Some(ended)) = (job.phase, &job.export, job.ended) else {
            if job.phase.is_terminal() {
                return reply::not_found();
            }
            state.counters.finding("GET /data before the job was Completed");
            return match switches.status(Row::J9) {
                200 => reply::bytes(200, content_type(Layout::Lines), ""),
                404 => reply::not_found(),
                status => reply::error(status, "The job has not completed yet"),
            };
        };
        let age = state.clock.now().as_second() - state.clock.world_at(ended).as_second();
        if age > RETENTION_DAYS * 86_400 || self.effect() == Some(&Effect::Expired) {
            return match switches.status(Row::J11) {
                404 => reply::not_found(),
                status => reply::error(status, "The file is past its retention of 10 days"),
            };
        }
        if self.at_api && (switches.is(Row::J22, "302") || self.effect() == Some(&Effect::Redirect)) {
            return self.to_storage();
        }
        let twisted = match self.effect() {
            Some(Effect::Records(effect)) => Some(Arc::new(export.twisted(*effect))),
            _ => None,
        };
        let export = twisted.as_ref().unwrap_or(export);
        let measure = export.measure().await;
        // An empty file has no fragments, so there each number is out of range.
        if measure.records == 0 && fragment.is_none() && switches.is(Row::J17, "204") {
            return reply::empty(204);
        }
        match fragment {
            Some(number) => self.part(export, &measure, number),
            None => self.whole(export, &measure),
        }
    }

    /// The redirect of row j.22: another host for clients, this server in truth.
    fn to_storage(&self) -> Response<Body> {
        let resource = self.job.request.resource().as_str();
        let query = self.head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let (scheme, port) = (self.state.scheme, self.state.port);
        let location = format!("{scheme}://localhost:{port}{STORAGE}{resource}/{}{query}", self.job.id);
        let mut reply = reply::empty(302);
        if let Ok(location) = HeaderValue::from_str(&location) {
            reply.headers_mut().insert(header::LOCATION, location);
        }
        reply
    }

    /// How `size` bytes are sent, the whole of something or a range of it, with what switches and the fault do to that.
    /// Row j.20.
    fn sending(&self, size: u64, ranged: bool) -> Sending {
        let switches = &self.job.switches;
        let mut sending = Sending {
            control: self.control.clone(),
            size: Some(size).filter(|_| ranged),
            no_last_chunk: switches.is(Row::J21, "missing"),
            gzip: !ranged && switches.is(Row::J18, "gzip") && codings::accept_gzip(&self.head.headers),
            ..Sending::default()
        };
        let mut stated = switches.is(Row::J20, "length") || (ranged && !sending.no_last_chunk);
        if let Some(fault) = self.fault {
            let byte = |at| fault.byte(at, size);
            match &fault.effect {
                Effect::Cut { at, close, stated: short } => {
                    stated |= short;
                    sending.end = Some((byte(*at), End::Break(*close)));
                }
                Effect::Torn(at) => {
                    stated = false;
                    sending.end = Some((byte(*at), End::Clean));
                }
                // Only what is not compressed has a length that is known before.
                Effect::Long => (stated, sending.long, sending.gzip) = (true, true, false),
                // Where the length is stated there are no chunks.
                Effect::NoLastChunk => (stated, sending.no_last_chunk) = (false, true),
                Effect::Stall { at, seconds } => {
                    sending.stall = Some((byte(*at), Duration::from_secs_f64(*seconds)));
                }
                Effect::Drip(rate) => sending.drip = Some(*rate),
                Effect::Gzip { .. } => sending.gzip = true,
                _ => {}
            }
        }
        // A body of 0 bytes can only break off if none are stated.
        let breaks_empty = size == 0 && sending.end.is_some();
        if stated && !breaks_empty && !sending.gzip {
            sending.length = Some(size);
        }
        sending
    }

    /// Row j.13.
    fn part(&self, export: &Arc<Export>, measure: &Measure, number: u64) -> Response<Body> {
        let first = u64::from(self.job.switches.is(Row::J13, "1"));
        let index = number.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let Some((index, part)) = index.and_then(|index| Some((index, measure.parts.get(index)?))) else {
            return reply::not_found();
        };
        self.ranged(export, part.bytes, |start| ExportStream::fragment(export, measure, index, start))
    }

    fn whole(&self, export: &Arc<Export>, measure: &Measure) -> Response<Body> {
        self.ranged(export, measure.bytes, |start| ExportStream::from_byte(export, measure, start))
    }

    /// Row j.19: `size` bytes, or a range of them.
    fn ranged(&self, export: &Export, size: u64, stream: impl Fn(u64) -> ExportStream) -> Response<Body> {
        // A range counts bytes of what is not compressed, so it goes by the board where a fault compresses.
        let honoured =
            self.job.switches.is(Row::J19, "206") && !matches!(self.effect(), Some(Effect::Gzip { .. }));
        let wanted = if honoured { Wanted::read(&self.head.headers, size) } else { Wanted::Whole };
        let (mut reply, range) = match wanted {
            Wanted::Whole => return self.send(export, stream(0), self.sending(size, false)),
            Wanted::Part(start, end) => {
                let sending = self.sending(end - start + 1, true);
                (self.send(export, stream(start), sending), format!("bytes {start}-{end}/{size}"))
            }
            Wanted::Beyond => {
                (reply::error(416, "HTTP 416 Range Not Satisfiable"), format!("bytes */{size}"))
            }
        };
        if matches!(wanted, Wanted::Part(..)) {
            *reply.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        if let Ok(range) = HeaderValue::from_str(&range) {
            reply.headers_mut().insert(header::CONTENT_RANGE, range);
        }
        reply
    }

    fn send(&self, export: &Export, stream: ExportStream, sending: Sending) -> Response<Body> {
        let labelled = sending.gzip && self.effect() != Some(&Effect::Gzip { labelled: false });
        let body = Body::file(self.state, stream, sending, self.job.id, self.key);
        let mut reply = Response::new(body);
        let headers = reply.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(export.layout())));
        if labelled {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if self.job.switches.is(Row::J18, "gzip") {
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        reply
    }
}

/// The `fragment` of a query. A number that is too large for any file stands for the largest.
pub(in crate::server) fn fragment(head: &http::request::Parts) -> Result<Option<u64>, Box<Response<Body>>> {
    let given = target::query(&head.uri).find(|(name, _)| name == "fragment");
    let Some((_, number)) = given else { return Ok(None) };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Box::new(reply::error(400, "Invalid parameter format: fragment")));
    }
    Ok(Some(number.parse().unwrap_or(u64::MAX)))
}

/// With its charset: a client that others wrote guesses it otherwise, at a crawl (contract (l)).
fn content_type(layout: Layout) -> &'static str {
    match layout {
        Layout::Lines => "application/x-ndjson; charset=utf-8",
        Layout::Array | Layout::Object => "application/json; charset=utf-8",
        Layout::Csv => "text/csv; charset=utf-8",
    }
}
