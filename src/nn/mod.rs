//! Floor 2: torch blocks that several architectures share.
