//! Writes one activity as it stands after some of its processings: every field of contract (e), computed from the seed.
//!
//! Keys are written in sorted order and values in canonical form but for what a [`Form`] says, so the record on the wire
//! and the text that the content hash is taken of come from one place; a test compares the latter with an independent
//! reading of the former.

mod crm;
mod participants;

use super::World;
use super::calendar::{SECONDS_A_DAY, Second};
use super::chance::{Draws, keyed, mix};
use super::life_cycle::{ActivityType, LifeCycle, Standing};
use super::sink::{Sink, TimeForm, put_string};
use super::timing::{Entry, is_all_day, is_logged};
use super::words;

/// Which text of a record is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As the service sends it.
    Wire {
        /// Row j.41: `ingest_timestamp` stays at the first ingestion.
        first_ingest: bool,
    },
    /// As the content hash takes it.
    Canonical {
        /// Row j.41, as above: the hash is of what was sent.
        first_ingest: bool,
    },
}

/// What an activity is matched to in the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    None,
    Account,
    Opportunity,
    Lead,
}

impl World {
    /// Writes the activity of `entry`, without a line end.
    pub(crate) fn put_activity<S: Sink>(&self, out: &mut S, entry: Entry, form: Form) {
        ActivityWriter::new(self, entry, form).put(out);
    }
}

struct ActivityWriter<'a> {
    world: &'a World,
    cycle: &'a LifeCycle,
    standing: Standing,
    entry: Entry,
    pair: u32,
    canonical: bool,
    ingested: usize,
    draws: Draws,
    /// Independent bits for choices that need no more than a few.
    flags: u64,
    id: u64,
    account: u64,
    lead: u64,
    matched: Match,
    owner: u64,
    insiders: u64,
    outsiders: u64,
    /// Seconds: booked, and spent.
    length: u64,
    spent: u64,
    outbound: bool,
    logged: bool,
    all_day: bool,
    form: TimeForm,
}

impl<'a> ActivityWriter<'a> {
    fn new(world: &'a World, entry: Entry, form: Form) -> Self {
        let pair = world.timeline.pair_of(entry.day, entry.number);
        let cycle = world.cycle(entry.day, pair);
        let applied = usize::from(entry.applied);
        let standing = cycle.standings[applied - 1];
        let ordinal = world.timeline.ordinal(entry.day, entry.number);
        let mut draws = Draws::new(keyed(world.seed, 0xac71, ordinal, 0));
        let flags = draws.next();
        let bits = keyed(world.seed, 0x71e5, u64::from(entry.day as u32), u64::from(entry.number));
        let cast = world.pool.cast;
        let lead = draws.below(cast.outsiders / 8);
        let first = match draws.below(100) {
            0..45 => Match::Account,
            45..80 => Match::Opportunity,
            80..90 => Match::Lead,
            _ => Match::None,
        };
        let matched = match (standing.matched, first) {
            (0, _) => Match::None,
            (1, first) => first,
            // Matched again: to the opportunity that the account or the lead has become.
            (_, Match::Account | Match::Opportunity) => Match::Opportunity,
            (_, Match::Lead | Match::None) => Match::Account,
        };
        // The lead, where there is one, is among the participants; so is its account.
        let account =
            if first == Match::Lead { (8 * lead + 7) % cast.accounts } else { draws.below(cast.accounts) };
        let (insiders, outsiders) = match cycle.kind {
            ActivityType::Email => (1 + draws.below(3), 1 + draws.below(5)),
            ActivityType::Call => (1, 1 + u64::from(flags & 0x7 == 7)),
            // A long tail: town halls and webinars.
            ActivityType::Meeting if draws.chance(4) => {
                (3 + draws.below(9), (97 + draws.below(160)).min(cast.outsiders))
            }
            ActivityType::Meeting => (1 + draws.below(5), 2 + draws.below(7)),
        };
        let outsiders = outsiders + u64::from(standing.joined) - u64::from(standing.left.min(1));
        let length = match cycle.kind {
            ActivityType::Meeting => 900 * (1 + draws.below(6)),
            ActivityType::Call => 60 + draws.below(2_400),
            ActivityType::Email => 30 + draws.below(570),
        };
        // Drawn in every version, so that the rest of the record stays as it is from version to version.
        let held = (length + 300 * draws.below(3)).saturating_sub(300);
        let spent = if standing.held { held.max(60) } else { length };
        let (canonical, first_ingest) = match form {
            Form::Wire { first_ingest } => (false, first_ingest),
            Form::Canonical { first_ingest } => (true, first_ingest),
        };
        let form = match (canonical, flags >> 3 & 7) {
            (true, _) => TimeForm::Canonical,
            (false, 0) => TimeForm::Zoned,
            (false, _) => TimeForm::Bare,
        };
        Self {
            world,
            cycle,
            standing,
            entry,
            pair,
            canonical,
            ingested: if first_ingest { 0 } else { applied - 1 },
            owner: draws.below(cast.insiders),
            draws,
            flags,
            id: mix(ordinal ^ keyed(world.seed, 0x1d, 0, 0)),
            account,
            lead,
            matched,
            insiders,
            outsiders,
            length,
            spent,
            outbound: flags >> 6 & 3 != 0,
            logged: is_logged(bits),
            all_day: is_all_day(bits),
            form,
        }
    }

