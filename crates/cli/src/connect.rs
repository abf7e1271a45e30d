//! From settings to a client: the adapter, a token cache for each key, and the two put together.

use std::fs::File;
use std::sync::Arc;

use backstory_api::{Client, token_flow};
use backstory_auth::{Credentials, CredentialsSource, KeyType, SecretCommand, SecretFile, TokenCache};
use backstory_transport::{HttpService, ReqwestService};

use crate::args::ResourceArg;
use crate::exit::Failure;
use crate::settings::{KeyPair, KeySet, Keys, SecretFrom, Settings};

/// The way to the service.
pub(crate) struct Connection<'s> {
    settings: &'s Settings,
    adapter: Arc<dyn HttpService>,
}

impl<'s> Connection<'s> {
    pub(crate) fn open(settings: &'s Settings) -> Result<Self, Failure> {
        Ok(Self { settings, adapter: Arc::new(adapter(settings, true)?) })
    }

    /// A client with every key that was given; without one for `needed`, an error.
    pub(crate) fn client(&self, needed: ResourceArg) -> Result<Client, Failure> {
        let keys = &self.settings.keys;
        let (activity, object) = (keys.activity(), keys.object());
        match needed {
            ResourceArg::Activities if activity.is_none() => return Err(Keys::missing("activities")),
            ResourceArg::Contacts if object.is_none() => return Err(Keys::missing("contacts")),
            _ => {}
        }
        let mut builder = Client::builder(self.settings.base_url.clone())
            .adapter(Arc::clone(&self.adapter))
            .limits(self.settings.limits.use_limits.clone())
            .resume_downloads(self.settings.resume_downloads);
        if let Some(keys) = activity {
            builder = builder.activities_tokens(self.tokens(keys, Some(KeyType::Activity))?);
        }
        if let Some(keys) = object {
            builder = builder.contacts_tokens(self.tokens(keys, Some(KeyType::Object))?);
        }
        Ok(builder.build()?)
    }

    /// A token cache for a key and its stand-by.
    pub(crate) fn tokens(&self, keys: &KeySet, key_type: Option<KeyType>) -> Result<TokenCache, Failure> {
        let mut flow = token_flow(&self.adapter, &self.settings.base_url, source(&keys.first)?)?;
        if let Some(key_type) = key_type {
            flow = flow.key_type(key_type);
        }
        if let Some(stand_by) = &keys.stand_by {
            flow = flow.stand_by(source(stand_by)?);
        }
        Ok(TokenCache::new(flow))
    }
}

pub(crate) fn source(pair: &KeyPair) -> Result<Box<dyn CredentialsSource>, Failure> {
    let id = pair.client_id.as_str();
    Ok(match &pair.secret {
        SecretFrom::Value(secret) => Box::new(Credentials::new(id, secret.clone())),
        SecretFrom::File(path) => {
            // It is read anew for each token; that it isn't there at all is better told before anything is begun.
            File::open(path).map_err(|error| {
                let message = format!("the secret of the key {id} can't be read from {}", path.display());
                Failure::usage(message).with_source(error)
            })?;
            Box::new(SecretFile::new(id, path))
        }
        SecretFrom::Command(command) => {
            let (program, arguments) = command.split_first().ok_or_else(|| {
                Failure::usage("client_secret_command is empty; name a program and its arguments")
            })?;
            Box::new(SecretCommand::new(id, program).args(arguments))
        }
    })
}

/// What sends the requests, with redirects followed or handed up.
pub(crate) fn adapter(settings: &Settings, follow_redirects: bool) -> Result<ReqwestService, Failure> {
    let mut builder = ReqwestService::builder()
        .user_agent(concat!("backstory/", env!("CARGO_PKG_VERSION")))
        .follow_redirects(follow_redirects);
    if let Some(bundle) = &settings.ca_bundle {
        builder = builder.ca_file(bundle);
    }
    builder.build().map_err(|error| Failure::usage("the connection can't be set up").with_source(error))
}
