//! Floor 1: host image work: decode, colour, resize, canvas geometry, overlay.
