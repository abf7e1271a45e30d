//! A client of the Backstory (formerly People.ai) bulk export API.
//!
//! One facade for each resource, and one handle for each job: create an export job within the use limits, wait for it from
//! any process, and read its result as a file, as bytes, or record by record. What the API is known to do, and what nobody
//! knows of it, stands in `docs/contract.md`; its sections are cited here as "contract (c.1)".
//!
//! ```
//! use backstory_api::{BaseUrl, Client, DEFAULT_BASE_URL};
//! use backstory_auth::Credentials;
//! use backstory_limits::ExportKind;
//! use futures_util::StreamExt as _;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use backstory_transport::{Scripted, ScriptedService};
//! # let adapter = ScriptedService::new([
//! #     Scripted::ok(r#"{"access_token":"t","token_type":"bearer","expires_in":7200}"#),
//! #     Scripted::ok(r#"{"job_id":"100042","state":"Queued"}"#),
//! #     Scripted::ok(r#"{"job_id":"100042","state":"Completed"}"#),
//! #     Scripted::ok("{\"uid\":\"em-1\",\"type\":\"email\",\"subject\":\"Quote\"}\n"),
//! # ]);
//! let client = Client::builder(BaseUrl::parse(DEFAULT_BASE_URL)?)
//! #   .adapter(adapter)
//!     .credentials(Credentials::new("key", "secret"))?
//!     .build()?;
//!
//! let range = "2026-03-01..2026-03-14".parse()?;
//! let job = client.activities().export(range).kind(ExportKind::Delta).start().await?;
//! println!("job {} is on its way; attach to it by this id from anywhere", job.id());
//! job.wait().await?;
//!
//! let mut activities = job.result().records()?;
//! while let Some(activity) = activities.next().await {
//!     println!("{:?}", activity?.subject);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How it behaves
//!
//! - A failed *poll* is not a failed *job*: see [`ExportJob::wait_with`].
//! - A creation is never repeated blindly. When its reply is lost, the service's list of jobs settles whether the job was
//!   created (contract (j.5)).
//! - A download that breaks off is begun anew, and what was read before is proven to be the same.
//! - Every error says what was tried, on which job, why it failed, and what to do next: see [`Error::hint`].
//!
//! # Features
//!
//! `reqwest` (on by default) lets the client open real sockets by itself. Without it, bring your own
//! [`HttpService`](backstory_transport::HttpService) with [`ClientBuilder::adapter`]; that is also how tests are written.
//!
//! # In your own tests
//!
//! Every facade can be mocked where it meets the network, with all of the client's own behaviour above it: switch on the
//! feature `test-util` of `backstory-transport`, and play the service's replies and faults. (`MockHttpService` from there is a
//! mock of the same port by mockall.)
//!
//! ```
//! use backstory_api::{BaseUrl, Client, ErrorKind};
//! use backstory_auth::FixedToken;
//! use backstory_transport::{Scripted, ScriptedService};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ScriptedService::new([
//!     Scripted::ok(r#"{"job_id":"7","state":"Running"}"#),
//!     Scripted::fail_after_send(), // a failed poll is not a failed job
//!     Scripted::ok(r#"{"job_id":"7","state":"Failed"}"#),
//! ]);
//! let client = Client::builder(BaseUrl::parse("http://scripted.example")?)
//!     .adapter(service.clone())
//!     .tokens(FixedToken::new("any")?)
//!     .build()?;
//!
//! let error = client.contacts().job("7").wait().await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::JobFailed);
//! assert_eq!(service.requests().len(), 3);
//! # Ok(())
//! # }
//! ```
//!
//! # What this crate does not do
//!
//! It writes no tables, keeps no state between runs, and doesn't split ranges: a range that is too wide is refused before
//! anything is sent. It has no call to cancel a job, because none is known (contract (j.8)).

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod activities;
mod client;
mod contacts;
mod create;
mod endpoint;
mod error;
mod exchange;
mod fragment_bytes;
mod fragments;
mod generated;
mod job;
mod records;
mod resource;
mod result;
mod states;
mod wait;
mod wire;

pub use activities::{ActivitiesApi, ActivitiesExport};
pub use client::{Client, ClientBuilder, token_flow};
pub use contacts::{ContactsApi, ContactsExport};
pub use endpoint::{BaseUrl, DEFAULT_BASE_URL, Endpoint};
pub use error::{Error, ErrorKind};
pub use fragment_bytes::FragmentBytes;
pub use fragments::Fragments;
pub use generated::{ActivitiesFormat, ActivityType, ContactsFormat, Job, JobState};
pub use job::ExportJob;
pub use records::{ContactsDecoder, RecordPosition, RecordStream, Records};
pub use resource::{Activities, Contacts, Resource};
pub use result::{ExportResult, ResultBytes};
pub use states::JobStates;
pub use wait::WaitPolicy;
pub use wire::JobId;
