//! What becomes of memory that was freed.

/// Lets the allocator of glibc keep the memory of frames that were freed, instead of giving it back
/// to the system and asking for it again with the next frame: clean pages for it take longer than
/// everything else that a node does with a 1920x1080 image (`benches/live.rs`). To be called once,
/// before there are threads. Elsewhere than on glibc it does nothing.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const MIB: libc::c_int = 1 << 20;
        for (parameter, bytes) in [
            // Up to this size memory comes from heaps that are kept; glibc takes no larger value.
            (libc::M_MMAP_THRESHOLD, 32 * MIB),
            // So much may be free at the end of a heap: some frames, and their copies.
            (libc::M_TRIM_THRESHOLD, 128 * MIB),
            (libc::M_TOP_PAD, 16 * MIB),
        ] {
            #[allow(unsafe_code, reason = "glibc's only way of being told")]
            // SAFETY: `mallopt` has no requirements but that no other thread calls it.
            let is_taken = unsafe { libc::mallopt(parameter, bytes) };
            if is_taken != 1 {
                tracing::debug!("mallopt {parameter} was not taken");
            }
        }
    }
}
