//! What a contacts export becomes, as CSV and as JSON.

use backstory_formats::{Contact, ContactRow, ContactsCsv, ContactsJson, ErrorKind, Position};
use proptest::prelude::*;

type Decoded = (Position, bool, Vec<u8>, Result<Contact<'static>, (ErrorKind, String)>, u64);

fn own(row: &ContactRow<'_>) -> Decoded {
    let contact = row.contact().map(Contact::into_owned).map_err(|e| (e.kind(), e.to_string()));
    (row.position(), row.is_terminated(), row.raw().to_vec(), contact, row.end())
}

fn csv_chunks<'c>(mut csv: ContactsCsv, chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<Decoded> {
    let mut decoded = Vec::new();
    for chunk in chunks {
        let mut rows = csv.feed(chunk);
        while let Some(row) = rows.next() {
            decoded.push(own(&row));
        }
    }
    decoded.extend(csv.finish().as_ref().map(own));
    decoded
}

fn csv(export: &[u8]) -> Vec<Decoded> {
    csv_chunks(ContactsCsv::new(), [export])
}

fn json_chunks<'c>(mut json: ContactsJson, chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<Decoded> {
    let mut decoded = Vec::new();
    for chunk in chunks {
        let mut rows = json.feed(chunk);
        while let Some(row) = rows.next() {
            decoded.push(own(&row));
        }
    }
    decoded.extend(json.finish().as_ref().map(own));
    decoded
}

fn json(export: &str) -> Vec<Decoded> {
    json_chunks(ContactsJson::new(), [export.as_bytes()])
}

fn emails(rows: &[Decoded]) -> Vec<Option<&str>> {
    rows.iter().map(|row| row.3.as_ref().unwrap().email.as_deref()).collect()
}

#[test]
fn columns_are_found_by_name_and_unknown_ones_are_kept() {
    let rows = csv(
        b"\xef\xbb\xbfshoe_size,email,from_cc,Total Inbound\r\n43,a@x.example,True,7\r\n,b@x.example,,\r\n",
    );
    assert_eq!(emails(&rows), [Some("a@x.example"), Some("b@x.example")]);
    let first = rows[0].3.as_ref().unwrap();
    assert_eq!(
        (first.from_cc, first.total_inbound, first.extra.get("shoe_size")),
        (Some(true), Some(7), Some("\"43\""))
    );
    let second = rows[1].3.as_ref().unwrap();
    assert_eq!((second.from_cc, second.total_inbound, second.extra.len()), (None, None, 0));
    assert_eq!(rows[1].0, Position { record: 2, line: 3, byte: 65 });
}

#[test]
fn quoted_cells_hold_commas_quotes_and_newlines() {
    let rows = csv(b"email,job_title\n\"a@x.example\",\"Head, \"\"R&D\"\"\r\nand more\"\nb@x.example,\n");
    assert_eq!(rows[0].3.as_ref().unwrap().job_title.as_deref(), Some("Head, \"R&D\"\r\nand more"));
    assert_eq!(rows[0].2, b"\"a@x.example\",\"Head, \"\"R&D\"\"\r\nand more\"");
    assert_eq!((rows[1].0.line, rows[1].0.byte), (4, 56));
}

