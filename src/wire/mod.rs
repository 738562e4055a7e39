//! Floor 1: message structs and CDR; no I/O.
