//! From a destination URL to the destination.

use std::sync::Arc;

use backstory_destination::{Destination, DestinationUrl, ErrorKind};
use backstory_lake::Lake;

use crate::exit::Failure;

/// Opens the destination that a sync fills, and makes it where there is none.
pub(crate) fn open_or_create(url: &str) -> Result<Arc<dyn Destination>, Failure> {
    match url.parse()? {
        DestinationUrl::Lake(folder) => Ok(Arc::new(Lake::open_or_create(folder)?)),
        other => Err(not_built_in(&other)),
    }
}

/// Opens a destination that there is.
pub(crate) fn open(url: &str) -> Result<Arc<dyn Destination>, Failure> {
    match url.parse()? {
        DestinationUrl::Lake(folder) => Ok(Arc::new(Lake::open(folder)?)),
        other => Err(not_built_in(&other)),
    }
}

/// A destination, if there is one; none is made.
pub(crate) fn look(url: &str) -> Result<Option<Arc<dyn Destination>>, Failure> {
    match url.parse()? {
        DestinationUrl::Lake(folder) => match Lake::open(folder) {
            Ok(lake) => Ok(Some(Arc::new(lake))),
            Err(error) if error.kind() == ErrorKind::Usage => Ok(None),
            Err(error) => Err(error.into()),
        },
        other => Err(not_built_in(&other)),
    }
}

fn not_built_in(url: &DestinationUrl) -> Failure {
    Failure::usage(format!(
        "the destination {url} is of the kind `{}`, which is not built into this binary",
        url.scheme()
    ))
    .with_hint("name a folder: a lake of Parquet files needs no server")
}
