//! The packages of the workspace and what each names in its manifest, reduced to what the laws speak of, so that they
//! can be tested on made-up packages.

use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// One package of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// What a manifest names: a line of its dependency tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// Whether a dependency is part of what users build. Build dependencies count as `Normal`: users build them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Dev,
}

/// Asks cargo for the workspace's packages. Optional dependencies are among those that they name.
pub(crate) fn read(root: &Path) -> Result<Vec<Package>, String> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .map_err(|error| format!("`cargo metadata` failed: {error}"))?;
    let packages = metadata.packages.into_iter().map(|package| Package {
        name: package.name.to_string(),
        dependencies: package
            .dependencies
            .into_iter()
            .map(|dependency| Dependency {
                name: dependency.name,
                kind: if dependency.kind == DependencyKind::Development { Kind::Dev } else { Kind::Normal },
            })
            .collect(),
    });
    Ok(packages.collect())
}
