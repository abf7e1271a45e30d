//! Writes one activity as it stands after some of its processings: every field of contract (e), computed from the seed.
//!
//! Keys are written in sorted order and values in canonical form but for what a [`Form`] says, so the record on the wire
//! and the text that the content hash is taken of come from one place; a test compares the latter with an independent
//! reading of the former.

use super::World;
use super::calendar::{Day, SECONDS_A_DAY, Second, start_of};
use super::chance::{Draws, keyed, mix, scale};
use super::life_cycle::{ActivityType, Change, LifeCycle, Standing};
use super::sink::{Sink, TimeForm, put_string};
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

/// One activity at one point of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// The activity's time, in seconds since 1970; the worlds lie between 1975 and 2100, so 32 bits hold it.
    pub(crate) time: u32,
    /// The nominal day, and the number within it, that the activity is computed from.
    pub(crate) day: Day,
    pub(crate) number: u32,
    /// How many of its processings have happened; at least 1.
    pub(crate) applied: u8,
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
    /// The life cycle of a pair of activities.
    pub(crate) fn cycle(&self, day: Day, pair: u32) -> &LifeCycle {
        &self.cycles[(self.rotation(day).wrapping_add(pair) % super::life_cycle::CLASSES) as usize]
    }

    /// When a processing happened. Both members of a pair are processed in the same second, as in a batch.
    pub(crate) fn instant(&self, day: Day, pair: u32, cycle: &LifeCycle, number: usize) -> Second {
        let event = cycle.events[number];
        let bits = keyed(self.seed, 0x1e57, (u64::from(day as u32) << 32) | u64::from(pair), number as u64);
        let second = match (cycle.kind, event.change) {
            // A meeting is over by 20:00.
            (ActivityType::Meeting, Change::Held) => 72_000 + scale(bits, 14_000),
            (ActivityType::Meeting, Change::Born) if event.day >= 0 => 72_000 + scale(bits, 14_000),
            (ActivityType::Email | ActivityType::Call, Change::Born) if event.day == 0 => {
                1_600 + scale(bits, 84_000)
            }
            _ => scale(bits, SECONDS_A_DAY as u64),
        };
        start_of(day + event.day) + second as Second
    }

    /// The time of an activity after `applied` of its processings.
    pub(crate) fn activity_time(
        &self,
        day: Day,
        pair: u32,
        number: u32,
        cycle: &LifeCycle,
        applied: usize,
    ) -> Second {
        let standing = &cycle.standings[applied - 1];
        let bits = keyed(self.seed, 0x71e5, u64::from(day as u32), u64::from(number));
        let second = match cycle.kind {
            ActivityType::Meeting if is_all_day(bits) => 0,
            ActivityType::Meeting => {
                let slot = scale(mix(bits ^ standing.moved as u64), 44) as Second;
                7 * 3_600 + 900 * slot
            }
            // A call that was logged by hand has a date only (contract (e.4)).
            ActivityType::Call if is_logged(bits) => 0,
            // Ingested on the day itself: shortly after it happened.
            ActivityType::Email | ActivityType::Call if cycle.events[0].day == 0 => {
                let ingested = self.instant(day, pair, cycle, 0) - start_of(day);
                ingested - 20 - scale(bits, 1_500) as Second
            }
            ActivityType::Email | ActivityType::Call => scale(bits, SECONDS_A_DAY as u64) as Second,
        };
        start_of(day + standing.moved) + second
    }

    /// Writes the activity of `entry`, without a line end.
    pub(crate) fn put_activity<S: Sink>(&self, out: &mut S, entry: Entry, form: Form) {
        ActivityWriter::new(self, entry, form).put(out);
    }
}

fn is_all_day(bits: u64) -> bool {
    bits & 0x3f == 9
}

