//! Plain files of the current state, for anything that isn't a lake's reader.

use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use backstory_destination::{Error, ErrorKind, Landing};
use backstory_tables::{
    ArrowFile, ArrowOptions, CsvTables, JsonLinesFile, OutputFormat, ParquetFile, ParquetOptions, Resource,
};

use crate::current::Current;
use crate::problem::unwritable;
use crate::rows::{Columns, Rows};

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// The files, in the order of the tables.
    pub files: Vec<PathBuf>,
    /// How many activities.
    pub activities: u64,
    /// How many contacts.
    pub contacts: u64,
}

pub(crate) fn export(
    format: OutputFormat,
    folder: &Path,
    activities: &Current,
    contacts: &Current,
) -> Result<Exported, Error> {
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    let mut files = table(format, folder, Resource::Activities, activities)?;
    files.extend(table(format, folder, Resource::Contacts, contacts)?);
    Ok(Exported { files, activities: activities.count(), contacts: contacts.count() })
}

/// Writes the files of one resource. They get their names together, once all of them are whole.
fn table(
    format: OutputFormat,
    folder: &Path,
    resource: Resource,
    current: &Current,
) -> Result<Vec<PathBuf>, Error> {
    let names = backstory_tables::Output::new(format).tables(resource).map_err(Error::of_conversion)?;
    let paths: Vec<_> = names.iter().map(|name| folder.join(format!("{name}.{format}"))).collect();
    let mut landings = Vec::with_capacity(paths.len());
    for path in &paths {
        landings.push(Landing::begin(path).map_err(|error| unwritable(path, error))?);
    }
    write(format, resource, &mut landings, current)?;
    for (path, landing) in paths.iter().zip(&mut landings) {
        landing.sync().map_err(|error| unwritable(path, error))?;
    }
    for (path, landing) in paths.iter().zip(landings) {
        landing.commit().map_err(|error| unwritable(path, error))?;
    }
    Ok(paths)
}

fn write(
    format: OutputFormat,
    resource: Resource,
    files: &mut [Landing],
    current: &Current,
) -> Result<(), Error> {
    match (format, files) {
        (OutputFormat::Parquet, [file]) => {
            let mut file =
                ParquetFile::new(resource, file, &ParquetOptions::default()).map_err(Error::of_conversion)?;
            rows(current, |batch| file.write(batch))?;
            file.finish()
        }
        (OutputFormat::Arrow, [file]) => {
            let mut file =
                ArrowFile::new(resource, file, &ArrowOptions::default()).map_err(Error::of_conversion)?;
            rows(current, |batch| file.write(batch))?;
            file.finish()
        }
        (OutputFormat::JsonLines, [file]) => {
            let mut file = JsonLinesFile::new(file);
            rows(current, |batch| file.write(batch))?;
            file.finish()
        }
        (OutputFormat::Csv, [activities, participants, campaigns]) => {
            csv(CsvTables::activities(activities, participants, campaigns), current)?;
            Ok(())
        }
        (OutputFormat::Csv, [contacts]) => {
            csv(CsvTables::contacts(contacts), current)?;
            Ok(())
        }
        (format, _) => {
            let message = format!("the current state can't be exported as {format}");
            return Err(Error::new(ErrorKind::Usage, message));
        }
    }
    .map_err(Error::of_conversion)
}

fn csv(mut tables: CsvTables<'_>, current: &Current) -> Result<(), Error> {
    rows(current, |batch| tables.write(batch))?;
    tables.finish().map_err(Error::of_conversion)
}

/// The current rows, in batches.
fn rows(
    current: &Current,
    mut take: impl FnMut(&RecordBatch) -> Result<(), backstory_tables::Error>,
) -> Result<(), Error> {
    for group in current.row_groups() {
        Rows::open(&group.file)?.read(group.row_group, Columns::All, group.chosen.as_ref(), |batch| {
            take(&batch).map_err(Error::of_conversion)
        })?;
    }
    Ok(())
}
