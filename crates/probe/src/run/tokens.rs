//! Tokens: one for each key, one more for the first key, and one with a key that doesn't exist if that was asked for.

use std::sync::Arc;

use backstory_auth::{
    ClientCredentialsFlow, Credentials, CredentialsSource, Error as AuthError, Secret, TokenCache,
    TokenEndpoint, TokenIssuer as _, TokenSource as _,
};
use http::Uri;

use super::Run;
use crate::error::{Error, ErrorKind};
use crate::report::End;
use crate::session::{Tap, Want};
use crate::step::{Resource, Step};

/// A pair that nobody has. A real key is never tried with a wrong secret: nobody knows what that does to it.
const NO_SUCH_KEY: (&str, &str) = ("backstory-probe-no-such-key", "no-such-secret");

impl Run {
    /// Gets the tokens that everything else needs.
    pub(super) async fn tokens(&mut self) -> Result<(), Error> {
        let base =
            self.probe.base.uri().map_err(|error| {
                Error::new(ErrorKind::Setup, "the base URL can't be used").with_source(error)
            })?;
        let (activities, contacts) = (self.probe.activities.clone(), self.probe.contacts.clone());
        let mut refused = None;
        if let Some(key) = activities {
            match self.first_token(Resource::Activities, &base, key).await {
                Ok(service) => self.activities = Some(service),
                Err(error) => refused = Some(error),
            }
        }
        if let Some(key) = contacts {
            if self.session.transcript.same_key && self.probe.activities.is_some() {
                self.contacts.clone_from(&self.activities);
            } else {
                match self.first_token(Resource::Contacts, &base, key).await {
                    Ok(service) => self.contacts = Some(service),
                    Err(error) => refused = refused.or(Some(error)),
                }
            }
        }
        if self.activities.is_none() && self.contacts.is_none() {
            let error = refused.unwrap_or_else(|| AuthError::new(backstory_auth::ErrorKind::Setup, "no key"));
            let transient = error.is_transient() || error.is_unreachable();
            let (kind, message) = if transient {
                (ErrorKind::Unavailable, "the token endpoint can't be reached, so nothing could be asked")
            } else {
                (ErrorKind::Authentication, "no key gets a token, so nothing could be asked")
            };
            let hint = error.hint().map(str::to_owned);
            return Err(Error::new(kind, message).with_hint(hint).with_source(error));
        }
        if refused.is_some() {
            self.ended(End::Partial);
        }
        self.token_again(&base).await;
        if self.probe.refused_token && self.session.affords(Step::TokenRefused, 1, self.reserve(None)) {
            let key = Credentials::new(NO_SUCH_KEY.0, NO_SUCH_KEY.1);
            self.issue(Step::TokenRefused, &base, TokenEndpoint::V1, key).await;
        }
        Ok(())
    }

    /// The first token of a key, and what carries calls with it.
    async fn first_token(
        &mut self,
        resource: Resource,
        base: &Uri,
        key: Arc<dyn CredentialsSource>,
    ) -> Result<Arc<dyn backstory_transport::HttpService>, AuthError> {
        let (service, tap) = self.session.token_service();
        let flow = ClientCredentialsFlow::new(service, base, TokenEndpoint::V1, Shared(key))?;
        let cache = TokenCache::new(flow);
        let issued = cache.token().await;
        self.session.note_token(Step::Token(resource), &tap, issued.as_ref().err());
        issued?;
        Ok(self.session.authorised(cache))
    }

    /// Asks again while a token is alive (contract (a.3)). The calls go on with the first one.
    async fn token_again(&mut self, base: &Uri) {
        let key = if self.activities.is_some() { &self.probe.activities } else { &self.probe.contacts };
        let Some(key) = key.clone() else { return };
        if self.session.affords(Step::TokenAgain, 1, self.reserve(None)) {
            self.issue(Step::TokenAgain, base, TokenEndpoint::V1, Shared(key)).await;
        }
    }

    /// Asks an endpoint for one token, recorded.
    async fn issue(
        &mut self,
        step: Step,
        base: &Uri,
        endpoint: TokenEndpoint,
        key: impl CredentialsSource + 'static,
    ) -> Option<Secret> {
        let (service, tap): (_, Tap) = self.session.token_service();
        let flow = ClientCredentialsFlow::new(service, base, endpoint, key).ok()?;
        let issued = flow.issue().await;
        self.session.note_token(step, &tap, issued.as_ref().err());
        self.session.transcript.token(step)?.token.clone()
    }

    /// Whether the bulk API takes a token of the other endpoint (contract (j.32)).
    pub(super) async fn other_endpoint(&mut self) {
        let resource = if self.activities.is_some() { Resource::Activities } else { Resource::Contacts };
        // A contacts list exists nowhere for sure, so that its refusal would tell nothing.
        if resource == Resource::Contacts {
            self.session.skip(Step::ListByV3Token, "it takes a key for activities, whose jobs can be listed");
            return;
        }
        // The same key, so that its type is no reason for a refusal.
        let (Some(key), Ok(base)) = (self.probe.activities.clone(), self.probe.base.uri()) else { return };
        if !self.session.affords(Step::TokenV3, 2, 0) {
            self.session.skip(Step::ListByV3Token, "the budget of requests did not reach so far");
            return;
        }
        let Some(token) = self.issue(Step::TokenV3, &base, TokenEndpoint::V3, Shared(key)).await else {
            let why = "the other token endpoint gave this key no token";
            return self.session.skip(Step::ListByV3Token, why);
        };
        let (Some(service), Some(uri)) = (self.session.with_token(&token), self.session.jobs_uri(resource))
        else {
            return;
        };
        self.session.get(Step::ListByV3Token, &service, uri, &[], Want::BEGINNING).await;
    }
}

/// A source that several flows read.
struct Shared(Arc<dyn CredentialsSource>);

#[async_trait::async_trait]
impl CredentialsSource for Shared {
    fn client_id(&self) -> &str {
        self.0.client_id()
    }

    async fn read(&self) -> Result<Credentials, AuthError> {
        self.0.read().await
    }
}
