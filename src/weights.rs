//! Floor 3: strict loading of checkpoints.
