//! The organisation's people, its accounts, and the people outside it.
//!
//! A bounded cast of them is turned into ready pieces of JSON when the world is made, so that writing a record is mostly
//! copying. Pieces are in canonical form (sorted keys, fewest escapes), which is also a legal form on the wire.

use super::chance::{Draws, keyed};
use super::sink::{Sink, put_string};
use super::words;

/// Somebody outside the organisation. The same number is the same person, as a participant and as a contact.
#[derive(Debug)]
pub(crate) struct Outsider {
    pub(crate) given: &'static str,
    pub(crate) family: &'static str,
    /// `None`: known by phone only.
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    /// Title, department, seniority.
    pub(crate) title: (&'static str, &'static str, &'static str),
    /// An index into [`words::COUNTRIES`].
    pub(crate) country: usize,
    pub(crate) account: u64,
    /// Whether the CRM knows the person as a lead rather than as a contact.
    pub(crate) lead: bool,
    pub(crate) crm_id: u64,
    pub(crate) peopleai_id: u64,
}

/// Sizes of the cast, and how to compute any of its members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    pub(crate) seed: u64,
    pub(crate) insiders: u64,
    pub(crate) outsiders: u64,
    pub(crate) accounts: u64,
}

/// The name, address and id of one of the organisation's own people.
#[derive(Debug)]
pub(crate) struct Insider {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) title: &'static str,
    pub(crate) team: usize,
    pub(crate) peopleai_id: u64,
}

impl Cast {
    /// A cast that suits a number of activities: enough people that columns are varied, few enough to keep at hand.
    pub(crate) fn new(seed: u64, activities: u32) -> Self {
        let activities = u64::from(activities);
        let outsiders = (activities / 20).clamp(240, 40_000);
        Self { seed, insiders: (activities / 2_000).clamp(40, 1_500), outsiders, accounts: outsiders / 8 }
    }

    pub(crate) fn insider(&self, number: u64) -> Insider {
        let mut draws = Draws::new(keyed(self.seed, 0x1d51de, number, 0));
        let (given, family) = (draws.pick(words::GIVEN), draws.pick(words::FAMILY));
        Insider {
            name: format!("{} {}", given.0, family.0),
            email: format!("{}.{}{}@vendor.example", given.1, family.1, number),
            title: draws.pick(words::INTERNAL_TITLES),
            team: draws.below(words::TEAMS.len() as u64) as usize,
            peopleai_id: 9_000_000_000 + number,
        }
    }

    pub(crate) fn outsider(&self, number: u64) -> Outsider {
        let mut draws = Draws::new(keyed(self.seed, 0x0075de, number, 0));
        let (given, family) = (draws.pick(words::GIVEN), draws.pick(words::FAMILY));
        let account = number % self.accounts.max(1);
        let phone_only = draws.chance(20);
        let country = if draws.chance(450) { 0 } else { draws.below(words::COUNTRIES.len() as u64) as usize };
        let digits = draws.below(10_000_000);
        let has_phone = draws.chance(600) || phone_only;
        Outsider {
            given: given.0,
            family: family.0,
            email: (!phone_only)
                .then(|| format!("{}.{}{number}@{}", given.1, family.1, self.account_domain(account))),
            phone: has_phone.then(|| format!("{}{digits:07}", words::COUNTRIES[country].1)),
            title: draws.pick(words::EXTERNAL_TITLES),
            country,
            account,
            lead: number % 8 == 7,
            crm_id: draws.next(),
            peopleai_id: 9_100_000_000 + number,
        }
    }

    pub(crate) fn account_name(&self, account: u64) -> String {
        let names = words::COMPANIES.len() as u64;
        let forms = words::COMPANY_FORMS.len() as u64;
        let name = words::COMPANIES[(account % names) as usize].0;
        let form = words::COMPANY_FORMS[(account / names % forms) as usize];
        match account / names / forms {
            0 => format!("{name} {form}"),
            more => format!("{name} {form} {}", more + 1),
        }
    }

    pub(crate) fn account_domain(&self, account: u64) -> String {
        let names = words::COMPANIES.len() as u64;
        format!("{}{}.example", words::COMPANIES[(account % names) as usize].1, account / names)
    }

    pub(crate) fn account_type(&self, account: u64) -> &'static str {
        Draws::new(keyed(self.seed, 0xacc0, account, 1)).pick(words::ACCOUNT_TYPES)
    }

    pub(crate) fn account_crm_id(&self, account: u64) -> u64 {
        keyed(self.seed, 0xacc0, account, 0)
    }
}

