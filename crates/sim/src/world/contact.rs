//! Writes one contact as it stands at a moment: every column of contract (d.3) and two that are not documented.
//!
//! Rolling columns move from day to day, and some people change their address or their title. A contact has the number
//! of somebody outside the organisation, so the same person also appears as a participant.

use super::World;
use super::activity::Form;
use super::calendar::{Day, SECONDS_A_DAY, Second, day_at, start_of};
use super::chance::{Draws, keyed, scale};
use super::people::Outsider;
use super::sink::{Sink, put_string};
use super::words;

/// Which contacts a request asks for, contract (d.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContactFilter {
    /// Add contacts that are not matched to an account or opportunity.
    pub(crate) historical: bool,
    /// Add contacts that exist in the CRM.
    pub(crate) existing: bool,
    /// Only contacts that Backstory created, and candidates.
    pub(crate) sourced_only: bool,
    pub(crate) country: Option<String>,
    pub(crate) state: Option<String>,
}

impl ContactFilter {
    /// Every contact there is.
    pub(crate) fn all() -> Self {
        Self { historical: true, existing: true, ..Self::default() }
    }
}

/// How contacts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContactForm {
    Csv {
        /// Row j.38: `True` and `False`.
        title_booleans: bool,
    },
    Json(Form),
}

/// The columns, in the order of the documentation; the last two are not documented.
pub(crate) const COLUMNS: [&str; 27] = [
    "first_name",
    "last_name",
    "email",
    "phone",
    "job_title",
    "department",
    "seniority",
    "country",
    "state",
    "account_name",
    "account_type",
    "account_domain",
    "account_crm_id",
    "source_peopleai_id",
    "response_activity_id",
    "source_email",
    "from_cc",
    "total_inbound",
    "total_inbound_30d",
    "total_outbound",
    "total_outbound_30d",
    "total_meetings",
    "total_meetings_30d",
    "total_time_spent",
    "total_time_spent_30d",
    "buying_role",
    "time_zone",
];

/// A column's value; no value is an empty cell or an absent key.
enum Value {
    None,
    Text(String),
    Word(&'static str),
    Flag(bool),
    Count(u64),
}

/// What decides whether a contact is asked for.
struct Traits {
    matched: bool,
    existing: bool,
    sourced: bool,
}

impl World {
    /// When a contact came to be.
    pub(crate) fn contact_created(&self, day: Day, number: u32) -> Second {
        let bits = keyed(self.seed, 0xc0de, u64::from(day as u32), u64::from(number));
        start_of(day) + scale(bits, SECONDS_A_DAY as u64) as Second
    }

