//! Who takes part in an activity, and the statistics of it, contract (e.2).

use super::super::chance::mix;
use super::super::life_cycle::ActivityType;
use super::super::sink::Sink;
use super::{ActivityWriter, Match};

#[derive(Clone, Copy, Default)]
pub(super) struct Stats {
    contacts: u64,
    accepted: u64,
    declined: u64,
    tentative: u64,
}

impl ActivityWriter<'_> {
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

    pub(super) fn put_participants<S: Sink>(&self, out: &mut S) -> Stats {
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

    pub(super) fn put_stats<S: Sink>(&self, out: &mut S, stats: Stats) {
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
}
