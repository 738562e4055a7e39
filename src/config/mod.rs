//! Floor 1: configuration, from its serde form to its validated form.
