//! Floor 5: where frames come from and results go.

mod closing;
pub mod frames;
pub mod inspect;
pub mod live;
pub mod masks;
pub mod metrics;
pub mod records;
pub mod rmw_zenoh;
pub mod ros;
#[cfg(feature = "ros2")]
pub mod ros2;
pub mod rosbag2;
pub mod zenoh;
