//! The port between a sync and what it fills.
//!
//! A sync brings [deliveries](Delivery): the result of one export job each. A [`Destination`] takes a delivery in through a
//! [`Load`], and commits its rows together with its [`DeliveryRecord`]: both or neither, and a repetition changes nothing.
//! The records in the destination are the only truth of what has been loaded; coverage and watermark are derived from them.
//!
//! ```
//! use backstory_destination::DestinationUrl;
//!
//! let url: DestinationUrl = "/data/backstory".parse()?;
//! assert_eq!(url.scheme(), "lake");
//! assert!("ftp://example.org".parse::<DestinationUrl>().is_err());
//! # Ok::<(), backstory_destination::Error>(())
//! ```
//!
//! # What this crate does not do
//!
//! It fills nothing itself: each destination is a crate of its own. It knows no API, no jobs in flight and no plan.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod delivered;
mod delivery;
mod destination;
mod error;
mod fail_point;
mod history;
mod landing;
mod url;

pub use delivered::{Delivered, Proof, Proving};
pub use delivery::{Delivery, DeliveryKind, DeliveryRecord, FragmentRecord, PartOf, Window};
pub use destination::{Committed, Destination, Digest, Finding, Load};
pub use error::{Error, ErrorKind};
pub use fail_point::fail_point;
pub use history::HistoryEntry;
pub use landing::{Landed, Landing, fingerprint, replace};
pub use url::DestinationUrl;
