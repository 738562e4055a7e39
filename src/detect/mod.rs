//! Floor 4: detection. Images in, boxes in source pixels out.