    fn put<S: Sink>(mut self, out: &mut S) {
        let kind = self.cycle.kind;
        let time = Second::from(self.entry.time);
        out.put(b"{");
        if kind == ActivityType::Meeting {
            out.text(if self.all_day { "\"all_day\":true," } else { "\"all_day\":false," });
        }
        if kind == ActivityType::Email {
            self.put_attachments(out);
        }
        self.put_campaigns(out);
        // Undocumented keys, as real records have some.
        if kind == ActivityType::Meeting && self.flags >> 12 & 0x3f == 0 {
            out.text("\"conference_details\":{\"passcode_required\":true,\"provider\":\"video\"},");
        }
        if kind == ActivityType::Meeting && self.flags >> 18 & 3 != 0 {
            out.text("\"created\":");
            let booked = self.world.instant(self.entry.day, self.pair, self.cycle, 0).min(time) - 45;
            self.put_time(out, booked);
            out.put(b",");
        }
        self.put_crm_status(out);
        if kind != ActivityType::Meeting || self.flags >> 20 & 3 == 0 {
            out.text(if self.outbound {
                "\"direction\":\"outbound\","
            } else {
                "\"direction\":\"inbound\","
            });
        }
        if kind != ActivityType::Email || self.flags >> 20 & 3 == 1 {
            out.text("\"duration\":");
            out.number(self.spent);
            out.put(b",");
        }
        if kind == ActivityType::Meeting {
            out.text("\"end_time\":");
            let length = if self.all_day { SECONDS_A_DAY } else { self.length as Second };
            self.put_time(out, time + length);
            out.put(b",");
        }
        self.put_experimental(out);
        self.put_links(out);
        out.text("\"ingest_timestamp\":");
        self.put_time(out, self.world.instant(self.entry.day, self.pair, self.cycle, self.ingested));
        out.put(b",");
        if kind == ActivityType::Meeting && self.flags >> 22 & 3 != 0 {
            out.text("\"location\":");
            put_string(out, self.draws.pick(words::PLACES), false, false);
            out.put(b",");
        }
        if kind == ActivityType::Call && self.flags >> 22 & 3 != 0 {
            out.text("\"outbound_phone_number\":\"+1555");
            out.number(1_000_000 + self.draws.below(9_000_000));
            out.text("\",");
        }
        let stats = self.put_participants(out);
        if kind == ActivityType::Email && self.flags >> 24 & 3 != 0 {
            out.text(if self.standing.replied {
                "\"reply_received\":true,"
            } else {
                "\"reply_received\":false,"
            });
        }
        if self.flags >> 26 & 0x3f == 0 {
            out.text("\"sentiment\":\"positive\",");
        }
        out.text("\"source_id\":");
        self.put_source_id(out);
        out.put(b",");
        if kind == ActivityType::Meeting {
            out.text("\"start_time\":");
            self.put_time(out, time);
            out.put(b",");
        }
        self.put_stats(out, stats);
        if kind == ActivityType::Meeting {
            out.text(match (self.standing.cancelled, self.flags >> 32 & 0x1f) {
                (true, _) => "\"status\":\"cancelled\",",
                (false, 0) => "\"status\":\"tentative\",",
                (false, _) => "\"status\":\"confirmed\",",
            });
        }
        match kind {
            ActivityType::Email => self.put_title(out, "\"subject\":"),
            ActivityType::Meeting => self.put_title(out, "\"summary\":"),
            ActivityType::Call if self.flags >> 37 & 3 == 0 => self.put_title(out, "\"summary\":"),
            ActivityType::Call => {}
        }
        if self.flags >> 39 & 7 != 0 {
            out.text(match (kind, self.logged) {
                (ActivityType::Email, _) => "\"tags\":[\"email\"],",
                (ActivityType::Meeting, _) => "\"tags\":[\"meeting\"],",
                (ActivityType::Call, true) => "\"tags\":[\"call\",\"logged_call\"],",
                (ActivityType::Call, false) => "\"tags\":[\"call\"],",
            });
        }
        out.text("\"timestamp\":");
        self.put_time(out, time);
        out.text(",\"type\":\"");
        out.text(kind.as_str());
        out.put(b"\"");
        // A few records have no uid (contract (e.1)).
        if self.flags >> 42 & 0xff != 0 {
            out.text(",\"uid\":");
            match kind {
                ActivityType::Call => self.put_source_id(out),
                _ => {
                    out.text(if kind == ActivityType::Email { "\"em-" } else { "\"mt-" });
                    out.hex(self.id);
                    out.put(b"\"");
                }
            }
        }
        out.put(b"}");
    }

