//! Where things are: the API's URL scheme `/[action]/[version]/[name]` under a base address (contract (b)).

use http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::error::{Error, ErrorKind};
use crate::wire::JobId;

/// The live service.
pub const DEFAULT_BASE_URL: &str = "https://api.people.ai";

/// What can't stand in one segment of a path as it is.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// One API of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// What is done, such as `pull`.
    pub action: &'static str,
    /// Which version of the API, such as `v1`.
    pub version: &'static str,
    /// Which API, such as `export/activities`.
    pub name: &'static str,
}

impl Endpoint {
    /// The bulk export of activities (contract (c)).
    pub const ACTIVITIES: Self = Self { action: "pull", version: "v1", name: "export/activities" };
    /// The bulk export of contacts (contract (d)).
    pub const CONTACTS: Self = Self { action: "pull", version: "v1", name: "export/contacts" };

    fn path(self) -> String {
        format!("/{}/{}/{}", self.action, self.version, self.name)
    }
}

/// The address under which the API is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Reads an address such as `https://api.people.ai`. It may have a path, under which a gateway serves the API.
    ///
    /// # Errors
    /// [`ErrorKind::Setup`] for anything but an `http` or `https` address without query and credentials.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: &str| {
            // Neither credentials nor a query, which may hold a key.
            let shown =
                text.rsplit('@').next().and_then(|text| text.split(['?', '#']).next()).unwrap_or_default();
            let message = format!("`{shown}` is not a base URL: {why}; use one such as {DEFAULT_BASE_URL}");
            Error::new(ErrorKind::Setup, "set up the client", message)
        };
        let uri: Uri = text.trim().parse().map_err(|_| refuse("it is not an address"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(refuse("it doesn't begin with https:// or http://"));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(refuse("it has credentials in it, which belong into the environment"));
        }
        if uri.query().is_some() {
            return Err(refuse("it has a query"));
        }
        Ok(Self(text.trim().trim_end_matches('/').to_owned()))
    }

    /// The address without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The jobs of an export API: where they are created and listed (contract (c), (d)).
    ///
    /// # Errors
    /// [`ErrorKind::Setup`] when no address can be made of it.
    pub fn jobs(&self, endpoint: Endpoint) -> Result<Uri, Error> {
        self.join(&format!("{}/jobs", endpoint.path()))
    }

    /// One job: where its state is asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Setup`] when no address can be made of it.
    pub fn job(&self, endpoint: Endpoint, id: &JobId) -> Result<Uri, Error> {
        self.join(&format!("{}/jobs/{}", endpoint.path(), segment(id)))
    }

    /// The result of a job, or one part of it.
    ///
    /// # Errors
    /// [`ErrorKind::Setup`] when no address can be made of it.
    pub fn data(&self, endpoint: Endpoint, id: &JobId, fragment: Option<u32>) -> Result<Uri, Error> {
        let query = fragment.map_or_else(String::new, |fragment| format!("?fragment={fragment}"));
        self.join(&format!("{}/jobs/{}/data{query}", endpoint.path(), segment(id)))
    }

    /// The address itself.
    ///
    /// # Errors
    /// As [`jobs`](Self::jobs).
    pub fn uri(&self) -> Result<Uri, Error> {
        self.join("")
    }

    fn join(&self, rest: &str) -> Result<Uri, Error> {
        format!("{}{rest}", self.0).parse().map_err(|error: http::uri::InvalidUri| {
            Error::new(
                ErrorKind::Setup,
                "build the address of a request",
                format!("`{rest}` can't be part of an address"),
            )
            .with_source(error)
        })
    }
}

fn segment(id: &JobId) -> String {
    // A lone `.` or `..` would name another resource.
    let encoded = utf8_percent_encode(id.as_str(), SEGMENT).to_string();
    if encoded.bytes().all(|byte| byte == b'.') { encoded.replace('.', "%2E") } else { encoded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_url_scheme() {
        let base = BaseUrl::parse(" https://api.people.ai/ ").unwrap();
        assert_eq!(base.as_str(), DEFAULT_BASE_URL);
        assert_eq!(base.uri().unwrap(), DEFAULT_BASE_URL);
        let id = JobId::from("12/../3 4");
        assert_eq!(
            base.jobs(Endpoint::ACTIVITIES).unwrap(),
            "https://api.people.ai/pull/v1/export/activities/jobs"
        );
        assert_eq!(
            base.data(Endpoint::CONTACTS, &id, Some(2)).unwrap(),
            "https://api.people.ai/pull/v1/export/contacts/jobs/12%2F..%2F3%204/data?fragment=2"
        );
        assert!(base.job(Endpoint::CONTACTS, &JobId::from("..")).unwrap().path().ends_with("/jobs/%2E%2E"));
    }

    #[test]
    fn a_gateways_path_is_kept() {
        let base = BaseUrl::parse("http://gateway.example/people/").unwrap();
        assert!(base.jobs(Endpoint::CONTACTS).unwrap().path().starts_with("/people/pull/v1/"));
    }

    #[test]
    fn what_is_no_base_url_is_refused_without_repeating_credentials() {
        for text in
            ["", "api.people.ai", "ftp://x.example", "https://x.example/?a=1", "http://me:hunter2@x.example"]
        {
            let error = BaseUrl::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Setup, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
