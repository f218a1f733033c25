//! Memory that a clip has used, kept for the next one.

use std::{hint::black_box, sync::Once};

/// The largest block that glibc takes as a hint: its `DEFAULT_MMAP_THRESHOLD_MAX` of 32 MiB, less room for its own header.
const HINT_BYTES: usize = (32 << 20) - (64 << 10);

/// Makes the allocator keep what is freed (up to 64 MiB a thread) instead of giving it back to the system at once.
///
/// A clip of 30 s takes tens of MiB of spectrograms and frees them again; fetching their pages anew for every clip is a
/// third of the time of its analysis. glibc's malloc keeps at most twice the largest block that was ever mapped
/// and freed, so one such block, of which no page is touched, raises the bound. Other allocators see an unused block
/// come and go.
pub(crate) fn keep_freed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(black_box(Vec::<u8>::with_capacity(HINT_BYTES))));
}
