//! Who does which work: the release binary, and other tools by scripts in `peers`.

use std::path::{Path, PathBuf};

use super::Places;

pub(crate) const NESTED: &str = "activities to nested Parquet";
pub(crate) const RELATIONAL: &str = "activities to three flat Parquet files";
pub(crate) const CONTACTS: &str = "contacts CSV to Parquet";
pub(crate) const SIZES: &str = "memory at several sizes of input";

/// Something that is run and measured.
pub(crate) struct Contender {
    /// The work that it does; contenders of the same work are compared.
    pub(crate) work: &'static str,
    pub(crate) name: &'static str,
    pub(crate) command: Vec<String>,
    /// The files or folders that it leaves.
    pub(crate) results: Vec<PathBuf>,
    /// It takes ten times as long as the others.
    pub(crate) is_slow: bool,
}

/// What is converted.
pub(crate) struct Inputs<'i> {
    pub(crate) activities: &'i Path,
    pub(crate) contacts: &'i Path,
    /// An eighth of the activities.
    pub(crate) small: &'i Path,
}

pub(crate) fn all(
    places: &Places,
    binary: &Path,
    inputs: &Inputs<'_>,
    peers: &[String],
    repeats: u64,
) -> Result<Vec<Contender>, String> {
    let text = |path: &Path| path.display().to_string();
    let ours = |work, name: &'static str, options: &[&str], input: &Path, result: &str| {
        let result = places.folder.join(result);
        let mut command = vec![text(binary), "convert".to_owned(), text(input), "--quiet".to_owned()];
        command.extend(options.iter().map(|&option| option.to_owned()));
        command.extend(["--out".to_owned(), text(&result)]);
        Contender { work, name, command, results: vec![result], is_slow: false }
    };
    let theirs = |work, name: &'static str, input: &Path, endings: &[&str]| {
        let script = places.peers.join(format!("{name}.py"));
        let out = format!("{name}.out");
        let python = if name.starts_with("dlt") {
            places.folder.join("python-dlt/bin/python")
        } else {
            places.python.clone()
        };
        Contender {
            work,
            name,
            command: vec![text(&python), text(&script), text(input), text(&places.folder.join(&out))],
            results: endings.iter().map(|ending| places.folder.join(format!("{out}{ending}"))).collect(),
            is_slow: name.starts_with("polars") || name.starts_with("dlt"),
        }
    };
    const ONE: &[&str] = &["--threads", "1"];
    const FLAT: &[&str] = &["--shape", "relational"];
    let (activities, contacts) = (inputs.activities, inputs.contacts);
    let repeated = places.folder.join("backstory-repeated.parquet");
    let piped = format!(
        "for i in $(seq {repeats}); do cat '{}'; done | '{}' convert - --resource activities --quiet --out '{}'",
        text(activities),
        text(binary),
        text(&repeated)
    );
    let mut all = vec![
        ours(NESTED, "backstory", &[], activities, "backstory.parquet"),
        ours(NESTED, "backstory, 1 thread", ONE, activities, "backstory-1.parquet"),
        ours(RELATIONAL, "backstory (flat)", FLAT, activities, "backstory-flat"),
        ours(CONTACTS, "backstory (contacts)", &[], contacts, "backstory-contacts.parquet"),
        ours(CONTACTS, "backstory (contacts), 1 thread", ONE, contacts, "backstory-contacts-1.parquet"),
        ours(SIZES, "backstory (an eighth of it)", &[], inputs.small, "backstory-eighth.parquet"),
        ours(SIZES, "backstory (all of it)", &[], activities, "backstory-again.parquet"),
        Contender {
            work: SIZES,
            name: "backstory (repeated)",
            command: vec!["sh".to_owned(), "-c".to_owned(), piped],
            results: vec![repeated],
            is_slow: true,
        },
    ];
    for peer in peers {
        match peer.as_str() {
            "duckdb" => {
                const THREE: &[&str] = &[".activities", ".participants", ".campaigns"];
                all.push(theirs(NESTED, "duckdb_nested", activities, &[""]));
                all.push(theirs(RELATIONAL, "duckdb_relational", activities, THREE));
                all.push(theirs(CONTACTS, "duckdb_contacts", contacts, &[""]));
            }
            "chdb" => all.push(theirs(NESTED, "chdb_nested", activities, &[""])),
            "polars" => all.push(theirs(NESTED, "polars_nested", activities, &[""])),
            "dlt" => all.push(theirs(NESTED, "dlt_files", activities, &[""])),
            other => {
                return Err(format!("there is no peer `{other}`; there are duckdb, chdb, polars and dlt"));
            }
        }
    }
    Ok(all)
}
