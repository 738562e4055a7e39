//! Floor 5: where frames come from and results go.

pub mod rosbag2;
