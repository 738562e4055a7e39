//! Floor 5: where frames come from and results go.

pub mod frames;
pub mod inspect;
pub mod records;
pub mod rosbag2;