    fn put_time<S: Sink>(&self, out: &mut S, time: Second) {
        self.world.dates.put_time(out, time, self.form);
    }

    fn put_source_id<S: Sink>(&self, out: &mut S) {
        match self.cycle.kind {
            ActivityType::Email => put_message_id(out, mix(self.id)),
            ActivityType::Meeting => {
                out.text("\"cal-");
                out.hex(mix(self.id));
                out.put(b"\"");
            }
            ActivityType::Call => {
                out.put(b"\"");
                out.crm_id("00T", self.id);
                out.put(b"\"");
            }
        }
    }

    fn put_attachments<S: Sink>(&mut self, out: &mut S) {
        let choice = self.flags >> 50 & 0xf;
        if choice > 3 {
            return;
        }
        let file = self.draws.pick(words::FILES);
        // Sources disagree on the type, so both occur (contract (e.1)); the hash takes a lone string as a list of one.
        let list = self.canonical || choice != 3;
        out.text(if list { "\"attachment_file_names\":[" } else { "\"attachment_file_names\":" });
        put_string(out, file, false, false);
        if choice == 2 {
            out.text(",\"agenda.ics\"");
        }
        out.text(if list { "]," } else { "," });
    }

    fn put_campaigns<S: Sink>(&mut self, out: &mut S) {
        let campaigns = words::CAMPAIGNS.len() as u64;
        match self.flags >> 54 & 0xf {
            choice @ (0 | 1) => {
                let first = self.draws.below(campaigns);
                out.text("\"campaigns\":[");
                out.put(self.world.pool.campaigns.get(first, 0));
                if choice == 1 {
                    out.put(b",");
                    out.put(self.world.pool.campaigns.get((first + 1) % campaigns, 0));
                }
                out.text("],");
            }
            // The hash leaves out what is empty.
            2..10 if !self.canonical => out.text("\"campaigns\":[],"),
            _ => {}
        }
    }
    /// The keys that name other activities.
    fn put_links<S: Sink>(&mut self, out: &mut S) {
        let choice = self.draws.below(100);
        let other = self.draws.next();
        match (self.cycle.kind, choice) {
            (ActivityType::Meeting, 0..6) => {
                out.text("\"follow_up_email_source_id\":");
                put_message_id(out, other);
                out.put(b",");
            }
            (ActivityType::Email, 0..4) => {
                out.text("\"followed_meeting_source_id\":\"cal-");
                out.hex(other);
                out.text("\",");
            }
            (ActivityType::Email, 4..36) => {
                out.text("\"in_reply_to_source_id\":");
                put_message_id(out, other);
                out.put(b",");
            }
            _ => {}
        }
    }

    /// Somebody outside who takes part: first the lead, if there is one, or people of the account, then others.
    fn put_title<S: Sink>(&mut self, out: &mut S, key: &str) {
        out.text(key);
        let topic = self.draws.pick(words::TOPICS);
        let detail = self.draws.pick(words::DETAILS);
        let odd = self.draws.below(100);
        let world = self.world;
        let pool = &world.pool;
        match odd {
            // Text that trips tools, and writers that escape all that is not ASCII.
            0..5 => put_string(out, self.draws.pick(words::ODD_TOPICS), !self.canonical, odd < 2),
            5 | 6 => {
                let text = format!("{topic} – {} ✓", pool.cast.account_name(self.account));
                put_string(out, &text, !self.canonical, odd == 5);
            }
            _ => {
                out.put(b"\"");
                out.text(topic);
                out.text(" / ");
                out.put(pool.accounts.get(self.account, 2));
                out.text(": ");
                out.text(detail);
                out.put(b"\"");
            }
        }
        out.put(b",");
    }
}

fn put_message_id(out: &mut impl Sink, id: u64) {
    out.text("\"msg-");
    out.hex(id);
    out.text("@mail.example.com\"");
}
