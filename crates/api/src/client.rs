//! The client: where the service is, which services carry the calls for each resource, and what this process has created.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use backstory_auth::{
    Authorised, ClientCredentialsFlow, CredentialsSource, Token, TokenCache, TokenEndpoint, TokenSource,
};
use backstory_limits::UseLimits;
use backstory_transport::{
    Backoff, FullJitter, HttpService, RateLimit, RateLimiter, RateLimits, Resume, Retry, RetryBudget, Traced,
};
use bytes::Bytes;
use http::{Method, Request};
use jiff::Timestamp;

use crate::activities::ActivitiesApi;
use crate::contacts::ContactsApi;
use crate::endpoint::BaseUrl;
use crate::error::{Error, ErrorKind};
use crate::exchange::{self, ServerTime};
use crate::generated::Job;
use crate::resource::Resource;
use crate::wire::JobId;

/// A client of the bulk export API. Cheap to clone; clones share their rate limit and their tokens.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    base: BaseUrl,
    limits: UseLimits,
    activities: Arc<dyn HttpService>,
    contacts: Arc<dyn HttpService>,
    backoff: Arc<dyn Backoff>,
    resume: Resume,
    time: ServerTime,
    /// The jobs that attempts of this process have created.
    claimed: Mutex<HashSet<JobId>>,
}

impl Client {
    /// Begins a client for the service at `base_url`.
    pub fn builder(base_url: BaseUrl) -> ClientBuilder {
        ClientBuilder {
            base: base_url,
            limits: UseLimits::published(),
            adapter: None,
            activities: None,
            contacts: None,
            backoff: None,
            resume: Resume::Never,
        }
    }

    /// Emails, meetings and calls.
    pub fn activities(&self) -> ActivitiesApi {
        ActivitiesApi::new(self.clone())
    }

    /// Enriched contacts.
    pub fn contacts(&self) -> ContactsApi {
        ContactsApi::new(self.clone())
    }

    /// Where the service is.
    pub fn base_url(&self) -> &BaseUrl {
        &self.0.base
    }

    /// The use limits that requests are checked against before they are sent.
    pub fn limits(&self) -> &UseLimits {
        &self.0.limits
    }

    /// What time it is by the server's clock, as its last reply told; nothing before the first.
    pub fn server_time(&self) -> Option<Timestamp> {
        self.0.time.get()
    }

    pub(crate) fn base(&self) -> &BaseUrl {
        &self.0.base
    }

    pub(crate) fn backoff(&self) -> &Arc<dyn Backoff> {
        &self.0.backoff
    }

    pub(crate) fn resume(&self) -> Resume {
        self.0.resume
    }

    pub(crate) fn time(&self) -> &ServerTime {
        &self.0.time
    }

    pub(crate) fn service<R: Resource>(&self) -> &dyn HttpService {
        &**self.shared_service::<R>()
    }

    pub(crate) fn shared_service<R: Resource>(&self) -> &Arc<dyn HttpService> {
        if R::NAME == crate::Contacts::NAME { &self.0.contacts } else { &self.0.activities }
    }

    /// The jobs of the last ten days, newest first.
    pub(crate) async fn list<R: Resource>(&self) -> Result<Vec<Job>, Error> {
        let operation = format!("list the {} export jobs", R::NAME);
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.0.base.jobs(R::ENDPOINT)?;
        let reply = exchange::json(self.service::<R>(), &self.0.time, &operation, request).await;
        exchange::jobs(&operation, reply.map_err(Error::about_no_job)?)
    }

    /// Takes a job for one attempt of this process. False when another attempt has taken it before.
    pub(crate) fn claim(&self, id: &JobId) -> bool {
        self.0.claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone())
    }

    /// Whether an attempt of this process has taken the job.
    pub(crate) fn has_claimed(&self, id: &JobId) -> bool {
        self.0.claimed.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.0.base.as_str()).finish_non_exhaustive()
    }
}

/// Puts a [`Client`] together.
pub struct ClientBuilder {
    base: BaseUrl,
    limits: UseLimits,
    adapter: Option<Arc<dyn HttpService>>,
    activities: Option<Arc<dyn TokenSource>>,
    contacts: Option<Arc<dyn TokenSource>>,
    backoff: Option<Arc<dyn Backoff>>,
    resume: Resume,
}