fn is_logged(bits: u64) -> bool {
    bits & 3 == 1
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

    fn put_crm_status<S: Sink>(&mut self, out: &mut S) {
        let world = self.world;
        let pool = &world.pool;
        let matched = self.matched;
        let deal = self.draws.below(3);
        let beside = self.draws.chance(600);
        let pushed = self.draws.chance(650) && matched != Match::None;
        out.text("\"crm_status\":{");
        // An account may stand beside another match (contract (e.2)).
        if matched == Match::Account || (matched == Match::Opportunity && beside) {
            out.text("\"account\":");
            out.put(pool.accounts.get(self.account, 0));
            out.put(b",");
        }
        if pushed {
            out.text("\"crm_id\":\"");
            out.crm_id(if self.cycle.kind == ActivityType::Meeting { "00U" } else { "00T" }, self.id);
            out.text("\",");
        }
        if matched == Match::Lead {
            out.text("\"lead\":");
            out.put(pool.leads.get(self.lead, 0));
            out.put(b",");
        }
        if self.flags >> 58 & 0x3f == 0 {
            out.text("\"match_confidence\":");
            out.number(50 + self.draws.below(50));
            out.put(b",");
        }
        out.text(match matched {
            Match::None => "\"matched_to\":\"none\",",
            Match::Account => "\"matched_to\":\"account\",",
            Match::Opportunity => "\"matched_to\":\"opportunity\",",
            Match::Lead => "\"matched_to\":\"lead\",",
        });
        if matched == Match::Opportunity {
            let opportunity = 3 * self.account + deal;
            let key = keyed(self.world.seed, 0x0bb0, opportunity, 0);
            let stage = ((key & 0xff) + u64::from(self.standing.matched)) % words::STAGES.len() as u64;
            out.text("\"opportunity\":{\"account\":");
            out.put(pool.accounts.get(self.account, 1));
            out.text(",\"crm_id\":\"");
            out.crm_id("006", key);
            out.text("\",\"name\":\"");
            out.put(pool.accounts.get(self.account, 2));
            out.put(b" ");
            out.text(words::DEALS[(key >> 8) as usize % words::DEALS.len()]);
            out.text("\",\"stage_name\":\"");
            out.text(words::STAGES[stage as usize]);
            out.text("\",\"stage_rank\":");
            out.number(stage + 1);
            out.text("},");
        }
        if pushed {
            out.text("\"push_time\":");
            let at = self.world.instant(self.entry.day, self.pair, self.cycle, self.standing.matched_by);
            let form = if self.canonical { TimeForm::Canonical } else { TimeForm::Zoned };
            self.world.dates.put_time(out, at, form);
            out.put(b",");
        }
        out.text(if pushed { "\"pushed\":true}," } else { "\"pushed\":false}," });
    }

    fn put_experimental<S: Sink>(&mut self, out: &mut S) {
        let choice = self.draws.below(100);
        match (self.cycle.kind, choice) {
            (ActivityType::Call, 0..30) | (_, 0..2) => {
                out.text(
                    "\"experimental\":{\"internal_match_status\":{\"matched_to\":\"none\",\"pushed\":false}},",
                );
            }
            (ActivityType::Call, 30..40) | (_, 2) => {
                out.text("\"experimental\":{\"internal_match_status\":{\"crm_id\":\"");
                out.crm_id("00Q", self.id);
                out.text("\",\"lead\":");
                out.put(self.world.pool.leads.get(self.lead, 0));
                out.text(",\"matched_to\":\"lead\",\"push_time\":");
                // Nothing documents this object, so a client may or may not read its times; in this form both agree.
                let at = self.world.instant(self.entry.day, self.pair, self.cycle, 0);
                self.world.dates.put_time(out, at, TimeForm::Canonical);
                out.text(",\"pushed\":true}},");
            }
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
    fn outsider(&self, place: u64) -> u64 {
        let world = self.world;
        let pool = &world.pool;
        let colleagues = pool.colleagues();
        let lead = 8 * self.lead + 7;
        if self.matched == Match::Lead && place == 0 {
            return lead;
        }
        let number = if place < colleagues {
            self.account + pool.cast.accounts * ((self.id + place) % colleagues)
        } else {
            (self.account + 1 + place) % pool.cast.outsiders
        };
        // Nobody twice: the lead gives way to its neighbour.
        if self.matched == Match::Lead && number == lead {
            (number + 1) % pool.cast.outsiders
        } else {
            number
        }
    }

    fn put_participants<S: Sink>(&self, out: &mut S) -> Stats {
        let world = self.world;
        let pool = &world.pool;
        let meeting = self.cycle.kind == ActivityType::Meeting;
        let mut stats = Stats::default();
        out.text("\"participants\":[");
        for place in 0..self.insiders {
            let person = (self.owner + place) % pool.cast.insiders;
            out.put(pool.insiders.get(person, 0));
            let originator = place == 0 && (self.outbound || meeting);
            out.text(if originator { "originator\"" } else { "participant\"" });
            if meeting {
                self.put_answer(out, &mut stats, if place == 0 { 0 } else { mix(self.id ^ place) });
            }
            out.put(b",");
            out.put(pool.insiders.get(person, 1));
            self.put_time_spent(out);
            out.put(pool.insiders.get(person, 2));
            out.put(b",");
        }
        for place in 0..self.outsiders {
            let person = self.outsider(place);
            out.put(pool.outsiders.get(person, 0));
            let originator = place == 0 && !self.outbound && !meeting;
            out.text(if originator { "originator\"" } else { "participant\"" });
            if meeting {
                self.put_answer(out, &mut stats, mix(self.id ^ (place << 32)));
            }
            out.put(b",");
            self.put_time_spent(out);
            out.put(pool.outsiders.get(person, 2));
            stats.contacts += u64::from(person % 8 != 7 && person % 11 != 3);
            if place + 1 < self.outsiders {
                out.put(b",");
            }
        }
        out.text("],");
        stats
    }

    fn put_time_spent<S: Sink>(&self, out: &mut S) {
        out.text("\"time_spent\":");
        out.number(self.spent);
    }

    fn put_answer<S: Sink>(&self, out: &mut S, stats: &mut Stats, bits: u64) {
        match bits & 0xf {
            0..8 => {
                stats.accepted += 1;
                out.text(",\"status\":\"accepted\"");
            }
            8 | 9 => {
                stats.declined += 1;
                out.text(",\"status\":\"declined\"");
            }
            10 | 11 => {
                stats.tentative += 1;
                out.text(",\"status\":\"tentative\"");
            }
            // No answer yet: the key is absent.
            _ => {}
        }
    }

    fn put_stats<S: Sink>(&self, out: &mut S, stats: Stats) {
        let mut number = |key: &str, value: u64| {
            out.text(key);
            out.number(value);
        };
        let meeting = self.cycle.kind == ActivityType::Meeting;
        if meeting {
            number("\"stats\":{\"accepted_participants\":", stats.accepted);
            number(",\"contacts_participants\":", stats.contacts);
            number(",\"declined_participants\":", stats.declined);
        } else {
            number("\"stats\":{\"contacts_participants\":", stats.contacts);
        }
        number(",\"external_participants\":", self.outsiders);
        number(",\"internal_participants\":", self.insiders);
        let total = self.insiders + self.outsiders;
        if self.cycle.kind == ActivityType::Email {
            let cc = self.insiders - 1;
            number(",\"participants_on_cc_line\":", cc);
            number(",\"participants_on_to_line\":", total - cc - 1);
        }
        if meeting {
            number(",\"tentative_participants\":", stats.tentative);
        }
        number(",\"total_participants\":", total);
        out.text("},");
    }

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

#[derive(Clone, Copy, Default)]
struct Stats {
    contacts: u64,
    accepted: u64,
    declined: u64,
    tentative: u64,
}

fn put_message_id(out: &mut impl Sink, id: u64) {
    out.text("\"msg-");
    out.hex(id);
    out.text("@mail.example.com\"");
}