    /// Whether the filter lets the contact through.
    pub(crate) fn is_contact_wanted(&self, day: Day, number: u32, filter: &ContactFilter) -> bool {
        let person = self.contact_timeline.ordinal(day, number);
        let traits = self.contact_traits(person);
        if (!traits.matched && !filter.historical)
            || (traits.existing && !filter.existing)
            || (!traits.sourced && filter.sourced_only)
        {
            return false;
        }
        if filter.country.is_none() && filter.state.is_none() {
            return true;
        }
        let outsider = self.pool.cast.outsider(person);
        let is = |wanted: &Option<String>, value: Option<&str>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| value.is_some_and(|value| value.eq_ignore_ascii_case(wanted)))
        };
        is(&filter.country, Some(words::COUNTRIES[outsider.country].0))
            && is(&filter.state, state_of(&outsider, person))
    }

    fn contact_traits(&self, person: u64) -> Traits {
        let mut draws = Draws::new(keyed(self.seed, 0xc07a, person, 0));
        let (matched, existing, sourced) = (draws.chance(800), draws.chance(600), draws.chance(250));
        // What is not in the CRM is a candidate that Backstory generated.
        Traits { matched, existing, sourced: sourced || !existing }
    }

    /// Writes a contact as it stands at the second `at`, without a line end.
    pub(crate) fn put_contact(
        &self,
        out: &mut impl Sink,
        day: Day,
        number: u32,
        at: Second,
        form: ContactForm,
    ) {
        let values = self.contact_values(day, number, at);
        match form {
            ContactForm::Csv { title_booleans } => {
                for (column, value) in values.iter().enumerate() {
                    if column > 0 {
                        out.put(b",");
                    }
                    put_cell(out, value, title_booleans);
                }
            }
            ContactForm::Json(form) => {
                let wire = matches!(form, Form::Wire { .. });
                let mut order: Vec<usize> = (0..COLUMNS.len()).collect();
                if !wire {
                    order.sort_unstable_by_key(|&column| COLUMNS[column]);
                }
                let mut first = true;
                out.put(b"{");
                for column in order {
                    if matches!(values[column], Value::None) {
                        continue;
                    }
                    out.text(if first { "\"" } else { ",\"" });
                    first = false;
                    out.text(COLUMNS[column]);
                    out.text("\":");
                    put_json(out, &values[column], wire);
                }
                out.put(b"}");
            }
        }
    }

    fn contact_values(&self, day: Day, number: u32, at: Second) -> [Value; COLUMNS.len()] {
        let person = self.contact_timeline.ordinal(day, number);
        let created = self.contact_created(day, number);
        let outsider = self.pool.cast.outsider(person);
        let traits = self.contact_traits(person);
        let cast = self.pool.cast;
        let mut draws = Draws::new(keyed(self.seed, 0xc011, person, 0));
        let today = day_at(at);
        let source = draws.below(cast.insiders);
        let response = draws.chance(550).then(|| draws.next());
        // Days after which the address or the title changes, for the few for whom it does.
        let address_changes = draws.chance(60).then(|| 60 + draws.below(500) as Day);
        let title_changes = draws.chance(120).then(|| 30 + draws.below(700) as Day);
        let changed = |after: Option<Day>| after.is_some_and(|after| today >= day + after);
        let title = if changed(title_changes) {
            draws.pick(words::EXTERNAL_TITLES)
        } else {
            draws.next();
            outsider.title
        };
        let email = outsider
            .email
            .as_ref()
            .map(|email| if changed(address_changes) { format!("new.{email}") } else { email.clone() });
        // A total grows by so many thousandths a day from the day of creation, so the 30-day figure follows from it.
        let start = day_at(created);
        let mut rolling = |most: u64, each: u64| {
            let pace = 5 + draws.below(most);
            let phase = draws.below(1_000);
            let total = move |day: Day| {
                let age = u64::try_from(day - start).unwrap_or(0);
                (age * pace + phase) / 1_000
            };
            (total(today) * each, (total(today) - total(today - 30)) * each)
        };
        let inbound = rolling(260, 1);
        let outbound = rolling(330, 1);
        let meetings = rolling(60, 1);
        let spent = (
            inbound.0 * 90 + outbound.0 * 60 + meetings.0 * 1_800,
            inbound.1 * 90 + outbound.1 * 60 + meetings.1 * 1_800,
        );
        let account = |value: fn(&super::people::Cast, u64) -> Value| {
            if traits.matched { value(&cast, outsider.account) } else { Value::None }
        };
        [
            Value::Word(outsider.given),
            Value::Word(outsider.family),
            email.map_or(Value::None, Value::Text),
            outsider.phone.clone().map_or(Value::None, Value::Text),
            Value::Word(title.0),
            Value::Word(title.1),
            Value::Word(title.2),
            Value::Word(words::COUNTRIES[outsider.country].0),
            state_of(&outsider, person).map_or(Value::None, Value::Word),
            account(|cast, account| Value::Text(cast.account_name(account))),
            account(|cast, account| Value::Word(cast.account_type(account))),
            account(|cast, account| Value::Text(cast.account_domain(account))),
            account(|cast, account| Value::Text(crm_id("001", cast.account_crm_id(account)))),
            Value::Text(cast.insider(source).peopleai_id.to_string()),
            response.map_or(Value::None, |id| Value::Text(format!("msg-{id:016x}@mail.example.com"))),
            Value::Text(cast.insider(source).email),
            Value::Flag(person % 9 == 4),
            Value::Count(inbound.0),
            Value::Count(inbound.1),
            Value::Count(outbound.0),
            Value::Count(outbound.1),
            Value::Count(meetings.0),
            Value::Count(meetings.1),
            Value::Count(spent.0),
            Value::Count(spent.1),
            match person % 6 {
                0 => Value::Word("Decision Maker"),
                1 => Value::Word("Influencer, \"technical\""),
                _ => Value::None,
            },
            Value::Word(words::COUNTRIES[outsider.country].2),
        ]
    }
}

fn state_of(outsider: &Outsider, person: u64) -> Option<&'static str> {
    // Derived for the United States only (contract (d.3)).
    (outsider.country == 0).then(|| words::STATES[(person % words::STATES.len() as u64) as usize])
}

fn crm_id(prefix: &str, value: u64) -> String {
    let mut id = Vec::with_capacity(18);
    id.crm_id(prefix, value);
    id.into_iter().map(char::from).collect()
}

fn put_json(out: &mut impl Sink, value: &Value, wire: bool) {
    match value {
        Value::None => out.text("null"),
        Value::Text(text) => put_string(out, text, wire, false),
        Value::Word(text) => put_string(out, text, wire, false),
        Value::Flag(flag) => out.text(if *flag { "true" } else { "false" }),
        Value::Count(count) => out.number(*count),
    }
}

/// One cell by RFC 4180: quoted where it has to be (row j.38).
fn put_cell(out: &mut impl Sink, value: &Value, title_booleans: bool) {
    let text = match value {
        Value::None => return,
        Value::Text(text) => text.as_str(),
        Value::Word(text) => text,
        Value::Flag(flag) => {
            return out.text(match (flag, title_booleans) {
                (true, false) => "true",
                (false, false) => "false",
                (true, true) => "True",
                (false, true) => "False",
            });
        }
        Value::Count(count) => return out.number(*count),
    };
    if !text.contains([',', '"', '\n', '\r']) {
        return out.text(text);
    }
    out.put(b"\"");
    for (number, piece) in text.split('"').enumerate() {
        if number > 0 {
            out.text("\"\"");
        }
        out.text(piece);
    }
    out.put(b"\"");
}
