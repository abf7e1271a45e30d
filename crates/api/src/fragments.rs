//! A result in the parts that the service keeps it in: which numbers they have, and how they become one again.
//!
//! Nobody has said from where the service counts fragments, nor whether each repeats a CSV's header (contract (j.13),
//! (j.15)), and no known client uses them. So this is for those who ask for it, and nothing is taken on trust: the first
//! number is found by asking, every fragment is required, and two that are the same are refused.

use std::collections::HashSet;
use std::fmt;
use std::io::Write;

use backstory_transport::{Downloaded, Refusal};
use bytes::Bytes;
use http::{Request, StatusCode};

use crate::error::{Error, ErrorKind};
use crate::exchange;
use crate::fragment_bytes::{FragmentBytes, SeamWriter};
use crate::generated::{Job, JobState};
use crate::records::{RecordStream, Records};
use crate::resource::Resource;
use crate::result::ExportResult;

/// A completed job's result in its fragments. Made by [`ExportResult::fragments`].
///
/// [`get`](Self::get) and [`iter`](Self::iter) give single fragments, which may be fetched side by side;
/// [`bytes`](Self::bytes), [`to_writer`](Self::to_writer) and [`records`](Self::records) fetch all of them, one behind the
/// other.
///
/// ```
/// # use backstory_api::{BaseUrl, Client, DEFAULT_BASE_URL};
/// # use backstory_auth::FixedToken;
/// # use backstory_transport::{Scripted, ScriptedService};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let adapter = ScriptedService::answering(|request, _| match request.uri().query() {
/// #     None => Scripted::ok(r#"{"job_id":"7","state":"Completed","fragments":2}"#),
/// #     Some(query) => Scripted::ok(format!("{{\"uid\":\"{query}\"}}\n")),
/// # });
/// # let client = Client::builder(BaseUrl::parse(DEFAULT_BASE_URL)?)
/// #     .adapter(adapter)
/// #     .tokens(FixedToken::new("t")?)
/// #     .build()?;
/// let fragments = client.activities().job("7").result().fragments().await?;
/// for (index, fragment) in fragments.iter().enumerate() {
///     let (downloaded, bytes) = fragment.to_writer(Vec::new()).await?;
///     println!("fragment {index}: {} bytes, sha256 {}", bytes.len(), downloaded.sha256);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is fetched until a way is chosen"]
pub struct Fragments<R> {
    parts: Parts<R>,
}

impl<R: Resource> ExportResult<R> {
    /// The fragments that the service keeps the result in. Asks for the job where its completion is not known yet, and for
    /// the head of the first fragment, to find out from where the service counts.
    ///
    /// A job that tells of none, or of one, is fetched whole (contract (j.14)).
    ///
    /// # Errors
    /// [`ErrorKind::NotCompleted`], [`ErrorKind::Expired`], [`ErrorKind::ResultMissing`] and the errors of any call.
    pub async fn fragments(self) -> Result<Fragments<R>, Error> {
        let completed = |state: Option<&JobState>| state == Some(&JobState::Completed);
        let known = self.described().filter(|job| completed(job.state.as_ref())).cloned();
        let job = match known {
            Some(job) => job,
            None => self.job().poll().await?,
        };
        let operation = || format!("find the fragments of {}", self.what());
        if !completed(job.state.as_ref()) {
            let message = "it has not completed";
            return Err(Error::new(ErrorKind::NotCompleted, operation(), message).with_job(job));
        }
        let count = match job.fragments.unwrap_or(0) {
            ..=1 => {
                let mut whole = self;
                whole.describe(job);
                return Ok(Fragments { parts: Parts::lone(whole) });
            }
            count => u32::try_from(count).map_err(|_| {
                let message = format!("the service tells of {count} fragments, which can't be");
                Error::new(ErrorKind::BadReply, operation(), message).with_job_id(&job.job_id)
            })?,
        };
        let mut result = self;
        result.describe(job);
        let base = match is_refused(result.clone().part(0, 0, count)).await? {
            None => 0,
            Some(_) => match is_refused(result.clone().part(1, 0, count)).await? {
                None => 1,
                // It is not the number.
                Some(error) => return Err(error),
            },
        };
        Ok(Fragments { parts: Parts::numbered(result, base, count) })
    }
}

/// Asks for the head of a fragment, and gives up on its body. A refusal that may be one of the number only is given back; any
/// other is an error.
async fn is_refused<R: Resource>(part: ExportResult<R>) -> Result<Option<Error>, Error> {
    let client = part.job().client();
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = part.uri()?;
    let explain = part.explain();
    let response = exchange::send(client.service::<R>(), client.time(), request).await.map_err(&explain)?;
    if response.status().is_success() {
        return Ok(None);
    }
    let refusal = Refusal::read(response).await;
    let may_be_the_number = matches!(refusal.status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND);
    let error = explain(backstory_transport::Error::refused(refusal));
    if may_be_the_number { Ok(Some(error)) } else { Err(error) }
}

