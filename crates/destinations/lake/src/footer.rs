//! What a data file says of itself, in its footer: which lake it belongs to, and either the delivery that it holds a fragment
//! of, or the base generation that it is a part of and the deliveries that went into that.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use backstory_destination::{DeliveryRecord, Error, Landed};
use backstory_tables::{Resource, schema};
use jiff::Timestamp;
use parquet::arrow::ArrowSchemaConverter;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader, ParquetStatisticsPolicy,
};
use parquet::schema::types::TypePtr;
use serde::{Deserialize, Serialize};

use crate::problem::unreadable;

/// The form of what stands in footers; a file of a later one isn't touched.
const FORMAT: u32 = 1;

const FORMAT_KEY: &str = "backstory.format";
const LAKE_KEY: &str = "backstory.lake";
const DELIVERY_KEY: &str = "backstory.delivery";
const BASE_KEY: &str = "backstory.base";
const BODY_KEY: &str = "backstory.body";

/// A data file of a lake.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    pub(crate) path: PathBuf,
    /// The lake that it was written into.
    pub(crate) lake: String,
    pub(crate) holds: Holds,
    /// Everything before the footer.
    pub(crate) body: Body,
    /// How many rows each row group has.
    pub(crate) row_groups: Vec<u64>,
    /// Whether its columns are those that this version writes.
    pub(crate) has_our_columns: bool,
}

/// What a data file holds.
#[derive(Clone, Debug)]
pub(crate) enum Holds {
    /// A fragment of a delivery: the record has that one part.
    Part(DeliveryRecord),
    /// A part of a base generation.
    Base(BaseFile),
}

/// The part that a file plays in a base generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseFile {
    /// Later generations have greater numbers.
    pub(crate) generation: u32,
    /// When it was built; from then on what it replaces is superseded.
    pub(crate) built_at: Timestamp,
    /// Which file of how many, from 0.
    pub(crate) file: u32,
    pub(crate) files: u32,
    /// Into how many buckets all keys are divided; each is a row group, and one that is empty is left out.
    pub(crate) buckets: u32,
    /// The buckets of this file that have rows, in order.
    pub(crate) filled: Vec<u32>,
    pub(crate) rows: u64,
    pub(crate) participants: u64,
    pub(crate) campaigns: u64,
    /// How many bytes its rows take in memory.
    pub(crate) bytes_in_memory: u64,
    /// Of the records in the first file: that all files are of one piece.
    pub(crate) absorbed_sha256: String,
    /// In the first file: the deliveries whose rows went into the generation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) absorbed: Vec<DeliveryRecord>,
}

/// The proof of a file's bytes before its footer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl From<Landed> for Body {
    fn from(landed: Landed) -> Self {
        Self { bytes: landed.bytes, sha256: landed.sha256 }
    }
}

impl DataFile {
    pub(crate) fn rows(&self) -> u64 {
        self.row_groups.iter().sum()
    }

    /// Rows of the tables `participants` and `campaigns`.
    pub(crate) fn children(&self) -> (u64, u64) {
        match &self.holds {
            Holds::Base(base) => (base.participants, base.campaigns),
            Holds::Part(record) => record
                .parts
                .iter()
                .fold((0, 0), |sum, part| (sum.0 + part.participants, sum.1 + part.campaigns)),
        }
    }

    pub(crate) fn part(&self) -> Option<&DeliveryRecord> {
        match &self.holds {
            Holds::Part(record) => Some(record),
            Holds::Base(_) => None,
        }
    }

    pub(crate) fn base(&self) -> Option<&BaseFile> {
        match &self.holds {
            Holds::Base(base) => Some(base),
            Holds::Part(_) => None,
        }
    }

    pub(crate) fn resource(&self) -> Resource {
        match &self.holds {
            Holds::Part(record) => record.delivery.resource,
            Holds::Base(_) => Resource::Activities,
        }
    }
}

