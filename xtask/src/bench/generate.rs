//! Seeded data for benchmarks: activities as JSON Lines and contacts as CSV, of any size, shaped like the real thing
//! (about 2.5 kB and five people an activity; people and accounts that come again and again).

use std::io::{self, Write};

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

const FIRST: &[&str] = &[
    "Avery", "Rin", "Jun", "Sol", "Mika", "Noor", "Tove", "Ines", "Kofi", "Lea", "Omar", "Pia", "Quinn",
    "Ravi", "Sena", "Uma", "Vito", "Wren", "Ximena", "Yara", "Zeno", "Bente", "Caio", "Dana",
];
const LAST: &[&str] = &[
    "Stone",
    "Okafor",
    "Abara",
    "Marchetti",
    "Lindqvist",
    "Haddad",
    "Moreau",
    "Tanaka",
    "Novak",
    "Silva",
    "Brandt",
    "Castillo",
    "Dvorak",
    "Eriksen",
    "Fontaine",
    "Gallo",
    "Hughes",
    "Ibarra",
    "Jansen",
    "Kessler",
];
const COMPANY: &[&str] = &[
    "Quillmark",
    "Larkfield",
    "Northwind",
    "Brightloom",
    "Cobaltic",
    "Dunmore",
    "Evergate",
    "Fernway",
    "Glasshill",
    "Harrow",
    "Inkwell",
    "Juniper",
];
const TITLE: &[&str] = &[
    "Account Executive",
    "Buyer",
    "Sales Development Representative",
    "VP Sales",
    "Head of Procurement",
    "Engineer",
    "Chief Financial Officer",
    "Solutions Architect",
    "Customer Success Manager",
    "Director of Operations",
];
const WORD: &[&str] = &[
    "renewal",
    "quote",
    "review",
    "pricing",
    "kickoff",
    "follow-up",
    "demo",
    "contract",
    "quarterly",
    "security",
    "onboarding",
    "roadmap",
    "budget",
    "proposal",
    "next",
    "steps",
    "call",
    "notes",
    "intro",
    "pilot",
];
const STAGE: &[&str] = &["Discovery", "Qualification", "Proposal", "Negotiation", "Closed Won"];

struct Person {
    json: String,
}

/// Writes activities until they take this many bytes. Returns how many there are.
pub(crate) fn activities(seed: u64, bytes: u64, out: &mut impl Write) -> io::Result<u64> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let internal: Vec<Person> = (0..800).map(|id| person(&mut rng, id, true)).collect();
    let external: Vec<Person> = (0..40_000).map(|id| person(&mut rng, 100_000 + id, false)).collect();
    let (mut written, mut count) = (0, 0);
    let mut line = String::new();
    while written < bytes {
        line.clear();
        activity(&mut rng, count, &internal, &external, &mut line);
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
        count += 1;
    }
    Ok(count)
}

