//! Bytes that look like exports, and what mutations make of them: they are decoded in one way only, however they arrive.
//! The fuzz targets in `fuzz` try the same with bytes of their own making.
#![allow(unreachable_pub)]

mod checks;

use checks::{check_activities, check_csv_contacts, check_json_contacts};
use proptest::prelude::*;

const ACTIVITIES: &str = include_str!("../../tables/tests/examples/activities.jsonl");
const ODD_ACTIVITIES: &str = concat!(
    r#"{"stats":{"total_participants":"2","x":1e3},"uid":"\u00e9\ud83d\ude00","duration":99999999999999999999,"uid":"b"}"#,
    "\r\n\n",
    r#"{"participants":[null,{"name":"n","team":{"name":7}},{}],"tags":["a",null,"\ud800"],"attachment_file_names":"x","new":[{"y": 1.50}]}"#,
    "\n",
    r#" {"crm_status":{"pushed":1,"account":{"name":null},"contact":{"crm_id":"3"}},"campaigns":[7],"subject":"\u0000"}"#,
);
const CONTACTS: &str = "\u{feff}first_name,last_name,email,from_cc,total_inbound,shoe_size\r\n\
     Rin,Okafor,rin@quillmark.example,true,12,\"4,3\"\r\n\n\"S\"\"ol\",\"Mar\nchetti\",,False,,\r\nplain,row,a,t,1,2\n";
const JSON_CONTACTS: &str = r#"{"meta":[1],"data":[{"email":"a@x.example","total_inbound":7,"x":[{"y":"]\""}]}, {"phone":"+1555","from_cc":null}],"total":2}"#;

/// The text with some bytes overwritten, put in or taken out.
fn mutated(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(b"\"\\{}[],:\n\r \0tfn0-.eu\xff\xc3\xef\xbb\xbf".to_vec()),
        any::<u8>()
    ];
    let mutation = (any::<prop::sample::Index>(), 0..4_u8, byte);
    prop::collection::vec(mutation, 0..6).prop_map(move |mutations| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, kind, byte) in mutations {
            let at = at.index(bytes.len().max(1));
            match kind {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(bytes.len() - at / 4),
            }
        }
        bytes
    })
}

fn sizes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1..60_u8, 0..8)
}

fn bound() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(1 << 20), 1 => 0..400_usize]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn activities(
        export in prop_oneof![mutated(ACTIVITIES), mutated(ODD_ACTIVITIES)], sizes in sizes(), bound in bound(),
    ) {
        check_activities(&export, &sizes, bound);
    }

    #[test]
    fn contacts_as_csv(export in mutated(CONTACTS), sizes in sizes(), bound in bound()) {
        check_csv_contacts(&export, &sizes, bound);
    }

    #[test]
    fn contacts_as_json(export in mutated(JSON_CONTACTS), sizes in sizes(), bound in bound()) {
        check_json_contacts(&export, &sizes, bound);
    }
}