#[test]
fn of_columns_of_one_name_the_last_cell_with_something_in_it_counts_and_the_others_are_kept() {
    for (export, email, extra) in [
        ("email,email\na@b.c,\n", "a@b.c", &[][..]),
        ("email,email\n,a@b.c\n", "a@b.c", &[]),
        ("email,phone,Email\na,,a\n", "a", &[]),
        ("email,phone,Email\na,,b\n", "b", &[("email (column 1)", "\"a\"")]),
        ("email,email,email\na,b,a\n", "a", &[("email (column 2)", "\"b\"")]),
        ("email,email\na, \n", "a", &[("email (column 2)", "\" \"")]),
        ("email,first_name,,\na,,1,2\n", "a", &[("(column 3)", "\"1\""), ("", "\"2\"")]),
        ("email,,\na,1,\n", "a", &[("", "\"1\"")]),
        (
            "email,total_inbound,x,total_inbound\na,5,6,?\n",
            "a",
            &[("total_inbound (column 2)", "\"5\""), ("x", "\"6\""), ("total_inbound", "\"?\"")],
        ),
        // A name that is taken already.
        (
            "x,x,x (column 1),email\n1,2,3,a\n",
            "a",
            &[("x (column 1) (column 1)", "\"1\""), ("x", "\"2\""), ("x (column 1)", "\"3\"")],
        ),
    ] {
        let rows = csv(export.as_bytes());
        let contact = rows[0].3.as_ref().unwrap();
        assert_eq!(contact.email.as_deref(), Some(email), "{export}");
        assert_eq!(contact.extra.iter().collect::<Vec<_>>(), extra, "{export}");
        assert_eq!(rows, csv_chunks(ContactsCsv::new(), export.as_bytes().chunks(1)));
    }
    let rows = csv(b"email,total_inbound,total_inbound\na,5, \n");
    assert_eq!(rows[0].3.as_ref().unwrap().total_inbound, Some(5));
}

#[test]
fn very_many_unknown_columns_are_read_in_one_pass() {
    let header: String = (0..16_000).map(|column| format!(",c{column}")).collect();
    let row = ",x".repeat(16_000);
    let rows = csv(format!("email{header}\n{}", format!("a{row}\n").repeat(40)).as_bytes());
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row.3.as_ref().unwrap().extra.len() == 16_000));
    // Of which all have the same name.
    let cells: String = (0..16_000).map(|cell| format!(",{cell}")).collect();
    let same = csv(format!("email{}\n{}", ",x".repeat(16_000), format!("a{cells}\n").repeat(40)).as_bytes());
    assert!(same.iter().all(|row| row.3.as_ref().unwrap().extra.len() == 16_000));
}

#[test]
fn booleans_are_read_loosely_and_what_is_none_stays_in_extra() {
    for (cell, expected) in
        [("true", Some(true)), ("FALSE", Some(false)), ("t", Some(true)), ("0", Some(false)), ("maybe", None)]
    {
        let rows = csv(format!("email,from_cc\na,{cell}\n").as_bytes());
        let contact = rows[0].3.as_ref().unwrap();
        assert_eq!(contact.from_cc, expected, "{cell}");
        assert_eq!(contact.extra.get("from_cc"), if expected.is_none() { Some("\"maybe\"") } else { None });
    }
}

#[test]
fn a_repeated_header_is_dropped_and_a_missing_one_can_be_given() {
    let rows = csv(b"email,phone\na,1\nemail,phone\nb,2\n");
    assert_eq!(emails(&rows), [Some("a"), Some("b")]);
    assert_eq!(rows[1].0.record, 2);

    let mut first = ContactsCsv::new();
    assert!(first.feed(b"email,phone\n").next().is_none());
    let header = first.header().unwrap();
    for later in [&b"c,3\n"[..], b"email,phone\nc,3\n"] {
        let rows = csv_chunks(ContactsCsv::new().with_header(header.clone()), [later]);
        assert_eq!(emails(&rows), [Some("c")]);
    }
}

#[test]
fn rows_of_the_wrong_width_are_refused_and_their_neighbours_are_not() {
    let rows = csv(b"email,phone\na\nb,2,3\nc,4\n");
    let kinds: Vec<_> = rows.iter().map(|row| row.3.as_ref().map_err(|e| e.0).map(|_| ()).err()).collect();
    assert_eq!(kinds, [Some(ErrorKind::RaggedRow), Some(ErrorKind::RaggedRow), None]);
    assert!(rows[1].3.as_ref().unwrap_err().1.starts_with("record 2, line 3, byte 14: "));
}

#[test]
fn a_first_row_without_any_known_column_is_not_a_header() {
    for export in ["<html>\n<body>\n", "{\"error\":\"NotFoundException\"}", "a,b\n1,2\n"] {
        assert_eq!(csv(export.as_bytes())[0].3.as_ref().unwrap_err().0, ErrorKind::NotARecord);
    }
}