fn person(rng: &mut SmallRng, id: u32, internal: bool) -> Person {
    let (first, last) = (FIRST.choose(rng).unwrap_or(&""), LAST.choose(rng).unwrap_or(&""));
    let company = if internal { "vendor" } else { COMPANY.choose(rng).unwrap_or(&"") }.to_lowercase();
    let title = TITLE.choose(rng).unwrap_or(&"");
    let mut json = format!(
        r#""peopleai_id":"{}","crm_id":"{}5f00000{:07}AAA","name":"{first} {last}","title":"{title}","email":"{}.{}{id}@{company}.example""#,
        9_000_000_000_u64 + u64::from(id),
        if internal { "005" } else { "003" },
        id,
        first.to_lowercase(),
        last.to_lowercase(),
    );
    if rng.random_bool(0.3) {
        json += &format!(r#","phone":"+1555{:07}""#, rng.random_range(0..10_000_000));
    }
    if internal {
        let team = rng.random_range(0..40);
        json += &format!(r#","team":{{"crm_id":"4100000{team:02}","name":"Team {team}"}}"#);
    } else {
        let matched = ["contact", "lead"].choose(rng).unwrap_or(&"");
        json += &format!(r#","matched_as":"{matched}""#);
    }
    Person { json }
}

fn instant(seconds: u64) -> String {
    let second = seconds % 60;
    let (minute, hour, day) = (seconds / 60 % 60, seconds / 3600 % 24, seconds / 86_400);
    // Months of 28 days are real days everywhere.
    let (year, month, day) = (2024 + day / 336, day % 336 / 28 + 1, day % 28 + 1);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

fn activity(rng: &mut SmallRng, number: u64, internal: &[Person], external: &[Person], line: &mut String) {
    let kind = *["email", "email", "email", "meeting", "meeting", "call"].choose(rng).unwrap_or(&"email");
    let at = number * 97 + rng.random_range(0..90);
    let subject =
        (0..rng.random_range(3..9)).map(|_| *WORD.choose(rng).unwrap_or(&"")).collect::<Vec<_>>().join(" ");
    let account = rng.random_range(0..3000);
    let company = COMPANY[account % COMPANY.len()];
    let duration = rng.random_range(1..8) * 900;
    let campaigns = if rng.random_bool(0.1) {
        let id = rng.random_range(0..60);
        format!(
            r#"{{"crm_id":"7015f0000{id:06}AA1","name":"Campaign {id}","start_date":"2026-03-01","end_date":"2026-03-31"}}"#
        )
    } else {
        String::new()
    };
    let account_json =
        format!(r#""account":{{"crm_id":"0015f00000{account:05}AAA","name":"{company} {account}""#);
    let crm = match rng.random_range(0..4) {
        0 => r#""matched_to":"none","pushed":false"#.to_owned(),
        1 => format!(
            r#""matched_to":"account","pushed":true,"push_time":"{}Z","crm_id":"00T5f000{number:07}AA1",{account_json},"parent_account_crm_id":"0015f00000{:05}AAA","parent_account_name":"{company} Group"}}"#,
            instant(at + 900),
            account / 10
        ),
        2 => format!(
            r#""matched_to":"opportunity","pushed":true,"push_time":"{}Z","crm_id":"00T5f000{number:07}AA1",{account_json}}},"opportunity":{{"crm_id":"0065f0000{:06}AAA","name":"{company} renewal {}","stage_name":"{}","stage_rank":{},{account_json}}}}}"#,
            instant(at + 900),
            rng.random_range(0..9000),
            rng.random_range(0..40),
            STAGE.choose(rng).unwrap_or(&""),
            rng.random_range(1..6)
        ),
        _ => {
            let lead = rng.random_range(0..5000);
            format!(
                r#""matched_to":"lead","pushed":false,"lead":{{"crm_id":"00Q5f00000{lead:05}AAA","name":"Lead {lead}","title":"R&D lead","phone":"+1555{lead:07}","email":"lead{lead}@larkfield.example","lead_stage":"Working"}}"#
            )
        }
    };
    *line += &format!(r#"{{"campaigns":[{campaigns}],"crm_status":{{{crm}}},"#);
    match kind {
        "email" => {
            *line += &format!(
                r#""direction":"{}","in_reply_to_source_id":"<{:016x}.{number}@mail.vendor.example>","reply_received":{},"attachment_file_names":["{} v{}.pdf"],"subject":"{subject}","#,
                if rng.random_bool(0.6) { "outbound" } else { "inbound" },
                rng.random::<u64>(),
                rng.random_bool(0.4),
                WORD.choose(rng).unwrap_or(&""),
                rng.random_range(1..9)
            );
        }
        "meeting" => {
            *line += &format!(
                r#""all_day":false,"created":"{}","duration":{duration},"start_time":"{}","end_time":"{}","location":"Room {} / video","status":"confirmed","summary":"{subject}","#,
                instant(at.saturating_sub(90_000)),
                instant(at),
                instant(at + duration),
                rng.random_range(1..40)
            );
        }
        _ => {
            *line += &format!(
                r#""direction":"outbound","duration":{duration},"outbound_phone_number":"+1555{:07}","summary":"{subject}","#,
                rng.random_range(0..10_000_000)
            );
        }
    }
    *line += &format!(r#""ingest_timestamp":"{}","participants":["#, instant(at + rng.random_range(30..600)));
    let people = rng.random_range(2..9);
    let inside = rng.random_range(1..=people.min(3));
    for place in 0..people {
        let is_internal = place < inside;
        let person = if is_internal { internal.choose(rng) } else { external.choose(rng) };
        let status = if kind == "meeting" {
            [r#""status":"accepted","#, r#""status":"tentative","#, r#""status":"declined","#]
                .choose(rng)
                .unwrap_or(&"")
        } else {
            ""
        };
        *line += &format!(
            r#"{}{{"role":"{}","type":"{}","time_spent":{},{status}{}}}"#,
            if place == 0 { "" } else { "," },
            if place == 0 { "originator" } else { "participant" },
            if is_internal { "internal" } else { "external" },
            rng.random_range(1..60) * 60,
            person.map_or("", |person| person.json.as_str())
        );
    }
    let outside = people - inside;
    *line += &format!(
        r#"],"source_id":"<{:032x}@{kind}.vendor.example>","stats":{{"total_participants":{people},"internal_participants":{inside},"external_participants":{outside},"contacts_participants":{}"#,
        rng.random::<u128>(),
        outside / 2
    );
    *line += &match kind {
        "email" => {
            format!(r#","participants_on_to_line":{outside},"participants_on_cc_line":{}"#, inside - 1)
        }
        "meeting" => format!(
            r#","accepted_participants":{inside},"declined_participants":0,"tentative_participants":{outside}"#
        ),
        _ => String::new(),
    };
    *line += &format!(
        "}},\"tags\":[\"{kind}\"{}],\"timestamp\":\"{}\",\"uid\":\"{:08x}-{:04x}-4{:03x}-{:016x}\",\"type\":\"{kind}\"}}\n",
        if kind == "call" { ",\"logged_call\"" } else { "" },
        instant(at),
        rng.random::<u32>(),
        rng.random::<u16>(),
        rng.random_range(0..4096),
        rng.random::<u64>()
    );
}

/// Writes contacts until they take this many bytes. Returns how many there are.
pub(crate) fn contacts(seed: u64, bytes: u64, out: &mut impl Write) -> io::Result<u64> {
    let mut rng = SmallRng::seed_from_u64(seed);
    out.write_all(
        b"first_name,last_name,email,phone,job_title,department,seniority,country,state,account_name,account_type,\
          account_domain,account_crm_id,source_peopleai_id,response_activity_id,source_email,from_cc,total_inbound,\
          total_inbound_30d,total_outbound,total_outbound_30d,total_meetings,total_meetings_30d,total_time_spent,\
          total_time_spent_30d\n",
    )?;
    let (mut written, mut count) = (0, 0);
    while written < bytes {
        let (first, last) = (FIRST.choose(&mut rng).unwrap_or(&""), LAST.choose(&mut rng).unwrap_or(&""));
        let account = rng.random_range(0..3000);
        let company = COMPANY[account % COMPANY.len()];
        let title = TITLE.choose(&mut rng).unwrap_or(&"");
        let title =
            if rng.random_bool(0.1) { format!("\"{title}, {}\"", "EMEA") } else { (*title).to_owned() };
        let total = rng.random_range(0..500);
        let row = format!(
            "{first},{last},{}.{}{count}@{}.example,+1555{:07},{title},Sales,{},United States,{},{company} {account},Customer,{},0015f00000{account:05}AAA,{},msg-{:x},{}@vendor.example,{},{total},{},{},{},{},{},{},{}\n",
            first.to_lowercase(),
            last.to_lowercase(),
            company.to_lowercase(),
            rng.random_range(0..10_000_000),
            ["Director", "Manager", "VP", ""].choose(&mut rng).unwrap_or(&""),
            ["New York", "Texas", "", "Ohio"].choose(&mut rng).unwrap_or(&""),
            company.to_lowercase(),
            9_000_000_000_u64 + rng.random_range(0..800),
            rng.random::<u64>(),
            LAST.choose(&mut rng).unwrap_or(&"").to_lowercase(),
            rng.random_bool(0.2),
            total / 12,
            total + 3,
            total / 10,
            total / 9,
            total / 40,
            total * 300,
            total * 25,
        );
        out.write_all(row.as_bytes())?;
        written += row.len() as u64;
        count += 1;
    }
    Ok(count)
}
