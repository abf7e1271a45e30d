//! Names and doc comments in generated Rust.

/// A field's Rust name: the API's own, escaped where it is a keyword.
pub(crate) fn field_ident(name: &str) -> String {
    if name == "type" { "r#type".into() } else { name.to_owned() }
}

/// `results_size` → `ResultsSize`, `snapshot` → `Snapshot`, `JSONLines` stays.
pub(crate) fn variant_ident(word: &str) -> String {
    match word {
        "CSV" => "Csv".into(),
        "JSON" => "Json".into(),
        "JSONLines" => "JsonLines".into(),
        _ => {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        }
    }
}

/// Doc comment lines for a text.
pub(crate) fn doc_lines(text: &str) -> String {
    text.lines()
        .map(|line| if line.is_empty() { "///\n".to_owned() } else { format!("/// {line}\n") })
        .collect()
}
