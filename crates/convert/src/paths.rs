//! What the files of a conversion are called, and where they stand.
//!
//! In a folder they are laid out as an export's are, so that whatever reads the one reads the other: each table has a
//! folder of its own, and each file says what it is a table of.

use std::path::{Path, PathBuf};

use backstory_tables::{Output, Resource};

use crate::error::{Error, ErrorKind};
use crate::input::plain_name;

/// Where the files of a plan go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// Below a folder, which is made where it is missing: `DIR/<table>/<table>_<name of the input>.<format>`.
    Folder(PathBuf),
    /// The one file of one input.
    File(PathBuf),
}

/// The files of one conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPaths {
    /// In the order of [`Output::tables`].
    pub(crate) tables: Vec<(&'static str, PathBuf)>,
    pub(crate) quarantine: PathBuf,
}

impl OutputPaths {
    /// The files that an input of this name becomes.
    ///
    /// ```
    /// use backstory_convert::{OutputPaths, Target};
    /// use backstory_tables::{Output, OutputFormat, Resource};
    ///
    /// let (csv, folder) = (Output::new(OutputFormat::Csv), Target::Folder("out".into()));
    /// let paths = OutputPaths::new("march.jsonl.gz", Resource::Activities, &csv, &folder)?;
    /// let names: Vec<_> = paths.tables().map(|(_, path)| path.display().to_string()).collect();
    /// assert_eq!(names, [
    ///     "out/activities/activities_march.csv",
    ///     "out/participants/participants_march.csv",
    ///     "out/campaigns/campaigns_march.csv",
    /// ]);
    /// assert_eq!(paths.quarantine().display().to_string(), "out/quarantine/quarantine_activities_march.jsonl");
    /// # Ok::<(), backstory_convert::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when the form can't hold the shape, or one file is named for several tables.
    pub fn new(file_name: &str, resource: Resource, output: &Output, target: &Target) -> Result<Self, Error> {
        let tables =
            output.tables(resource).map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))?;
        let format = output.format();
        match target {
            Target::Folder(folder) => {
                let rest = behind_table(stem(file_name), resource);
                let place = |table: &&'static str| {
                    (*table, folder.join(table).join(format!("{table}{rest}.{format}")))
                };
                let quarantine = folder.join("quarantine").join(format!("quarantine_{resource}{rest}.jsonl"));
                Ok(Self { tables: tables.iter().map(place).collect(), quarantine })
            }
            Target::File(path) => {
                let [table] = tables else {
                    let message = format!(
                        "{resource} become {} tables ({}), which are more than the one file {}",
                        tables.len(),
                        tables.join(", "),
                        path.display()
                    );
                    return Err(Error::new(ErrorKind::Usage, message).with_hint("name a folder with --out"));
                };
                let own = path.file_stem().unwrap_or_default().to_string_lossy();
                let quarantine = path.with_file_name(format!("{own}.quarantine.jsonl"));
                Ok(Self { tables: vec![(*table, path.clone())], quarantine })
            }
        }
    }

    /// The tables and their files; the first has a row for each record.
    pub fn tables(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.tables.iter().map(|(table, path)| (*table, path.as_path()))
    }

    /// Where rows that can't be decoded are set apart, if there are any.
    pub fn quarantine(&self) -> &Path {
        &self.quarantine
    }
}

/// A file's name without what says its form and compression.
fn stem(file_name: &str) -> &str {
    let name = plain_name(file_name);
    match name.rsplit_once('.') {
        Some((stem, ending))
            if ["jsonl", "ndjson", "json", "csv", "txt"].contains(&&*ending.to_ascii_lowercase()) =>
        {
            stem
        }
        _ => name,
    }
}

/// What comes behind a table's name in its file's name. A stem that begins with the name of the resource, as those of an
/// export do, doesn't get it twice.
fn behind_table(stem: &str, resource: Resource) -> String {
    let rest = match stem.strip_prefix(resource.as_str()) {
        Some(rest) if rest.is_empty() || rest.starts_with(['_', '-', '.', ' ']) => {
            rest.trim_start_matches(['_', '-', '.', ' '])
        }
        _ => stem,
    };
    if rest.is_empty() { String::new() } else { format!("_{rest}") }
}

#[cfg(test)]
mod tests {
    use backstory_tables::OutputFormat;

    use super::*;

    #[test]
    fn files_are_named_after_their_input_and_the_table_is_named_once() {
        for (input, expected) in [
            ("activities.jsonl", "activities"),
            (
                "activities_snapshot_all_2026-01-01_2026-01-31.jsonl.zst",
                "activities_snapshot_all_2026-01-01_2026-01-31",
            ),
            ("activities-9.ndjson.GZ", "activities_9"),
            ("activitiesold.jsonl", "activities_activitiesold"),
            ("job.17.jsonl", "activities_job.17"),
            ("export 2026.03", "activities_export 2026.03"),
            (".jsonl", "activities"),
            ("stdin", "activities_stdin"),
        ] {
            let output = Output::new(OutputFormat::Parquet);
            let paths =
                OutputPaths::new(input, Resource::Activities, &output, &Target::Folder("d".into())).unwrap();
            let expected = PathBuf::from(format!("d/activities/{expected}.parquet"));
            assert_eq!(paths.tables[0].1, expected, "{input}");
        }
    }

    #[test]
    fn one_file_is_for_one_table() {
        let target = Target::File("x/march.csv".into());
        let csv = Output::new(OutputFormat::Csv);
        let error = OutputPaths::new("a.jsonl", Resource::Activities, &csv, &target).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        let paths = OutputPaths::new("a.csv", Resource::Contacts, &csv, &target).unwrap();
        assert_eq!(paths.quarantine, PathBuf::from("x/march.quarantine.jsonl"));
    }
}