#[test]
fn an_unterminated_last_row_is_accepted_when_it_is_whole_and_refused_when_it_is_cut() {
    assert_eq!(emails(&csv(b"email,phone\na,1")), [Some("a")]);
    assert!(csv(b"email,phone").is_empty());
    assert!(csv(b"").is_empty());
    for export in ["email,phone\nb", "email,phone\nb,\"1", "email,pho"] {
        let rows = csv(export.as_bytes());
        assert_eq!(rows.last().unwrap().3.as_ref().unwrap_err().0, ErrorKind::Unterminated, "{export}");
    }
}

#[test]
fn an_overlong_row_is_an_error_and_not_an_allocation() {
    let long =
        [b"email,phone\n\"", &[b'x'; 100_000][..], b"\",\nb,2\n", &[b','; 100_000][..], b"\nc,3\n"].concat();
    for size in [1, 100, 1 << 20] {
        let rows = csv_chunks(ContactsCsv::new().with_max_row_bytes(50_000), long.chunks(size));
        let kinds: Vec<_> =
            rows.iter().map(|row| row.3.as_ref().map_err(|e| e.0).map(|_| ()).err()).collect();
        assert_eq!(kinds, [Some(ErrorKind::TooLong), None, Some(ErrorKind::TooLong), None]);
    }
    let wide = [b"email,phone\n", &[b','; 40_000][..], b"\n"].concat();
    assert!(csv(&wide)[0].3.as_ref().unwrap_err().1.ends_with("the row has 40001 cells, the header has 2"));
}

#[test]
fn invalid_utf8_is_refused_even_where_two_cells_would_make_a_character() {
    assert_eq!(csv(b"email,phone\n\xff,1\n")[0].3.as_ref().unwrap_err().0, ErrorKind::InvalidUtf8);
    assert_eq!(csv(b"email,phone\n\xc3,\xa9\n")[0].3.as_ref().unwrap_err().0, ErrorKind::InvalidUtf8);
}

