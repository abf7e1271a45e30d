//! Which package may name which: arrows between packages of the workspace point down only, and HTTP clients stay in
//! the crates that exist to speak HTTP.

use super::Violation;
use super::graph::{Kind, Package};

/// A package and those of the workspace that lie below it.
struct Room {
    name: &'static str,
    below: &'static [&'static str],
}

/// The house, from the ground up. A new package gets a line here, and one in `docs/architecture.md`.
const ROOMS: &[Room] = &[
    Room { name: "backstory-limits", below: &[] },
    Room { name: "backstory-transport", below: &[] },
    Room { name: "backstory-formats", below: &[] },
    Room { name: SIMULATOR, below: &[] },
    Room { name: "backstory-auth", below: &["backstory-transport"] },
    Room { name: "backstory-tables", below: &["backstory-formats"] },
    Room { name: "backstory-destination", below: &["backstory-tables", "backstory-formats"] },
    Room {
        name: "backstory-convert",
        below: &["backstory-destination", "backstory-tables", "backstory-formats"],
    },
    Room {
        name: "backstory-lake",
        below: &["backstory-destination", "backstory-tables", "backstory-formats"],
    },
    Room {
        name: "backstory-api",
        below: &["backstory-auth", "backstory-transport", "backstory-limits", "backstory-formats"],
    },
    Room {
        name: "backstory-sync",
        below: &[
            "backstory-api",
            "backstory-auth",
            "backstory-transport",
            "backstory-limits",
            "backstory-formats",
            "backstory-tables",
            "backstory-destination",
        ],
    },
    Room {
        name: "backstory-probe",
        below: &[
            "backstory-api",
            "backstory-auth",
            "backstory-transport",
            "backstory-limits",
            "backstory-formats",
        ],
    },
    Room { name: "backstory-cli", below: LIBRARIES },
    Room { name: "backstory-tests", below: LIBRARIES_AND_BINARY },
    Room { name: TASKS, below: LIBRARIES_AND_BINARY },
];

const LIBRARIES: &[&str] = &[
    "backstory-sync",
    "backstory-probe",
    "backstory-api",
    "backstory-auth",
    "backstory-transport",
    "backstory-limits",
    "backstory-formats",
    "backstory-tables",
    "backstory-convert",
    "backstory-destination",
    "backstory-lake",
    SIMULATOR,
];

const LIBRARIES_AND_BINARY: &[&str] = &[
    "backstory-cli",
    "backstory-sync",
    "backstory-probe",
    "backstory-api",
    "backstory-auth",
    "backstory-transport",
    "backstory-limits",
    "backstory-formats",
    "backstory-tables",
    "backstory-convert",
    "backstory-destination",
    "backstory-lake",
    SIMULATOR,
];

const SIMULATOR: &str = "backstory-sim";
const TASKS: &str = "xtask";

/// The only package that may know which HTTP client is behind the port.
const ADAPTER: &str = "backstory-transport";

/// Clients and engines of HTTP that a library could reach for to go around the port. Types alone (`http`) are no harm.
const HTTP_ENGINES: &[&str] = &["hyper", "hyper-util", "hyper-rustls", "h2", "ureq", "curl", "isahc"];

/// Packages that speak HTTP for a living, or drive it in tests and measurements.
const MAY_NAME_HTTP_ENGINES: &[&str] = &[ADAPTER, SIMULATOR, "backstory-tests", TASKS];

pub(crate) fn check(packages: &[Package]) -> Vec<Violation> {
    packages.iter().flat_map(|package| check_package(package, packages)).collect()
}

fn check_package(package: &Package, packages: &[Package]) -> Vec<Violation> {
    let from = package.name.as_str();
    let Some(room) = ROOMS.iter().find(|room| room.name == from) else {
        return vec![format!(
            "the package `{from}` has no place in the house yet; add it to ROOMS in xtask/src/tidy/arrows.rs with the \
             packages that lie below it, and to docs/architecture.md"
        )];
    };
    let mut violations = Vec::new();
    for dependency in &package.dependencies {
        let to = dependency.name.as_str();
        if to == "reqwest" && from != ADAPTER {
            violations.push(format!(
                "`{from}` names reqwest, which only `{ADAPTER}` may; take the `HttpService` port of `{ADAPTER}` \
                 instead, and move what needs reqwest itself into the adapter there"
            ));
        } else if HTTP_ENGINES.contains(&to)
            && dependency.kind == Kind::Normal
            && !MAY_NAME_HTTP_ENGINES.contains(&from)
        {
            violations.push(format!(
                "`{from}` names the HTTP engine `{to}`; move what speaks HTTP into `{ADAPTER}`, behind its \
                 `HttpService` port"
            ));
        } else if packages.iter().any(|package| package.name == to) && to != from {
            violations.extend(check_arrow(room, to, dependency.kind));
        }
    }
    violations.dedup();
    violations
}

