//! The two resources that can be exported, as types: a job of one can't be mistaken for a job of the other.

use std::fmt::Debug;

use backstory_formats::{Activity, Contact};

use crate::endpoint::Endpoint;

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Activities {}
    impl Sealed for super::Contacts {}
}

/// What an export job exports. Implemented by [`Activities`] and [`Contacts`] only.
pub trait Resource: sealed::Sealed + Clone + Copy + Debug + Send + Sync + Unpin + 'static {
    /// One record of it, owning its text.
    type Record: Send + Unpin + 'static;

    /// Its name in messages and paths: `activities` or `contacts`.
    const NAME: &'static str;

    /// Where its jobs live.
    const ENDPOINT: Endpoint;

    /// Whether its jobs can be listed: activities only, as far as is known (contract (d), (j.6)).
    const LISTABLE: bool;
}

/// Emails, meetings and calls (contract (c)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Activities;

impl Resource for Activities {
    type Record = Activity<'static>;
    const NAME: &'static str = "activities";
    const ENDPOINT: Endpoint = Endpoint::ACTIVITIES;
    const LISTABLE: bool = true;
}

/// Enriched contacts (contract (d)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Contacts;

impl Resource for Contacts {
    type Record = Contact<'static>;
    const NAME: &'static str = "contacts";
    const ENDPOINT: Endpoint = Endpoint::CONTACTS;
    const LISTABLE: bool = false;
}
