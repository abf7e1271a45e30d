//! A delivery on its way into the lake: each fragment becomes a file beside its place, and gets its name when all of them are
//! whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use backstory_destination::{
    Committed, Delivered, Delivery, DeliveryRecord, Error, ErrorKind, FragmentRecord, Landing, Load, Proof,
    fail_point,
};
use backstory_tables::{BadRows, Conversion, ParquetOptions, Summary};

use crate::footer::{self, Holds};
use crate::identity::sync_folder;
use crate::lake::Inner;
use crate::problem::unwritable;
use crate::shared_landing::SharedLanding;

/// A delivery on its way in.
pub(crate) struct LakeLoad {
    lake: Arc<Inner>,
    delivery: Delivery,
    /// The fragments that are whole, each with its file.
    fragments: BTreeMap<u32, (PathBuf, Landing, FragmentRecord)>,
}

impl LakeLoad {
    pub(crate) fn new(lake: Arc<Inner>, delivery: Delivery) -> Self {
        Self { lake, delivery, fragments: BTreeMap::new() }
    }
}

impl Load for LakeLoad {
    fn fragment(
        &mut self,
        fragment: u32,
        conversion: Conversion,
        delivered: &mut dyn Delivered,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        let path = self.lake.layout.part(&self.delivery, fragment);
        make_folder_of(&path)?;
        let writer = SharedLanding::begin(&path).map_err(|error| cannot_land(&path, error))?;
        let proof = Arc::new(OnceLock::new());
        let described = Arc::new(OnceLock::new());
        let describe = {
            let (writer, proof, described) = (writer.clone(), Arc::clone(&proof), Arc::clone(&described));
            let (lake, delivery) = (self.lake.id.clone(), self.delivery.clone());
            let kept = delivered.is_kept();
            move |summary: &Summary| {
                let (Some(Proof { bytes, lines, sha256 }), Some(body)) =
                    (proof.get().cloned(), writer.so_far())
                else {
                    return Vec::new();
                };
                let part = FragmentRecord::new(fragment, bytes, lines, sha256)
                    .with_summary(summary)
                    .with_raw_kept(kept);
                let part = described.get_or_init(|| part);
                let record = DeliveryRecord::new(delivery, vec![part.clone()]);
                footer::entries(&lake, &Holds::Part(record), &body)
            }
        };
        let summary = conversion
            .with_metadata_at_end(describe)
            .to_parquet(
                Proven { delivered, proof: &proof },
                writer.clone(),
                &ParquetOptions::default(),
                bad_rows,
            )
            .map_err(Error::of_conversion)?;
        let landing = writer.take();
        let (Some(part), Some(mut landing)) = (described.get(), landing) else {
            let message =
                format!("the end of fragment {fragment} of job {} wasn't seen", self.delivery.job_id);
            return Err(Error::new(ErrorKind::Rows, message).with_hint("download it again"));
        };
        landing.sync().map_err(|error| unwritable(&path, error))?;
        self.fragments.insert(fragment, (path, landing, part.clone()));
        Ok(summary)
    }

    fn commit(mut self: Box<Self>) -> Result<Committed, Error> {
        let parts = self.fragments.values().map(|(_, _, part)| part.clone()).collect();
        let record = DeliveryRecord::new(self.delivery.clone(), parts);
        if !record.is_whole() {
            let message = format!(
                "job {} can't be committed: {} of its {} fragments were loaded",
                self.delivery.job_id,
                record.parts.len(),
                self.delivery.fragments
            );
            return Err(Error::new(ErrorKind::Rows, message).with_hint("load every fragment, from 0 on"));
        }
        let before = self.lake.state()?;
        let committed = before.deliveries.iter().find(|before| {
            before.delivery.job_id == self.delivery.job_id
                && before.delivery.resource == self.delivery.resource
        });
        let repeated = committed.is_some();
        fail_point("lake-loaded");
        // The first fragment tells how many there are, so it is the last to get its name: up to then the delivery stands, or is
        // missing, as it did before.
        for (_, (path, landing, _)) in std::mem::take(&mut self.fragments).into_iter().rev() {
            landing.commit().map_err(|error| unwritable(&path, error))?;
            fail_point("lake-fragment-landed");
        }
        self.lake.note_commit(&self.delivery.job_id);
        // The rows are committed; views that can't be written now are written when the lake settles. Over a base that takes a
        // look at all of its keys, so it is done once, at the end.
        if before.activities.base.is_none()
            && let Err(error) = self.lake.refresh_views()
        {
            tracing::warn!(%error, "can't bring the views up to date yet");
        }
        fail_point("lake-committed");
        Ok(Committed::new(record, repeated))
    }
}

/// A file in a new folder is there after a crash only when the folder is on disk as well.
fn make_folder_of(path: &Path) -> Result<(), Error> {
    match path.parent().map(|folder| (folder, folder.parent())) {
        Some((folder, Some(around))) if !folder.exists() => {
            fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
            sync_folder(around)
        }
        _ => Ok(()),
    }
}

fn cannot_land(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::ResourceBusy {
        return Error::new(ErrorKind::Busy, "the same delivery is being loaded by somebody else")
            .with_hint("wait for the other run to end")
            .with_source(error);
    }
    unwritable(path, error)
}

/// Keeps the proof when the end has been read.
struct Proven<'d> {
    delivered: &'d mut dyn Delivered,
    proof: &'d OnceLock<Proof>,
}

impl Read for Proven<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.delivered.read(buffer)?;
        if read == 0
            && !buffer.is_empty()
            && let Some(proof) = self.delivered.proof()
        {
            // A second reading of the end proves the same.
            let _ = self.proof.set(proof);
        }
        Ok(read)
    }
}
