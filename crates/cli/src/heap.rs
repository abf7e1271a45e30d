//! How the program uses its allocator.

/// From this size on, a piece of memory is taken from the system and given back to it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 512 << 10;

/// Keeps memory flat where the allocator is glibc's: all threads share one heap, and large pieces stay out of it.
///
/// What one thread allocates another one frees here: a batch is decoded on one, encoded on the next and written by a third. With
/// a heap for each thread, glibc keeps what such a hand-over leaves; and once it has seen a large piece freed, it puts those of
/// that size on the heap too, which they tear into holes. Converting 128 MiB to Parquet peaked at 54 MiB and 1 GiB at 62; with one
/// heap, and larger batches, at 63 and 71; without large pieces in it at 64 and 66. The processor time was the same.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(crate) fn keep_flat() {
    // SAFETY: these set two numbers of the allocator, before there is a second thread. Where one is refused, nothing changes.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Other allocators have no such settings.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_flat() {}
