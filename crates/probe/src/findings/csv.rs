//! What a contacts file in CSV told: contract (j.38).

use backstory_formats::ContactsCsv;
use csv_core::{ReadRecordResult, Reader};

use super::Observed;
use crate::step::{Resource, Step};
use crate::transcript::Transcript;

const BOM: &[u8] = "\u{feff}".as_bytes();

pub(super) fn dialect(transcript: &Transcript) -> Observed {
    if !transcript.contacts_csv {
        return Observed::open("the contacts job was not asked for in CSV");
    }
    let Some(reply) =
        transcript.reply(Step::Whole(Resource::Contacts)).filter(|reply| reply.status.is_success())
    else {
        return Observed::open(transcript.why_not(Step::Whole(Resource::Contacts)));
    };
    let Some(plain) = reply.body.plain() else { return Observed::open("the file is too large to be kept") };
    let bom = plain.starts_with(BOM);
    let text = plain.strip_prefix(BOM).unwrap_or(&plain);
    if text.is_empty() {
        return Observed::open("the file is empty");
    }
    let first_line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let ends = if first_line.ends_with(b"\r") { "CRLF" } else { "LF" };
    let columns = first_line.split(|byte| *byte == b',').count();
    if columns < 2 {
        return Observed::told("other", "the first line has no comma");
    }
    let (unknown, spelling) = columns_and_booleans(text);
    let detail = format!(
        "{columns} columns, {unknown} of them new; lines end in {ends}; booleans are {}{}",
        spelling.unwrap_or("not there"),
        if bom { "; with a BOM" } else { "" }
    );
    match (bom, spelling) {
        (true, _) => Observed::told("bom", detail),
        (false, Some("True and False")) => Observed::told("title-booleans", detail),
        (false, Some("true and false")) => Observed::told("plain", detail),
        (false, Some(_)) => Observed::told("other-booleans", detail),
        (false, None) => Observed::open(format!("no boolean to tell its spelling: {detail}")),
    }
}

/// How many columns nobody has told of, and how the booleans of `from_cc` are spelt.
fn columns_and_booleans(text: &[u8]) -> (usize, Option<&'static str>) {
    let mut decoder = ContactsCsv::new();
    let mut unknown = 0;
    {
        let mut rows = decoder.feed(text);
        while let Some(row) = rows.next() {
            if let Ok(contact) = row.contact() {
                unknown = unknown.max(contact.extra.len());
            }
        }
    }
    let column = decoder.header().and_then(|names| names.iter().position(|name| name == "from_cc"));
    let mut spelling = None;
    if let Some(column) = column {
        each_row(text, |fields| {
            spelling = spelling.or(match fields.get(column).copied().unwrap_or_default() {
                b"true" | b"false" => Some("true and false"),
                b"True" | b"False" => Some("True and False"),
                b"TRUE" | b"FALSE" => Some("TRUE and FALSE"),
                b"0" | b"1" => Some("0 and 1"),
                _ => None,
            });
        });
    }
    (unknown, spelling)
}

/// How many rows stand below the header.
pub(super) fn count_rows(plain: &[u8]) -> Option<u64> {
    let mut rows = 0_u64;
    each_row(plain.strip_prefix(BOM).unwrap_or(plain), |_| rows += 1);
    Some(rows.saturating_sub(1))
}

/// Rows that occur more than once, and all rows.
pub(super) fn repeats(plain: &[u8]) -> (usize, usize) {
    let mut rows: Vec<Vec<u8>> = Vec::new();
    each_row(plain, |fields| rows.push(fields.join(&0x1f)));
    let all = rows.len();
    rows.sort_unstable();
    rows.dedup();
    (all - rows.len(), all.saturating_sub(1))
}

fn each_row(mut text: &[u8], mut visit: impl FnMut(&[&[u8]])) {
    let mut reader = Reader::new();
    let (mut out, mut ends) = (vec![0; 64 << 10], vec![0; 512]);
    let (mut written, mut fields) = (0, 0);
    loop {
        let (result, read, wrote, ended) = reader.read_record(text, &mut out[written..], &mut ends[fields..]);
        text = &text[read..];
        (written, fields) = (written + wrote, fields + ended);
        match result {
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => out.resize(out.len() * 2, 0),
            ReadRecordResult::OutputEndsFull => ends.resize(ends.len() * 2, 0),
            ReadRecordResult::Record => {
                let mut start = 0;
                let row: Vec<&[u8]> = ends[..fields]
                    .iter()
                    .map(|end| {
                        let field = &out[start..*end];
                        start = *end;
                        field
                    })
                    .collect();
                visit(&row);
                (written, fields) = (0, 0);
            }
            ReadRecordResult::End => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_below_the_header_also_with_line_ends_inside() {
        assert_eq!(count_rows(b"a,b\r\n1,\"x\ny\"\r\n2,z"), Some(2));
        assert_eq!(count_rows("\u{feff}a,b\n".as_bytes()), Some(0));
        assert_eq!(count_rows(b""), Some(0));
    }

    #[test]
    fn repeats_are_told_from_rows_that_only_begin_alike() {
        assert_eq!(repeats(b"a,b\n1,2\n1,2\n12,\n"), (1, 3));
    }

    #[test]
    fn booleans_are_told_by_their_spelling_and_new_columns_are_counted() {
        assert_eq!(
            columns_and_booleans(b"email,from_cc,mood\na@x.example,,\nb@x.example,True,up\n"),
            (1, Some("True and False"))
        );
        assert_eq!(columns_and_booleans(b"email,total_meetings\na@x.example,1\n"), (0, None));
    }
}
