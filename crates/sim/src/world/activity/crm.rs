//! What an activity is matched to in the CRM: `crm_status` and its experimental look-alike, contract (e.2).

use super::super::chance::keyed;
use super::super::life_cycle::ActivityType;
use super::super::sink::{Sink, TimeForm};
use super::super::words;
use super::{ActivityWriter, Match};

impl ActivityWriter<'_> {
    pub(super) fn put_crm_status<S: Sink>(&mut self, out: &mut S) {
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

    pub(super) fn put_experimental<S: Sink>(&mut self, out: &mut S) {
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
}
