//! Where things are in a lake, and what files are called. A name tells people what is inside; what counts is what the file
//! says of itself.

use std::path::{Path, PathBuf};

use backstory_destination::{Delivery, DeliveryKind};
use backstory_tables::Resource;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

/// What stays as it is in a job's id. Capital letters don't: some file systems don't tell them from small ones.
const ODD: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The longest id of a job that becomes part of a file's name as it is.
const LONGEST_ID: usize = 100;

/// The paths of a lake.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// A lake in a folder, whose path is absolute.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that holds a resource's data.
    pub(crate) fn data(&self, resource: Resource) -> PathBuf {
        self.root.join(resource.as_str())
    }

    /// The folder that holds the base generations.
    pub(crate) fn generations(&self) -> PathBuf {
        self.data(Resource::Activities).join("base")
    }

    /// The folder of one base generation.
    pub(crate) fn generation(&self, number: u32) -> PathBuf {
        self.generations().join(format!("{number:06}"))
    }

    pub(crate) fn views(&self) -> PathBuf {
        self.root.join("views.duckdb.sql")
    }

    /// What is nobody's business but this project's.
    pub(crate) fn own(&self) -> PathBuf {
        self.root.join("_backstory")
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.own().join("lake.json")
    }

    pub(crate) fn compaction(&self) -> PathBuf {
        self.own().join("compaction")
    }

    pub(crate) fn compaction_lock(&self) -> PathBuf {
        self.own().join("compaction.lock")
    }

    /// The file of a delivery's fragment.
    pub(crate) fn part(&self, delivery: &Delivery, fragment: u32) -> PathBuf {
        let folder = match delivery.kind {
            DeliveryKind::Snapshot | DeliveryKind::Delta => {
                self.data(Resource::Activities).join(delivery.kind.as_str())
            }
            DeliveryKind::Contacts => self.data(Resource::Contacts).join(set_in_name(&set_of(delivery))),
        };
        let (from, to) = (delivery.window.from, delivery.window.to);
        folder.join(format!("{from}_{to}.job-{}.{fragment}.parquet", id_in_name(&delivery.job_id)))
    }
}

/// A file of a base generation.
pub(crate) fn base_file_name(number: u32, of: u32) -> String {
    format!("{number:04}-of-{of:04}.parquet")
}

/// Which refresh of contacts a delivery is a part of. Refreshes are ordered by it; one that is complete by itself is named as it
/// would be as a set.
pub(crate) fn set_of(delivery: &Delivery) -> String {
    match &delivery.part_of {
        Some(part_of) => part_of.set.clone(),
        None => delivery.created().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

/// A refresh as a folder's name: an instant without colons, which some file systems don't have.
fn set_in_name(set: &str) -> String {
    let kept = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let name: String = set.chars().take(LONGEST_ID).map(kept).collect();
    name.trim_start_matches('.').to_owned()
}

/// A job's id as a part of a file's name.
fn id_in_name(id: &str) -> String {
    let mut name = String::new();
    for piece in utf8_percent_encode(id, ODD) {
        for letter in piece.chars() {
            if piece.len() != 3 && letter.is_ascii_uppercase() {
                name.push_str(&format!("%{:02X}", u32::from(letter)));
            } else {
                name.push(letter);
            }
        }
    }
    if name.len() <= LONGEST_ID {
        return name;
    }
    let hash: String = Sha256::digest(id).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    // Escapes are ASCII, so any byte may be cut behind.
    format!("{}~{hash}", &name[..LONGEST_ID - hash.len()])
}

#[cfg(test)]
mod tests {
    use backstory_destination::Window;
    use jiff::Timestamp;
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn file_of(id: &str) -> PathBuf {
        let window = Window::new(date(2026, 11, 1), date(2026, 11, 14));
        let delivery =
            Delivery::new(id, DeliveryKind::Delta, window, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        Layout::new(PathBuf::from("/lake")).part(&delivery, 0)
    }

    #[test]
    fn a_name_tells_the_window_and_the_job() {
        assert_eq!(
            file_of("123"),
            Path::new("/lake/activities/delta/2026-11-01_2026-11-14.job-123.0.parquet")
        );
        assert_eq!(
            file_of("../A%b"),
            Path::new("/lake/activities/delta/2026-11-01_2026-11-14.job-%2E%2E%2F%41%25b.0.parquet")
        );
    }

    #[test]
    fn contacts_stand_in_a_folder_for_each_refresh() {
        let day = date(2026, 11, 1);
        let now: Timestamp = "2026-11-20T06:00:00.5Z".parse().unwrap();
        let delivery = Delivery::new("5", DeliveryKind::Contacts, Window::new(day, day), now, now);
        assert_eq!(
            Layout::new(PathBuf::from("/lake")).part(&delivery, 0),
            Path::new("/lake/contacts/2026-11-20T06-00-00Z/2026-11-01_2026-11-01.job-5.0.parquet")
        );
        assert_eq!(set_in_name("../a"), "-a");
    }

    proptest! {
        #[test]
        fn different_jobs_have_different_names_in_the_same_folder(one in "\\PC{0,200}", other in "\\PC{0,200}") {
            let [left, right] = [&one, &other].map(|id| file_of(id));
            prop_assert_eq!(left.parent(), right.parent());
            let [left, right] = [left, right].map(|path| path.file_name().unwrap().to_str().unwrap().to_lowercase());
            prop_assert!(left.len() < 200);
            prop_assert_eq!(left == right, one == other);
        }
    }
}
