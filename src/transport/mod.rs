//! Floor 5: where frames come from and results go.

mod closing;
pub mod frames;
pub mod inspect;
pub mod live;
pub mod metrics;
pub mod records;
pub mod rmw_zenoh;
pub mod ros;
pub mod rosbag2;
pub mod zenoh;
