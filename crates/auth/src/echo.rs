//! Finding a secret in text that others wrote. Servers echo what they were sent in forms of their own: percent-encoded, escaped
//! for JSON or HTML, cut off.

/// How many characters of a secret's beginning give it away, wherever they stand.
const TRACE: usize = 8;
/// How many do at the end of a text, where the rest may have been cut off.
const TRACE_AT_END: usize = 4;
/// No form of a character is longer: it has four bytes, each escaped.
const LONGEST_FORM: usize = 12;

/// The text with every trace of the secret replaced.
pub(crate) fn redact(text: &str, secret: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = match trace(rest, secret) {
            Some(length) => {
                redacted.push_str("***");
                length
            }
            None => {
                redacted.push(letter);
                letter.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    redacted
}

/// The length of the longest trace of a secret that a text begins with.
fn trace(text: &str, secret: &str) -> Option<usize> {
    // What is read as it is in one of them may be the beginning of a form in another: `%25`, `&amp;`.
    let encodings: [Encoding; 3] = [|_, _| None, percent, entity];
    encodings.into_iter().filter_map(|encoding| trace_in(text, secret, encoding)).max()
}

/// The length of the form of a character that a text begins with.
type Encoding = fn(&str, char) -> Option<usize>;

fn trace_in(text: &str, secret: &str, encoding: Encoding) -> Option<usize> {
    let (mut at, mut found, mut slashed) = (0, 0, false);
    let mut letters = secret.chars().peekable();
    while let Some(letter) = letters.next() {
        let rest = &text[at..];
        let length = if letter == '\\' {
            // Each may be escaped by others, and where one ends and the next begins can't be told.
            while letters.next_if_eq(&'\\').is_some() {}
            backslashes(rest, encoding)
        } else {
            form(rest, letter, encoding, slashed)
        };
        let Some(length) = length else {
            return match found {
                TRACE_AT_END.. if is_cut_off(rest) => Some(text.len()),
                TRACE.. => Some(at),
                _ => None,
            };
        };
        (at, found, slashed) = (at + length, found + 1, letter == '\\');
    }
    (at > 0).then_some(at)
}

/// Whether nothing more follows, or what may be the beginning of one more character's form.
fn is_cut_off(rest: &str) -> bool {
    rest.is_empty() || (rest.len() < LONGEST_FORM && rest.starts_with(['%', '\\', '&', '\u{FFFD}']))
}

/// The length of the backslashes that a text begins with.
fn backslashes(text: &str, encoding: Encoding) -> Option<usize> {
    let mut at = 0;
    while let Some(length) = encoding(&text[at..], '\\').or_else(|| as_it_is(&text[at..], '\\')) {
        at += length;
    }
    (at > 0).then_some(at)
}

/// The length of a character that a text begins with, escaped or not; `slashed` if backslashes stand before it.
fn form(text: &str, letter: char, encoding: Encoding, slashed: bool) -> Option<usize> {
    // JSON within JSON has several.
    let unescaped = text.trim_start_matches('\\');
    let slashes = text.len() - unescaped.len();
    let escaped = || json(unescaped, letter).filter(|_| slashes > 0 || slashed);
    let length = encoding(unescaped, letter).or_else(|| as_it_is(unescaped, letter)).or_else(escaped)?;
    Some(slashes + length)
}

fn as_it_is(text: &str, letter: char) -> Option<usize> {
    let is_it = text.starts_with(letter) || (letter == ' ' && text.starts_with('+'));
    is_it.then_some(letter.len_utf8())
}

/// `%C3%A9`, in either case.
fn percent(text: &str, letter: char) -> Option<usize> {
    let mut bytes = [0; 4];
    let bytes = letter.encode_utf8(&mut bytes).as_bytes();
    let mut rest = text;
    for byte in bytes {
        let digits = rest.strip_prefix('%')?.get(..2)?;
        rest = rest.get(3..).filter(|_| u8::from_str_radix(digits, 16) == Ok(*byte))?;
    }
    Some(text.len() - rest.len())
}

/// `&quot;`, `&#34;`, `&#x22;`.
fn entity(text: &str, letter: char) -> Option<usize> {
    let (name, _) = text.strip_prefix('&')?.split_once(';')?;
    let is_it = match name {
        "amp" => letter == '&',
        "lt" => letter == '<',
        "gt" => letter == '>',
        "quot" => letter == '"',
        "apos" => letter == '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            code == Ok(u32::from(letter))
        }
    };
    is_it.then_some(name.len() + 2)
}

/// What stands behind the backslash of JSON: `u00e9`, `ud83d\ude00`, `n`.
fn json(text: &str, letter: char) -> Option<usize> {
    let short = match letter {
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        _ => letter,
    };
    if short != letter && text.starts_with(short) {
        return Some(1);
    }
    let mut units = [0; 2];
    let mut rest = text;
    for unit in letter.encode_utf16(&mut units) {
        rest = rest.trim_start_matches('\\').strip_prefix('u')?;
        let digits = rest.get(..4)?;
        rest = rest.get(4..).filter(|_| u16::from_str_radix(digits, 16) == Ok(*unit))?;
    }
    Some(text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_a_secret_is_found() {
        let secret = "p\"w/ d&é😀\\n";
        for echo in [
            "p\"w/ d&é😀\\n",
            "p%22w%2F%20d%26%C3%A9%F0%9F%98%80%5Cn",
            "p%22w%2f+d%26%c3%a9%f0%9f%98%80%5cn",
            r#"p\"w/ d&é😀\\n"#,
            r#"p\"w\/ d\u0026\u00e9\ud83d\ude00\\n"#,
            r#"\u0070\u0022\u0077\u002F\u0020\u0064\u0026\u00E9\uD83D\uDE00\\\u006E"#,
            r#"p\\\"w\\/ d&\\u00e9\\ud83d\\ude00\\\\n"#,
            "p&quot;w/ d&amp;&#233;&#x1F600;&#92;n",
        ] {
            assert_eq!(redact(&format!("no <{echo}>!"), secret), "no <***>!", "{echo}");
        }
    }

    #[test]
    fn a_beginning_of_a_secret_is_a_trace_where_it_is_long_or_the_text_ends() {
        let secret = "hünter-hunter2";
        for (text, redacted) in [
            ("is hünter-h… wrong", "is ***… wrong"),
            ("is hünter… wrong", "is hünter… wrong"),
            ("is hünter", "is ***"),
            ("is hüx", "is hüx"),
            ("is hünter%2", "is ***"),
            ("is h%C3%BCnter\\u00", "is ***"),
            ("is hünter\u{FFFD}", "is ***"),
            ("", ""),
        ] {
            assert_eq!(redact(text, secret), redacted);
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        let text = r#"{"message":"50% of \"it\" & <more> \u00e9 %zz &#x; \"}"#;
        assert_eq!(redact(text, "hunter2"), text);
        assert_eq!(redact(text, ""), text);
    }

    proptest! {
        #[test]
        fn no_secret_survives_among_any_text(before in ".{0,20}", secret in ".{1,20}", after in ".{0,20}") {
            let escaped = serde_json::Value::from(secret.as_str()).to_string();
            let encoded = utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string();
            for form in [&secret, &encoded, &escaped[1..escaped.len() - 1].to_owned()] {
                let redacted = redact(&format!("{before}{form}{after}"), &secret);
                // What stood around it may be a secret where it is put together.
                let is_left = redacted.split("***").any(|part| part.contains(&**form));
                prop_assert!(!is_left || secret.len() < 2, "{redacted}");
            }
        }
    }
}
