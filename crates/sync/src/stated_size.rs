//! The size of a result as the service states it, against what has arrived.

use backstory_api::Job;

/// What to say where fewer bytes have arrived than `results_size` states. Whether that counts bytes or records isn't known,
/// and nothing follows from it but a warning (contract (j.16)); a record has a byte at least, so there are never fewer bytes.
pub(crate) fn doubt(job: &Job, bytes: u64) -> Option<String> {
    let stated = u64::try_from(job.results_size?).ok()?;
    (bytes < stated).then(|| {
        format!(
            "the result may not be whole: the service states a size of {stated}, and its body ended after {bytes} bytes; \
             compare what arrived with the service, or fetch it again into another folder"
        )
    })
}