impl<R: Resource> Fragments<R> {
    /// How many there are, 1 for a result that is fetched whole; never 0.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> u32 {
        self.parts.count
    }

    /// One fragment, by its place from 0, whatever its number at the service; nothing behind the last. As every fragment is
    /// as delivered, a CSV's header stands in each, or in the first only.
    pub fn get(&self, index: u32) -> Option<ExportResult<R>> {
        self.parts.get(index)
    }

    /// All fragments, in order.
    pub fn iter(&self) -> impl Iterator<Item = ExportResult<R>> {
        (0..self.parts.count).filter_map(|index| self.parts.get(index))
    }

    /// The bytes of all fragments, one behind the other, as one file: repeated CSV headers are left out, and a line that
    /// ends with its fragment is ended.
    pub fn bytes(self) -> FragmentBytes<R> {
        FragmentBytes::new(self.parts)
    }

    /// The records of all fragments, one behind the other; no more than one chunk is held.
    pub fn records(self) -> RecordStream<R>
    where
        R: Records,
    {
        RecordStream::new(self.parts)
    }

    /// Fetches all fragments, one behind the other, into a writer, as [`bytes`](Self::bytes) has them. Gives back what each
    /// fragment was, as delivered.
    ///
    /// # Errors
    /// As [`ExportResult::to_file`]; what was written until then is a part of the whole.
    pub async fn to_writer<W: Write + Send + 'static>(
        mut self,
        writer: W,
    ) -> Result<(Vec<Downloaded>, W), Error> {
        let mut writer = SeamWriter::new(writer, self.parts.format());
        let mut fetched = Vec::new();
        while let Some(part) = self.parts.next() {
            let (downloaded, back) = part.to_writer(writer).await?;
            writer = back;
            self.parts.check(&downloaded, writer.begin_next())?;
            fetched.push(downloaded);
        }
        Ok((fetched, writer.into_inner()))
    }
}

impl<R: Resource> fmt::Debug for Fragments<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragments")
            .field("result", &self.parts.result)
            .field("base", &self.parts.base)
            .field("count", &self.parts.count)
            .finish()
    }
}

/// The parts of a result that are still to be fetched, in order; a whole result is one.
pub(crate) struct Parts<R> {
    result: ExportResult<R>,
    /// The service's number of the first fragment; nothing where the whole is fetched.
    base: Option<u32>,
    count: u32,
    next: u32,
    /// The checksums of those that came, and had something in them.
    seen: HashSet<String>,
}

impl<R: Resource> Parts<R> {
    pub(crate) fn lone(result: ExportResult<R>) -> Self {
        Self { result, base: None, count: 1, next: 0, seen: HashSet::new() }
    }

    fn numbered(result: ExportResult<R>, base: u32, count: u32) -> Self {
        Self { result, base: Some(base), count, next: 0, seen: HashSet::new() }
    }

    pub(crate) fn result(&self) -> &ExportResult<R> {
        &self.result
    }

    /// What the service says of the job now.
    pub(crate) fn describe(&mut self, job: Job) {
        self.result.describe(job);
    }

    /// Whether the one that [`next`](Self::next) gave last is the last of all.
    pub(crate) fn is_last(&self) -> bool {
        self.next >= self.count
    }

    /// What is being fetched, in words.
    pub(crate) fn what(&self) -> String {
        self.get(self.present()).map_or_else(|| self.result.what(), |part| part.what())
    }

    /// The form of the bytes, as far as it is known.
    pub(crate) fn format(&self) -> Option<&str> {
        self.result.job().format(self.result.described())
    }

    fn get(&self, index: u32) -> Option<ExportResult<R>> {
        if index >= self.count {
            return None;
        }
        let result = self.result.clone();
        // The last number of all would need more than 32 bits only if there were as many fragments.
        Some(match self.base {
            Some(base) => result.part(base.saturating_add(index), index, self.count),
            None => result,
        })
    }

    /// The next one; nothing behind the last.
    pub(crate) fn next(&mut self) -> Option<ExportResult<R>> {
        let part = self.get(self.next)?;
        self.next += 1;
        Some(part)
    }

    /// The place of the one that [`next`](Self::next) gave last, from 0.
    pub(crate) fn present(&self) -> u32 {
        self.next.saturating_sub(1)
    }

    /// Passes over all before this one.
    pub(crate) fn skip_to(&mut self, index: u32) {
        self.next = index;
    }

    /// Refuses a part that came before: the service may not know fragments at all, and send the whole each time.
    pub(crate) fn check(&mut self, downloaded: &Downloaded, had_content: bool) -> Result<(), Error> {
        if !had_content || self.seen.insert(downloaded.sha256.clone()) {
            return Ok(());
        }
        let operation = format!("download {}", self.what());
        let message = "it is the same as an earlier one; fetch the result whole";
        Err(Error::new(ErrorKind::BadReply, operation, message).with_job_id(self.result.job().id()))
    }
}
