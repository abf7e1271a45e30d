//! How the program uses its allocator.

/// From this size on, a piece of memory is taken from the system and given back to it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 512 << 10;

/// Keeps memory flat where the allocator is glibc's: large pieces stay out of its heaps.
///
/// Once it has seen a large piece freed, it would put the next of that size on a heap, which they tear into holes. Converting
/// 128 MiB to Parquet peaked at 67 MiB and 1 GiB at 78; so it is 66 and 71, in the same time. A compaction takes a tenth more
/// of the processor. One heap for all threads would save another 3 MiB, but threads wait for each other there.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(crate) fn keep_flat() {
    // SAFETY: this sets one number of the allocator, before there is a second thread. Where it is refused, nothing changes.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Other allocators have no such setting.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_flat() {}