/// Pieces of JSON, one after the other in one buffer; each thing has `PARTS` of them.
#[derive(Debug)]
pub(crate) struct Pieces<const PARTS: usize> {
    bytes: Vec<u8>,
    ends: Vec<[u32; PARTS]>,
}

impl<const PARTS: usize> Pieces<PARTS> {
    fn with_capacity(things: u64, bytes_each: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(things as usize * bytes_each),
            ends: Vec::with_capacity(things as usize),
        }
    }

    /// Adds a thing, written by `parts` in turn.
    fn add(&mut self, mut part: impl FnMut(&mut Vec<u8>, usize)) {
        let mut ends = [0; PARTS];
        for (number, end) in ends.iter_mut().enumerate() {
            part(&mut self.bytes, number);
            // The cast is bounded, and so are its pieces: about 20 MB at most.
            *end = self.bytes.len() as u32;
        }
        self.ends.push(ends);
    }

    /// One part of one thing.
    pub(crate) fn get(&self, thing: u64, part: usize) -> &[u8] {
        let thing = thing as usize;
        let ends = &self.ends[thing];
        let start = match (part, thing) {
            (0, 0) => 0,
            (0, _) => self.ends[thing - 1][PARTS - 1],
            _ => ends[part - 1],
        };
        &self.bytes[start as usize..ends[part] as usize]
    }
}

/// The cast as ready pieces.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) cast: Cast,
    /// A participant: up to the role's value; the team (may be empty); from the title to the end.
    pub(crate) insiders: Pieces<3>,
    pub(crate) outsiders: Pieces<3>,
    /// An account as a matched object; the same with id and name only; its name alone, inside a string.
    pub(crate) accounts: Pieces<3>,
    /// A lead as a matched object. Only every eighth outsider is one; its number is divided by eight.
    pub(crate) leads: Pieces<1>,
    pub(crate) campaigns: Pieces<1>,
}

impl Pool {
    pub(crate) fn new(cast: Cast) -> Self {
        let mut pool = Self {
            cast,
            insiders: Pieces::with_capacity(cast.insiders, 300),
            outsiders: Pieces::with_capacity(cast.outsiders, 280),
            accounts: Pieces::with_capacity(cast.accounts, 330),
            leads: Pieces::with_capacity(cast.outsiders / 8, 250),
            campaigns: Pieces::with_capacity(words::CAMPAIGNS.len() as u64, 130),
        };
        for number in 0..cast.insiders {
            pool.add_insider(number);
        }
        for number in 0..cast.outsiders {
            pool.add_outsider(number);
        }
        for number in 0..cast.accounts {
            pool.add_account(number);
        }
        for (number, name) in words::CAMPAIGNS.iter().enumerate() {
            let month = number % 9 + 1;
            pool.campaigns.add(|out, _| {
                out.put(b"{\"crm_id\":\"");
                out.crm_id("701", keyed(cast.seed, 0xca4b, number as u64, 0));
                out.put(b"\",\"end_date\":\"");
                out.text(&format!("2026-{:02}-28", month + 1));
                out.put(b"\",\"name\":");
                put_string(out, name, false, false);
                out.text(&format!(",\"start_date\":\"2026-{month:02}-01\"}}"));
            });
        }
        pool
    }

    fn add_insider(&mut self, number: u64) {
        let person = self.cast.insider(number);
        let seed = self.cast.seed;
        self.insiders.add(|out, part| match part {
            0 => {
                out.put(b"{\"crm_id\":\"");
                out.crm_id("005", keyed(seed, 0x1d51de, number, 1));
                out.put(b"\",\"email\":\"");
                out.text(&person.email);
                out.put(b"\",\"name\":");
                put_string(out, &person.name, false, false);
                out.put(b",\"peopleai_id\":\"");
                out.number(person.peopleai_id);
                if number.is_multiple_of(3) {
                    out.text(&format!("\",\"phone\":\"+1555010{number:04}"));
                }
                out.put(b"\",\"role\":\"");
            }
            1 => {
                out.put(b"\"team\":{\"crm_id\":\"");
                out.number(410_000_001 + person.team as u64);
                out.put(b"\",\"name\":\"");
                out.text(words::TEAMS[person.team]);
                out.put(b"\"},");
            }
            _ => {
                out.put(b",\"title\":\"");
                out.text(person.title);
                out.put(b"\",\"type\":\"internal\"}");
            }
        });
    }