/// The entries of a footer.
pub(crate) fn entries(lake: &str, holds: &Holds, body: &Body) -> Vec<(String, String)> {
    // These types can't fail to be written: they have no map whose keys aren't texts.
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    let holds = match holds {
        Holds::Part(record) => (DELIVERY_KEY, json(serde_json::to_string(record))),
        Holds::Base(base) => (BASE_KEY, json(serde_json::to_string(base))),
    };
    [
        (FORMAT_KEY, FORMAT.to_string()),
        (LAKE_KEY, lake.to_owned()),
        holds,
        (BODY_KEY, json(serde_json::to_string(body))),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// What was found at a path.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Data(Box<DataFile>),
    /// A file that isn't a lake's, and why.
    Stranger(String),
    /// Nothing: it was removed meanwhile.
    Gone,
}

/// Reads a file's footer, and nothing else.
pub(crate) fn read(path: &Path) -> Result<Found, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
        Err(error) => return Err(unreadable(path, error)),
    };
    let options = ParquetMetaDataOptions::new()
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll);
    let reader = ParquetMetaDataReader::new().with_metadata_options(Some(options));
    match reader.parse_and_finish(&file) {
        Ok(metadata) => Ok(match interpret(path, &metadata) {
            Ok(file) => Found::Data(Box::new(file)),
            Err(why) => Found::Stranger(why),
        }),
        Err(ParquetError::External(cause)) if is_of_the_disk(cause.as_ref()) => Err(unreadable(path, cause)),
        Err(error) => Ok(Found::Stranger(format!("isn't a whole Parquet file ({error})"))),
    }
}

/// Whether the disk is at fault, rather than the file.
fn is_of_the_disk(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() != io::ErrorKind::UnexpectedEof)
}

fn interpret(path: &Path, metadata: &ParquetMetaData) -> Result<DataFile, String> {
    let entry = |key: &str| {
        let entries = metadata.file_metadata().key_value_metadata()?;
        entries.iter().find(|entry| entry.key == key)?.value.as_deref()
    };
    let format = entry(FORMAT_KEY).ok_or("wasn't written by backstory")?;
    if format != FORMAT.to_string() {
        return Err(format!("was written by a later version of backstory (its format is {format}); update"));
    }
    fn parse<'t, T: Deserialize<'t>>(what: &str, text: &'t str) -> Result<T, String> {
        serde_json::from_str(text)
            .map_err(|error| format!("has a footer whose `{what}` can't be read ({error})"))
    }
    let lake = entry(LAKE_KEY).ok_or("has a footer without `backstory.lake`")?.to_owned();
    let body = parse(BODY_KEY, entry(BODY_KEY).ok_or("has a footer without `backstory.body`")?)?;
    let holds = match (entry(DELIVERY_KEY), entry(BASE_KEY)) {
        (Some(record), None) => Holds::Part(parse(DELIVERY_KEY, record)?),
        (None, Some(base)) => Holds::Base(parse(BASE_KEY, base)?),
        _ => return Err("has a footer that tells neither a delivery nor a base".to_owned()),
    };
    let row_groups = metadata.row_groups().iter().map(|group| group.num_rows().unsigned_abs()).collect();
    let mut file = DataFile { path: path.to_owned(), lake, holds, body, row_groups, has_our_columns: false };
    let expected = match &file.holds {
        Holds::Part(record) if record.parts.len() != 1 => {
            return Err("has a footer that tells of another number of fragments than one".to_owned());
        }
        Holds::Part(record) => record.parts[0].rows,
        Holds::Base(base) if base.filled.len() != file.row_groups.len() => {
            return Err("has another number of row groups than its footer says".to_owned());
        }
        Holds::Base(base) => base.rows,
    };
    if file.rows() != expected {
        return Err(format!("has {} rows, and its footer says {expected}", file.rows()));
    }
    file.has_our_columns = columns(file.resource()).is_some_and(|columns| {
        columns.get_fields() == metadata.file_metadata().schema_descr().root_schema().get_fields()
    });
    Ok(file)
}

/// The columns that this version writes, as Parquet has them.
fn columns(resource: Resource) -> Option<&'static TypePtr> {
    static COLUMNS: LazyLock<[Option<TypePtr>; 2]> = LazyLock::new(|| {
        [Resource::Activities, Resource::Contacts].map(|resource| {
            let descriptor = ArrowSchemaConverter::new().convert(&schema(resource)).ok()?;
            Some(descriptor.root_schema_ptr())
        })
    });
    COLUMNS[usize::from(resource == Resource::Contacts)].as_ref()
}
