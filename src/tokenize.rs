//! Floor 3: text to token ids.