    fn add_outsider(&mut self, number: u64) {
        let cast = self.cast;
        let person = cast.outsider(number);
        let name = format!("{} {}", person.given, person.family);
        self.outsiders.add(|out, part| match part {
            0 => {
                out.put(b"{");
                // Somebody the CRM does not know has no id in it.
                if number % 11 != 3 {
                    out.put(b"\"crm_id\":\"");
                    out.crm_id(if person.lead { "00Q" } else { "003" }, person.crm_id);
                    out.put(b"\",");
                }
                if let Some(email) = &person.email {
                    out.text(&format!("\"email\":\"{email}\","));
                }
                // An undocumented key, as real records have some.
                if number % 97 == 5 {
                    out.put(b"\"linkedin_url\":\"https://social.example/in/");
                    out.number(person.peopleai_id);
                    out.put(b"\",");
                }
                if number % 11 != 3 {
                    out.text(if person.lead {
                        "\"matched_as\":\"lead\","
                    } else {
                        "\"matched_as\":\"contact\","
                    });
                }
                out.put(b"\"name\":");
                put_string(out, &name, false, false);
                out.put(b",\"peopleai_id\":\"");
                out.number(person.peopleai_id);
                if let Some(phone) = &person.phone {
                    out.text(&format!("\",\"phone\":\"{phone}"));
                }
                out.put(b"\",\"role\":\"");
            }
            1 => {}
            _ => {
                if number % 5 != 1 {
                    out.put(b",\"title\":");
                    put_string(out, person.title.0, false, false);
                }
                out.put(b",\"type\":\"external\"}");
            }
        });
        if person.lead {
            self.leads.add(|out, _| {
                out.put(b"{\"crm_id\":\"");
                out.crm_id("00Q", person.crm_id);
                if let Some(email) = &person.email {
                    out.text(&format!("\",\"email\":\"{email}"));
                }
                if number % 3 != 1 {
                    out.text("\",\"lead_stage\":\"");
                    out.text(words::LEAD_STAGES[(number / 8 % 4) as usize]);
                }
                out.put(b"\",\"name\":");
                put_string(out, &name, false, false);
                if let Some(phone) = &person.phone {
                    out.text(&format!(",\"phone\":\"{phone}\""));
                }
                out.put(b",\"title\":");
                put_string(out, person.title.0, false, false);
                out.put(b"}");
            });
        }
    }

    fn add_account(&mut self, number: u64) {
        let cast = self.cast;
        let name = cast.account_name(number);
        let short = |out: &mut Vec<u8>| {
            out.put(b"{\"crm_id\":\"");
            out.crm_id("001", cast.account_crm_id(number));
            out.put(b"\",\"name\":");
            put_string(out, &name, false, false);
        };
        self.accounts.add(|out, part| match part {
            0 => {
                short(out);
                // A third of the accounts have a parent.
                if number % 3 == 2 {
                    let parent = number / 3;
                    out.put(b",\"parent_account_crm_id\":\"");
                    out.crm_id("001", cast.account_crm_id(parent));
                    out.put(b"\",\"parent_account_name\":");
                    put_string(out, &cast.account_name(parent), false, false);
                }
                out.put(b"}");
            }
            1 => {
                short(out);
                out.put(b"}");
            }
            _ => {
                let start = out.len();
                put_string(out, &name, false, false);
                // Inside a string: without its quotes.
                out.remove(start);
                out.pop();
            }
        });
    }

    /// The number of people outside who have an account in common with `account`, and so the step between them.
    pub(crate) fn colleagues(&self) -> u64 {
        self.cast.outsiders / self.cast.accounts.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_where_it_was_put() {
        let pool = Pool::new(Cast::new(5, 10_000));
        for number in 0..pool.cast.outsiders {
            let mut json = pool.outsiders.get(number, 0).to_vec();
            json.extend_from_slice(b"participant\",\"time_spent\":1");
            json.extend_from_slice(pool.outsiders.get(number, 2));
            let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
            let person = pool.cast.outsider(number);
            assert_eq!(value["peopleai_id"], person.peopleai_id.to_string());
            assert_eq!(value["email"].as_str(), person.email.as_deref());
            assert!(value["email"].is_string() || value["phone"].is_string());
        }
        for number in 0..pool.cast.accounts {
            let value: serde_json::Value = serde_json::from_slice(pool.accounts.get(number, 0)).unwrap();
            assert_eq!(value["name"], pool.cast.account_name(number));
        }
        let lead: serde_json::Value = serde_json::from_slice(pool.leads.get(3, 0)).unwrap();
        assert!(lead["crm_id"].as_str().unwrap().starts_with("00Q"));
    }

    #[test]
    fn addresses_are_unique() {
        let cast = Cast::new(5, 100_000);
        let mut emails: Vec<String> = (0..cast.outsiders).filter_map(|n| cast.outsider(n).email).collect();
        let all = emails.len();
        emails.sort_unstable();
        emails.dedup();
        assert_eq!(emails.len(), all);
    }
}