impl ClientBuilder {
    /// Other use limits than the published ones.
    #[must_use]
    pub fn limits(mut self, limits: UseLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What sends the requests: your own [`HttpService`], or one with another proxy or CA. Retries, tokens and rate limits
    /// are put around it.
    #[must_use]
    pub fn adapter(mut self, adapter: impl HttpService + 'static) -> Self {
        self.adapter = Some(Arc::new(adapter));
        self
    }

    /// How long to pause before a call, or a download that broke off, is tried again; full jitter from 1 s to 60 s unless said.
    #[must_use]
    pub fn backoff(mut self, backoff: impl Backoff + 'static) -> Self {
        self.backoff = Some(Arc::new(backoff));
        self
    }

    /// Whether a download that broke off asks for the rest only, by `Range`. Off unless said: nobody has said that the
    /// service knows ranges (contract (j.19)). What isn't proven to be the rest of the same result is fetched anew, so this
    /// is safe where it is of no use; but results then come uncompressed.
    #[must_use]
    pub fn resume_downloads(mut self, resume: bool) -> Self {
        self.resume = if resume { Resume::IfRange } else { Resume::Never };
        self
    }

    /// Where the tokens for both resources come from. Keys are bound to one API type (contract (a.4)), so most
    /// organisations need [`activities_tokens`](Self::activities_tokens) and [`contacts_tokens`](Self::contacts_tokens).
    #[must_use]
    pub fn tokens(self, tokens: impl TokenSource + 'static) -> Self {
        let tokens: Arc<dyn TokenSource> = Arc::new(tokens);
        self.activities_tokens(Arc::clone(&tokens)).contacts_tokens(tokens)
    }

    /// Where the tokens for activities come from.
    #[must_use]
    pub fn activities_tokens(mut self, tokens: impl TokenSource + 'static) -> Self {
        self.activities = Some(Arc::new(tokens));
        self
    }

    /// Where the tokens for contacts come from.
    #[must_use]
    pub fn contacts_tokens(mut self, tokens: impl TokenSource + 'static) -> Self {
        self.contacts = Some(Arc::new(tokens));
        self
    }

    /// One key pair for both resources, whose tokens are fetched from the service's own token endpoint, cached and
    /// renewed.
    ///
    /// # Errors
    /// [`ErrorKind::Setup`] when no adapter can be had.
    pub fn credentials(mut self, credentials: impl CredentialsSource + 'static) -> Result<Self, Error> {
        let adapter = self.take_adapter()?;
        let cache = TokenCache::new(token_flow(&adapter, &self.base, credentials)?);
        self.adapter = Some(adapter);
        Ok(self.tokens(cache))
    }

    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::Setup`] when no adapter can be had.
    pub fn build(mut self) -> Result<Client, Error> {
        let adapter = self.take_adapter()?;
        let limits = RateLimits::default()
            .requests_per_second(self.limits.requests_per_second)
            .concurrent(u32::try_from(self.limits.concurrent_requests).unwrap_or(u32::MAX));
        let limiter = RateLimiter::new(limits);
        let budget = RetryBudget::default();
        let backoff = self.backoff.unwrap_or_else(|| Arc::new(FullJitter::default()));
        // Outermost first: each attempt gets a token of its own and is counted by the rate limit.
        let stack = |tokens: Option<Arc<dyn TokenSource>>, key: &'static str| -> Arc<dyn HttpService> {
            let tokens = tokens.unwrap_or_else(|| Arc::new(NoTokens(key)));
            let limited = RateLimit::new(Traced::new(Arc::clone(&adapter)), limiter.clone());
            let retry = Retry::new(Authorised::new(limited, tokens));
            Arc::new(retry.with_budget(budget.clone()).with_backoff(Arc::clone(&backoff)))
        };
        Ok(Client(Arc::new(Inner {
            activities: stack(self.activities, "activities need a key of the type Activity"),
            contacts: stack(self.contacts, "contacts need a key of the type Object"),
            base: self.base,
            limits: self.limits,
            backoff: Arc::clone(&backoff),
            resume: self.resume,
            time: ServerTime::default(),
            claimed: Mutex::default(),
        })))
    }

    #[cfg(feature = "reqwest")]
    fn take_adapter(&mut self) -> Result<Arc<dyn HttpService>, Error> {
        if let Some(adapter) = self.adapter.take() {
            return Ok(adapter);
        }
        match backstory_transport::ReqwestService::builder().build() {
            Ok(adapter) => Ok(Arc::new(adapter)),
            Err(error) => Err(Error::from_transport("set up the client", error)),
        }
    }

    #[cfg(not(feature = "reqwest"))]
    fn take_adapter(&mut self) -> Result<Arc<dyn HttpService>, Error> {
        self.adapter.take().ok_or_else(|| {
            let message =
                "nothing can send requests: give the builder an adapter, or switch the feature `reqwest` on";
            Error::new(ErrorKind::Setup, "set up the client", message)
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// The way from a key pair to tokens for bulk exports, over `adapter`; give it to a [`TokenCache`], whose backoff says how often
/// the token endpoint is asked. A stand-by pair and the key's type can be added to it.
///
/// # Errors
/// [`ErrorKind::Setup`] when the token endpoint's address can't be built.
pub fn token_flow(
    adapter: &Arc<dyn HttpService>,
    base: &BaseUrl,
    credentials: impl CredentialsSource + 'static,
) -> Result<ClientCredentialsFlow, Error> {
    let failed = |error: backstory_auth::Error| {
        Error::new(ErrorKind::Setup, "set up the token endpoint", error.to_string()).with_source(error)
    };
    let uri = base.uri()?;
    // No retry: the cache paces the attempts, and the calls wait for it in their own retry layer.
    ClientCredentialsFlow::new(Traced::new(Arc::clone(adapter)), &uri, TokenEndpoint::V1, credentials)
        .map_err(failed)
}

/// Stands where no credentials were given: the other resource works all the same.
struct NoTokens(&'static str);

#[async_trait]
impl TokenSource for NoTokens {
    async fn token(&self) -> Result<Token, backstory_auth::Error> {
        let message = format!("no credentials were given; {}", self.0);
        Err(backstory_auth::Error::new(backstory_auth::ErrorKind::Credentials, message))
    }

    fn invalidate(&self, _: u64) {}
}
