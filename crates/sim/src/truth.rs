//! The truth: what a client should hold at a moment, and what one export must hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::export::{Export, delta_rules};
use crate::server::State;
use crate::switches::{Row, Switches};
use crate::world::{
    ActivityType, ContactFilter, ContactForm, ContentSum, Cursor, Day, Form, Order, Question, Subject, World,
    day_of,
};

/// The number of a set of records, and their content hash: 32 hex digits.
///
/// The hash is the sum modulo 2^128 of the first 16 bytes (big-endian) of SHA-256 over each record's canonical JSON:
/// field names sorted; null, absent, empty lists and empty objects left out; times as UTC with six decimals and `Z`; a
/// lone string where a list is due as a list; integers as digits; strings with the fewest escapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Content {
    /// Records in the set.
    pub count: u64,
    /// 32 hex digits.
    pub content_hash: String,
}

/// Which export a question about a window is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WindowKind {
    /// Activities by their date.
    Snapshot,
    /// Activities by their processing.
    Delta,
    /// Contacts, all of them: historical, existing and sourced by Backstory or not.
    Contacts,
}

/// Answers what the world's records are. Every answer is computed anew; a million activities take a few seconds.
#[derive(Clone)]
pub struct Truth(pub(crate) Arc<State>);

impl Truth {
    /// The activities as they stand at `at`, and of these, those whose last processing falls on the UTC day
    /// `processed_through` or before (all, when it is `None`).
    pub fn activities(&self, at: Timestamp, processed_through: Option<Date>) -> Content {
        self.content(self.current(at, processed_through), None)
    }

    /// The contacts as they stand at `at`, and of these, those that were created on the UTC day `created_through` or
    /// before (all, when it is `None`).
    pub fn contacts(&self, at: Timestamp, created_through: Option<Date>) -> Content {
        self.content(self.all_contacts(at, created_through), None)
    }

    /// What one export of the days from `from` to `to`, both included, must hold, if its job starts at `at`; of one
    /// type of activity or of all.
    pub fn window(
        &self,
        kind: WindowKind,
        activity_type: Option<ActivityType>,
        from: Date,
        to: Date,
        at: Timestamp,
    ) -> Content {
        self.content(self.of_window(kind, activity_type, from, to, at), None)
    }

    /// The records behind [`window`](Self::window), each as its JSON on the wire, contacts too.
    pub fn window_records(
        &self,
        kind: WindowKind,
        activity_type: Option<ActivityType>,
        from: Date,
        to: Date,
        at: Timestamp,
    ) -> impl Iterator<Item = Vec<u8>> + use<> {
        self.records(self.of_window(kind, activity_type, from, to, at))
    }

    /// The records behind [`activities`](Self::activities), each as its JSON on the wire.
    pub fn activity_records(
        &self,
        at: Timestamp,
        processed_through: Option<Date>,
    ) -> impl Iterator<Item = Vec<u8>> + use<> {
        self.records(self.current(at, processed_through))
    }

    /// The records behind [`contacts`](Self::contacts), each as its JSON on the wire.
    pub fn contact_records(
        &self,
        at: Timestamp,
        created_through: Option<Date>,
    ) -> impl Iterator<Item = Vec<u8>> + use<> {
        self.records(self.all_contacts(at, created_through))
    }

    pub(crate) fn current(&self, at: Timestamp, through: Option<Date>) -> Question {
        self.question(Subject::Current, None, Day::MIN, through.map_or(Day::MAX, day_of), at)
    }

    pub(crate) fn all_contacts(&self, at: Timestamp, through: Option<Date>) -> Question {
        self.question(Subject::Contacts, None, Day::MIN, through.map_or(Day::MAX, day_of), at)
    }

    pub(crate) fn of_window(
        &self,
        kind: WindowKind,
        activity_type: Option<ActivityType>,
        from: Date,
        to: Date,
        at: Timestamp,
    ) -> Question {
        let subject = match kind {
            WindowKind::Snapshot => Subject::Snapshot,
            WindowKind::Delta => Subject::Delta,
            WindowKind::Contacts => Subject::Contacts,
        };
        self.question(subject, activity_type, day_of(from), day_of(to), at)
    }

    fn question(
        &self,
        subject: Subject,
        kind: Option<ActivityType>,
        from: Day,
        to: Day,
        at: Timestamp,
    ) -> Question {
        Question {
            subject,
            from,
            to,
            at: at.as_second(),
            kind,
            contacts: ContactFilter::all(),
            delta: delta_rules(&self.0.switches()),
            order: Order::Sorted,
        }
    }

    /// The answer, which is of no use any more once `stop` is set, and ends early.
    pub(crate) fn content(&self, question: Question, stop: Option<&Arc<AtomicBool>>) -> Content {
        let first_ingest = first_ingest(&self.0.switches());
        let mut sum = ContentSum::default();
        let mut text = Vec::new();
        let mut cursor = Cursor::new(Arc::clone(&self.0.world), question);
        if let Some(stop) = stop {
            cursor = cursor.until(stop);
        }
        while let Some(entry) = cursor.next() {
            text.clear();
            let (world, question) = cursor.parts();
            let form = Form::Canonical { first_ingest };
            put(world, &mut text, question, entry, form);
            sum.add(&text);
            if sum.count.is_multiple_of(4_096) && stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                break;
            }
        }
        Content { count: sum.count, content_hash: sum.to_string() }
    }

    /// The records of a question as lines, to be streamed.
    pub(crate) fn lines(&self, question: Question) -> Arc<Export> {
        let first = first_ingest(&self.0.switches());
        Arc::new(Export::lines(&self.0.world, question, first, &self.0.stopping))
    }

    fn records(&self, question: Question) -> impl Iterator<Item = Vec<u8>> + use<> {
        let first_ingest = first_ingest(&self.0.switches());
        let mut cursor = Cursor::new(Arc::clone(&self.0.world), question);
        std::iter::from_fn(move || {
            let entry = cursor.next()?;
            let (world, question) = cursor.parts();
            let mut text = Vec::new();
            put(world, &mut text, question, entry, Form::Wire { first_ingest });
            Some(text)
        })
    }
}

fn first_ingest(switches: &Switches) -> bool {
    switches.is(Row::J41, "first")
}

fn put(world: &World, out: &mut Vec<u8>, question: &Question, entry: crate::world::Entry, form: Form) {
    if question.subject == Subject::Contacts {
        world.put_contact(out, entry.day, entry.number, question.at, ContactForm::Json(form));
    } else {
        world.put_activity(out, entry, form);
    }
}

impl std::fmt::Debug for Truth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Truth").finish_non_exhaustive()
    }
}
