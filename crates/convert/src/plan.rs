//! A plan: which files each input becomes, checked before anything is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backstory_tables::{Output, Resource, SourceFormat};

use crate::convert::{ConvertOptions, Converted, convert};
use crate::error::{Error, ErrorKind};
use crate::input::{Input, Source};
use crate::paths::{OutputPaths, Target};

/// Conversions that don't get in each other's way.
#[derive(Debug)]
pub struct Plan {
    conversions: Vec<Planned>,
}

impl Plan {
    /// Looks at the beginning of each source, unless `resource` says what all of them are exports of.
    ///
    /// # Errors
    /// See [`ErrorKind`]; the first source that can't be converted, with nothing written yet.
    pub fn new(
        sources: Vec<Source>,
        resource: Option<Resource>,
        output: &Output,
        target: &Target,
    ) -> Result<Self, Error> {
        if let (Target::File(path), 2..) = (target, sources.len()) {
            let message =
                format!("{} inputs become more than the one file {}", sources.len(), path.display());
            return Err(Error::new(ErrorKind::Usage, message).with_hint("name a folder with --out"));
        }
        let conversions = sources
            .into_iter()
            .map(|source| Planned::new(source, resource, output.clone(), target))
            .collect::<Result<Vec<_>, _>>()?;
        check_apart(&conversions)?;
        Ok(Self { conversions })
    }

    /// How many bytes there are to be read, as they lie on disk; nothing when one of the inputs has no size.
    pub fn bytes(&self) -> Option<u64> {
        self.conversions.iter().map(Planned::bytes).sum()
    }

    /// What will be converted.
    pub fn conversions(&self) -> &[Planned] {
        &self.conversions
    }

    /// The conversions, to be run one by one.
    pub fn into_conversions(self) -> Vec<Planned> {
        self.conversions
    }
}

/// One conversion that is to be run.
#[derive(Debug)]
pub struct Planned {
    name: String,
    resource: Resource,
    bytes: Option<u64>,
    input: Waiting,
    output: Output,
    paths: OutputPaths,
}

/// An input between the plan and its conversion. Files are closed meanwhile, since there may be more of them than can be
/// open at once.
#[derive(Debug)]
enum Waiting {
    Closed { path: PathBuf, format: SourceFormat },
    Open(Box<Input>),
}

impl Planned {
    fn new(
        source: Source,
        resource: Option<Resource>,
        output: Output,
        target: &Target,
    ) -> Result<Self, Error> {
        let path = source.path().map(Path::to_owned);
        let input = source.open(resource)?;
        let paths = OutputPaths::new(&input.file_name, input.resource, &output, target)?;
        let (name, resource, bytes) = (input.name.clone(), input.resource, input.bytes());
        let input = match (path, bytes) {
            (Some(path), Some(_)) => Waiting::Closed { path, format: input.format },
            _ => Waiting::Open(Box::new(input)),
        };
        Ok(Self { name, resource, bytes, input, output, paths })
    }

    /// What errors call the input.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is an export of.
    pub fn resource(&self) -> Resource {
        self.resource
    }

    /// The size of the input as it lies on disk; nothing for what has no size, such as a pipe.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// The files that it will become. A file that is there already is replaced, once the new one is whole.
    pub fn paths(&self) -> &OutputPaths {
        &self.paths
    }

    /// Converts it. It blocks, and memory doesn't grow with the input.
    ///
    /// # Errors
    /// See [`ErrorKind`]. Nothing of this conversion is left then, and files of an earlier one are as they were.
    pub fn run(self, options: &ConvertOptions) -> Result<Converted, Error> {
        let input = match self.input {
            Waiting::Open(input) => *input,
            Waiting::Closed { path, format } => {
                let mut input = Source::file(path).open(Some(self.resource))?;
                // What was found out by looking holds.
                input.format = format;
                input
            }
        };
        convert(input, &self.output, &self.paths, options)
    }
}

/// Refuses two conversions that would write the same file, and one that would replace an input.
fn check_apart(conversions: &[Planned]) -> Result<(), Error> {
    let mut writers: BTreeMap<&Path, &str> = BTreeMap::new();
    for conversion in conversions {
        let quarantine = conversion.paths.quarantine();
        for path in conversion.paths.tables().map(|(_, path)| path).chain([quarantine]) {
            if let Some(other) = writers.insert(path, conversion.name()) {
                let message =
                    format!("{other} and {} would both become {}", conversion.name(), path.display());
                return Err(Error::new(ErrorKind::Usage, message)
                    .with_hint("convert them into different folders, one after the other"));
            }
            if let Some(input) = conversions.iter().find(|other| other.is_file(path)) {
                let message =
                    format!("{} would be replaced by what {} becomes", input.name, conversion.name());
                return Err(Error::new(ErrorKind::Usage, message).with_hint("name another folder with --out"));
            }
        }
    }
    Ok(())
}

impl Planned {
    fn is_file(&self, path: &Path) -> bool {
        match &self.input {
            Waiting::Closed { path: input, .. } => same_file::is_same_file(input, path).unwrap_or(false),
            Waiting::Open(_) => false,
        }
    }
}
