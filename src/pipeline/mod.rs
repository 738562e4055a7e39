//! Floor 5: the inference thread, the mailboxes before it and the timings after it.
