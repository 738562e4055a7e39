//! Floor 1: checkpoints on disk and on the hub.
