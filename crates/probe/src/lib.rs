//! Asks a live Backstory service, safely, what its documentation leaves open.
//!
//! Only a customer can ask the live service what contract (j) lists as unknown. A [`Probe`] does it for them with their own
//! keys: at most [`MOST_REQUESTS`] requests, counted where they leave, and at most [`MOST_JOBS`] export jobs, one of
//! activities and one of contacts, of one day each. It looks at the list of jobs first and creates nothing while other jobs
//! wait. Nothing is changed, cancelled or pushed, and no real key is ever tried with a wrong secret.
//!
//! The [`Report`] has a [`Finding`] for each unknown: a word for what was observed, or the reason why it can't be told. It
//! holds no id, name, address, token, host or content of a record, so that it can be published.
//!
//! ```
//! use backstory_api::{BaseUrl, DEFAULT_BASE_URL};
//! use backstory_auth::Credentials;
//! use backstory_probe::Probe;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use backstory_transport::{Scripted, ScriptedService};
//! # let adapter = ScriptedService::answering(|request, _| match (request.method().as_str(), request.uri().path()) {
//! #     ("POST", "/auth/v1/tokens") => Scripted::ok(r#"{"access_token":"t","expires_in":7200}"#),
//! #     ("GET", "/pull/v1/export/activities/jobs") => Scripted::ok("[]"),
//! #     _ => Scripted::reply(404, r#"{"error":"NotFoundException","message":"HTTP 404 Not Found"}"#),
//! # });
//! // Over real sockets: `ReqwestService::builder().follow_redirects(false).build()?`.
//! let now = "2026-03-05T12:00:00Z".parse()?;
//! let probe = Probe::new(BaseUrl::parse(DEFAULT_BASE_URL)?, adapter, now)
//!     .activities_key(Credentials::new("key", "secret"));
//! for request in probe.plan() {
//!     println!("may send {request}");
//! }
//!
//! let report = probe.run().await?;
//! assert!(report.requests <= 30 && report.jobs <= 2);
//! assert_eq!(report.finding("a.3").unwrap().observed.as_deref(), Some("same"));
//! println!("{}", report.to_markdown());
//! # Ok(())
//! # }
//! ```
//!
//! # What this crate does not do
//!
//! It proves nothing for other organisations or other days: a finding is one observation. It provokes no limit, fills no
//! queue, and asks for no range wider than a day, so what only that would show stays open unless other programs' jobs show
//! it. It reads and writes no configuration: [`ProfileSettings`] says what follows, and the caller decides.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod budget;
mod error;
mod findings;
mod probe;
mod report;
mod run;
mod session;
mod step;
mod transcript;

pub use budget::{MOST_JOBS, MOST_REQUESTS};
pub use error::{Error, ErrorKind};
pub use probe::Probe;
pub use report::{End, Finding, ProfileSettings, Report};
pub use step::PlannedRequest;
