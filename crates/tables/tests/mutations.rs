//! Whatever the bytes are, a conversion ends in rows, bad rows or an error: never in a panic, and the same way for every
//! output, on any number of threads. The fuzz target in `fuzz` tries the same with bytes of its own making.

mod checks;

use backstory_tables::{Resource, SourceFormat};
use checks::{Way, check};
use proptest::prelude::*;

const ACTIVITIES: &str = include_str!("examples/activities.jsonl");
const CONTACTS: &str = "first_name,last_name,email,phone,from_cc,total_inbound,account_crm_id,shoe_size\n\
     Rin,Okafor,rin@quillmark.example,,true,12,001,\"4,3\"\r\n\"S\"\"ol\",Marchetti,,+15550100123,False,,,\n";
const CONTACTS_JSON: &str = r#"{"data":[{"email":"a@x.example","total_inbound":7,"x":[{"y":1}]}, {"phone":"+1555","from_cc":null}],"total":2}"#;

/// The text with some bytes overwritten, put in or taken out.
fn mutated(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(b"\"\\{}[],:\n\r \0tfn0-.eu\xff\xc3\xef\xbb\xbf".to_vec()),
        any::<u8>()
    ];
    let mutation = (any::<prop::sample::Index>(), 0..3_u8, byte);
    prop::collection::vec(mutation, 0..6).prop_map(move |mutations| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, kind, byte) in mutations {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

fn way() -> impl Strategy<Value = Way> {
    (1..4_usize, 1..3_000_usize).prop_map(|(threads, piece)| Way { threads, piece })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn of_activities(export in mutated(ACTIVITIES), way in way()) {
        check(Resource::Activities, SourceFormat::JsonLines, &export, way);
    }

    #[test]
    fn of_contacts_as_csv(export in mutated(CONTACTS), way in way()) {
        check(Resource::Contacts, SourceFormat::Csv, &export, way);
    }

    #[test]
    fn of_contacts_as_json(export in mutated(CONTACTS_JSON), way in way()) {
        check(Resource::Contacts, SourceFormat::Json, &export, way);
    }
}