fn check_arrow(room: &Room, to: &str, kind: Kind) -> Option<Violation> {
    let from = room.name;
    if to == TASKS {
        return Some(format!(
            "`{from}` depends on `{TASKS}`, which holds tasks for people and no code for others; move what `{from}` \
             needs from it into a library below `{from}`"
        ));
    }
    if from == SIMULATOR {
        return Some(format!(
            "`{SIMULATOR}` depends on `{to}`, but it is an independent oracle and uses no crate of this workspace, \
             not even in its tests; write what it needs anew from docs/contract.md, inside crates/sim, or move a test \
             of both into the `tests` package"
        ));
    }
    // Tests may also run against the simulator: it lies beside the house, and users don't build it.
    let allowed = room.below.contains(&to) || (kind == Kind::Dev && to == SIMULATOR);
    if allowed {
        return None;
    }
    let may_use = if room.below.is_empty() {
        "no package of the workspace".to_owned()
    } else {
        format!("only {}", room.below.join(", "))
    };
    let remedy = match kind {
        Kind::Normal => {
            format!(
                "move what it needs of `{to}` down into a package below both, or the code that needs it up"
            )
        }
        Kind::Dev => {
            format!("move the test that needs `{to}` up into that package, or into the `tests` package")
        }
    };
    let label = if kind == Kind::Dev { "dev-depends" } else { "depends" };
    Some(format!("`{from}` {label} on `{to}`, but arrows point down: it may use {may_use}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::graph::Dependency;

    fn package(name: &str, dependencies: &[(&str, Kind)]) -> Package {
        let dependencies =
            dependencies.iter().map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: *kind });
        Package { name: name.to_owned(), dependencies: dependencies.collect() }
    }

    /// The checks of one package in a workspace of all known ones.
    fn violations_of(name: &str, dependencies: &[(&str, Kind)]) -> Vec<Violation> {
        let mut packages: Vec<Package> =
            ROOMS.iter().filter(|room| room.name != name).map(|room| package(room.name, &[])).collect();
        packages.push(package(name, dependencies));
        check(&packages)
    }

    #[test]
    fn every_arrow_of_the_house_itself_is_allowed() {
        for room in ROOMS {
            let below: Vec<_> = room.below.iter().map(|name| (*name, Kind::Normal)).collect();
            assert_eq!(violations_of(room.name, &below), Vec::<Violation>::new(), "{}", room.name);
        }
    }

    #[test]
    fn rooms_below_rooms_form_no_circle() {
        // Each room's own "below" must already contain what lies below those.
        for room in ROOMS {
            for lower in room.below {
                let lower = ROOMS.iter().find(|room| room.name == *lower).unwrap();
                assert!(!lower.below.contains(&room.name), "{} and {}", room.name, lower.name);
                assert!(lower.below.iter().all(|name| room.below.contains(name)), "{}", room.name);
            }
        }
    }

    #[test]
    fn an_arrow_that_points_up_says_what_to_move() {
        assert_eq!(
            violations_of("backstory-tables", &[("backstory-sync", Kind::Normal)]),
            ["`backstory-tables` depends on `backstory-sync`, but arrows point down: it may use only \
                 backstory-formats; move what it needs of `backstory-sync` down into a package below both, or the code \
                 that needs it up"]
        );
    }

    #[test]
    fn leaves_do_not_know_of_each_other() {
        for (from, to) in [
            ("backstory-limits", "backstory-formats"),
            ("backstory-formats", "backstory-transport"),
            ("backstory-transport", "backstory-limits"),
        ] {
            assert_eq!(violations_of(from, &[(to, Kind::Normal)]).len(), 1, "{from} → {to}");
            assert_eq!(violations_of(from, &[(to, Kind::Dev)]).len(), 1, "{from} → {to} in tests");
        }
    }

    #[test]
    fn the_simulator_uses_nobody_and_only_tests_and_the_binary_use_it() {
        for kind in [Kind::Normal, Kind::Dev] {
            let found = violations_of("backstory-sim", &[("backstory-formats", kind)]);
            assert!(found[0].contains("independent oracle"), "{found:?}");
        }
        assert!(violations_of("backstory-api", &[("backstory-sim", Kind::Dev)]).is_empty());
        assert!(violations_of("backstory-cli", &[("backstory-sim", Kind::Normal)]).is_empty());
        assert_eq!(violations_of("backstory-api", &[("backstory-sim", Kind::Normal)]).len(), 1);
    }

    #[test]
    fn only_the_adapter_names_reqwest_in_any_kind_of_dependency() {
        assert!(violations_of("backstory-transport", &[("reqwest", Kind::Normal)]).is_empty());
        for kind in [Kind::Normal, Kind::Dev] {
            for from in ["backstory-auth", "backstory-sim", "backstory-tests"] {
                let found = violations_of(from, &[("reqwest", kind)]);
                assert!(found[0].contains("`HttpService` port"), "{found:?}");
            }
        }
    }

    #[test]
    fn an_http_engine_may_serve_tests_but_not_a_library() {
        assert_eq!(violations_of("backstory-sync", &[("hyper", Kind::Normal)]).len(), 1);
        assert!(violations_of("backstory-sync", &[("hyper", Kind::Dev)]).is_empty());
        assert!(violations_of("backstory-sim", &[("hyper", Kind::Normal)]).is_empty());
    }

    #[test]
    fn nothing_depends_on_the_tasks() {
        assert!(violations_of("backstory-tests", &[("xtask", Kind::Dev)])[0].contains("no code for others"));
    }

    #[test]
    fn a_package_without_a_place_is_asked_for_one_and_every_violation_is_listed() {
        let packages = [
            package("backstory-stray", &[]),
            package("backstory-limits", &[("backstory-stray", Kind::Normal), ("reqwest", Kind::Dev)]),
        ];
        let found = check(&packages);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("has no place in the house yet"));
    }
}