#[test]
fn every_likely_wrapping_of_json_contacts_gives_the_same_contacts() {
    for export in [
        r#"[{"email":"a"},{"email":"b","x":[{"y":"]"}]}]"#,
        "\u{feff}[\n {\"email\":\"a\"},\n {\"email\":\"b\",\"x\":[{\"y\":\"]\"}]}\n]\n",
        r#"{"meta":{"n":[2]},"data":[{"email":"a"},{"email":"b","x":[{"y":"]"}]}],"total":2}"#,
        "{\"email\":\"a\"}\n{\"email\":\"b\",\"x\":[{\"y\":\"]\"}]}\n",
        "[{\"email\":\"a\"}]\n[{\"email\":\"b\",\"x\":[{\"y\":\"]\"}]}]",
    ] {
        let rows = json(export);
        assert_eq!(emails(&rows), [Some("a"), Some("b")], "{export}");
        assert_eq!(rows[1].3.as_ref().unwrap().extra.get("x"), Some(r#"[{"y":"]"}]"#));
        assert_eq!(rows[1].2, br#"{"email":"b","x":[{"y":"]"}]}"#);
    }
}

#[test]
fn an_object_with_a_field_of_a_contact_is_a_contact_whatever_lists_it_holds() {
    let (accounts, email) = (r#""accounts":[{"country":"US"}]"#, r#""email":"a""#);
    for (first, second) in [(accounts, email), (email, accounts)] {
        let contact = format!("{{{first},{second},\"x\":[[{{}}]],\"y\":[{{\"phone\":\"1\"}}]}}");
        for export in [contact.clone(), format!("{contact}\n{contact}\n"), format!("[{contact},{contact}]")] {
            for row in json(&export) {
                let contact = row.3.unwrap();
                assert_eq!(
                    (contact.email.as_deref(), contact.country.as_deref()),
                    (Some("a"), None),
                    "{export}"
                );
                assert_eq!(contact.extra.get("accounts"), Some(r#"[{"country":"US"}]"#));
                assert_eq!(contact.extra.len(), 3);
            }
        }
    }
    // Neither what stands in a text or further inside, nor a value, is a field of it.
    let around = r#"{"x":"email","m":{"email":"n"},"y":"\"email\":","data":[{"email":"a"}],"z":["phone"]}"#;
    assert_eq!(emails(&json(around)), [Some("a")]);
    // A key may be written with escapes.
    let escaped = json(r#"{"x":[{"country":"US"}],"\u0065mail":"a"}"#);
    assert_eq!(emails(&escaped), [Some("a")]);
    // Behind a contact that stands by itself, no object is around others.
    let lines = json(
        "{\"email\":\"a\"}\n{\"id\":7,\"accounts\":[{\"country\":\"US\"}]}\n{\"id\":8,\"accounts\":[]}\n",
    );
    let kinds: Vec<_> = lines.iter().map(|row| row.3.as_ref().err().map(|error| error.0)).collect();
    assert_eq!(kinds, [None, Some(ErrorKind::NotARecord), Some(ErrorKind::NotARecord)]);
    // What isn't JSON isn't taken for a list of contacts either.
    let broken = json(r#"{"x":[{"country":"US"}],"email":"a" "phone"}"#);
    assert_eq!((broken.len(), broken[0].3.as_ref().unwrap_err().0), (1, ErrorKind::InvalidJson));
}

#[test]
fn an_object_around_two_lists_of_objects_is_refused() {
    for export in [
        r#"{"data":[{"email":"a"}],"more":[{"email":"b"}]}"#,
        r#"{"data":[{"email":"a"}],"none":[],"more":[null,{"email":"b"}]}"#,
    ] {
        let rows = json(export);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].2, export.as_bytes());
        assert_eq!(rows[0].3.as_ref().unwrap_err().0, ErrorKind::NotARecord);
    }
}

#[test]
fn what_belies_a_long_list_of_contacts_is_a_bad_row_of_its_own() {
    // Too long to be looked at whole before its list is read.
    let list = vec![r#"{"country":"US"}"#; 100].join(",");
    for (tail, is_bad) in [
        (r#","total":100,"meta":{"email":"m","x":[{"email":"n"}]}}"#, false),
        (r#","total":100,"email":"a"}"#, true),
        (r#","more":[{"email":"b"}]}"#, true),
    ] {
        let export = format!("{{\"data\":[{list}]{tail}{{\"email\":\"next\"}}");
        for size in [1, 50, 10_000] {
            let mut rows =
                json_chunks(ContactsJson::new().with_max_row_bytes(200), export.as_bytes().chunks(size));
            assert_eq!(rows.pop().unwrap().3.unwrap().email.as_deref(), Some("next"));
            if is_bad {
                let (position, _, raw, contact, end) = rows.pop().unwrap();
                let start = export.len() - tail.len() - r#"{"email":"next"}"#.len();
                assert_eq!((position.record, position.byte), (101, start as u64));
                assert_eq!((&raw[..], end), (tail.as_bytes(), (start + tail.len()) as u64));
                let (kind, message) = contact.unwrap_err();
                assert_eq!(kind, ErrorKind::NotARecord);
                assert!(message.contains("behind its list of contacts"), "{message}");
            }
            assert_eq!(rows.len(), 100);
            assert!(rows.iter().all(|row| row.3.as_ref().unwrap().country.as_deref() == Some("US")));
        }
    }
}

#[test]
fn a_list_of_contacts_that_goes_through_fragments_gives_each_its_own() {
    let mut json = ContactsJson::new();
    assert!(json.feed(b"{\"data\":[{\"email\":\"a\"},").next().is_none());
    json.end_fragment();
    assert_eq!(json.feed(b"").next().unwrap().contact().unwrap().email.as_deref(), Some("a"));
    assert_eq!(json.feed(b"{\"email\":\"b\"}").next().unwrap().position().byte, 23);
    assert!(json.feed(b"]}").next().is_none());
    assert!(json.finish().is_none());
    // Where no object is open there is nothing to be said.
    json.end_fragment();
    assert!(json.feed(b"{\"email\":\"c\"}").next().is_some());
}

#[test]
fn an_empty_json_export_has_no_contacts() {
    for export in ["", "[]", " [ ] \n", "{\"data\":[]}", "{\"data\":[ ],\"total\":0}"] {
        assert!(json(export).is_empty(), "{export}");
    }
}

#[test]
fn a_cut_json_export_is_refused_wherever_it_was_cut() {
    let whole = r#"{"data":[{"email":"é","total_inbound":1},{"email":"b"}],"total":2}"#;
    for end in (1..whole.len()).filter(|&end| whole.is_char_boundary(end)) {
        let rows = json(&whole[..end]);
        let last = rows.last().unwrap().3.as_ref();
        assert_eq!(last.unwrap_err().0, ErrorKind::Unterminated, "{}", &whole[..end]);
    }
}

#[test]
fn an_overlong_record_with_lists_is_one_bad_row_however_it_arrives() {
    let export =
        format!("{{\"x\":\"{}\",\"y\":[],\"z\":[{{\"email\":\"a\"}}]}}\n{{\"email\":\"b\"}}", "x".repeat(50));
    for size in [1, 7, 1_000] {
        let rows = json_chunks(ContactsJson::new().with_max_row_bytes(40), export.as_bytes().chunks(size));
        let kinds: Vec<_> =
            rows.iter().map(|row| row.3.as_ref().map_err(|e| e.0).map(|_| ()).err()).collect();
        assert_eq!(kinds, [Some(ErrorKind::TooLong), None], "{size}");
    }
}

#[test]
fn a_contact_with_many_lists_is_read_in_one_pass() {
    // Looked at anew for each of its lists, this one would take hours.
    let lists = ",\"x\":[{}]".repeat(200_000);
    let rows = json(&format!("{{\"email\":\"a\"{lists}}}"));
    assert_eq!(emails(&rows), [Some("a")]);
}

#[test]
fn only_what_json_takes_for_white_space_may_stand_around_a_record() {
    assert_eq!(json(" \t\r\n{\"email\":\"a\"} \t\r\n").len(), 1);
    for export in ["\u{c}{\"email\":\"a\"}", "[{\"email\":\"a\"},\u{c}]", "[\u{c}{\"email\":\"a\"}]"] {
        assert!(json(export).iter().any(|row| row.3.is_err()), "{export:?}");
    }
}

#[test]
fn a_refusal_or_a_page_of_html_is_not_a_contact() {
    for export in [
        "{\"error\":\"NotFoundException\",\"message\":\"HTTP 404 Not Found\"}",
        "<html>\n<a href=\"x\">",
        "<html>",
    ] {
        let error = json(export)[0].3.as_ref().unwrap_err().clone();
        assert_eq!(error.0, ErrorKind::NotARecord, "{export}");
    }
    assert_eq!(json("[1,{\"email\":\"a\"}]")[0].3.as_ref().unwrap_err().0, ErrorKind::InvalidJson);
}

/// Cuts bytes into pieces whose sizes repeat.
fn cut<'b>(mut rest: &'b [u8], sizes: &[usize]) -> Vec<&'b [u8]> {
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, behind) = rest.split_at(rest.len().min(*size));
        chunks.push(chunk);
        rest = behind;
    }
    chunks
}

/// Rows of three cells, as they are nearly always, between such as they seldom are.
fn rows() -> impl Strategy<Value = String> {
    let row = prop_oneof![
        6 => "([a-zé]{0,40}|\"[a-zé,\n]{0,9}\"),([0-9]{0,9}|\"[0-9]{0,3}\"),[a-z]{0,70}(\r)?\n",
        1 => "([a-z\"é]{0,4},?){0,4}\n{0,2}",
        1 => "email,phone,x\n|\"a\"\"b\",c,d\r",
    ];
    prop::collection::vec(row, 0..40).prop_map(|rows| rows.concat())
}

#[test]
fn a_long_csv_is_read_in_parts_that_end_anywhere() {
    for header in ["email,phone", "email", "email,phone,x,y,z"] {
        let rows: String = (0..9_000)
            .map(|row| {
                format!("{}{}\n", "é".repeat(row % 13 + 1), ",\"1,\n2\"".repeat(header.matches(',').count()))
            })
            .collect();
        let export = format!("{header}\n{rows}");
        let whole = csv(export.as_bytes());
        assert_eq!(whole.len(), 9_000);
        // A byte at a time, no row lies whole in a chunk.
        assert_eq!(whole, csv_chunks(ContactsCsv::new(), export.as_bytes().chunks(1)), "{header}");
        assert_eq!(whole, csv_chunks(ContactsCsv::new(), export.as_bytes().chunks(70_001)), "{header}");
    }
}

proptest! {
    #[test]
    fn any_chunking_of_usual_rows_gives_the_same_rows(
        rows in rows(),
        (invalid, place) in (prop_oneof![3 => Just(None), 1 => any::<u8>().prop_map(Some)], any::<prop::sample::Index>()),
        sizes in prop::collection::vec(1_usize..200, 1..12),
        bound in prop_oneof![Just(1_usize << 20), 40_usize..120],
    ) {
        let mut export = format!("email,phone,x\n{rows}").into_bytes();
        if let Some(byte) = invalid {
            let place = place.index(export.len());
            export[place] = byte;
        }
        let new = || ContactsCsv::new().with_max_row_bytes(bound);
        let whole = csv_chunks(new(), [&export[..]]);
        prop_assert_eq!(&whole, &csv_chunks(new(), export.chunks(1)));
        prop_assert_eq!(&whole, &csv_chunks(new(), cut(&export, &sizes)));
    }

    #[test]
    fn any_chunking_of_a_csv_gives_the_same_rows(
        body in "(\u{feff})?(email,phone(\r)?\n)?([a-z\",\r\né ]{0,30}\n){0,6}[a-z\",\r\n]{0,5}",
        junk in prop::collection::vec(any::<u8>(), 0..12),
        sizes in prop::collection::vec(1_usize..9, 1..12),
        bound in prop_oneof![Just(1_usize << 20), 4_usize..40],
    ) {
        let export = [body.as_bytes(), &junk].concat();
        let whole = csv_chunks(ContactsCsv::new().with_max_row_bytes(bound), [&export[..]]);
        let chunked = csv_chunks(ContactsCsv::new().with_max_row_bytes(bound), cut(&export, &sizes));
        prop_assert_eq!(whole, chunked);
    }

    #[test]
    fn any_chunking_of_json_gives_the_same_rows(
        body in prop_oneof![
            "(\u{feff})?(\\[|\\{\"data\": *\\[)?(\\{(\"email\":\"[a-z\\\\\"é]{0,5}\")?(,\"x\":\\[?[0-9]\\]?)?\\}[,\n ]?){0,5}(\\]\\}?)?",
            "((\\{|,|)\"(data|email|x|\\\\u0065mail)\":(\\[(7,|null,)?(\\{(\"email\":\"a\")?\\},?){0,3}\\]|\"[a\\[]\")\\}?\n?){0,6}",
        ],
        junk in prop::collection::vec(any::<u8>(), 0..4),
        sizes in prop::collection::vec(1_usize..9, 1..12),
        bound in prop_oneof![Just(1_usize << 20), 4_usize..40],
    ) {
        let export = [body.as_bytes(), &junk].concat();
        let whole = json_chunks(ContactsJson::new().with_max_row_bytes(bound), [&export[..]]);
        let chunked = json_chunks(ContactsJson::new().with_max_row_bytes(bound), cut(&export, &sizes));
        prop_assert_eq!(whole, chunked);
    }

    #[test]
    fn what_the_csv_crate_writes_is_read_back(
        rows in prop::collection::vec(prop::collection::vec("[a-z\",\r\né ]{0,8}", 3), 0..8),
        crlf in any::<bool>(),
    ) {
        let mut writer = csv::WriterBuilder::new()
            .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .from_writer(Vec::new());
        writer.write_record(["first_name", "last_name", "job_title"]).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let export = writer.into_inner().unwrap();
        let decoded = csv(&export);
        prop_assert_eq!(decoded.len(), rows.len());
        for (decoded, row) in decoded.iter().zip(&rows) {
            let contact = decoded.3.as_ref().unwrap();
            let cells = [&contact.first_name, &contact.last_name, &contact.job_title].map(|cell| cell.as_deref().unwrap_or(""));
            prop_assert_eq!(&cells[..], &row.iter().map(String::as_str).collect::<Vec<_>>()[..]);
        }
    }
}
