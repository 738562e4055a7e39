//! `builtin_interfaces/msg/Time` and `std_msgs/msg/Header`.

use std::sync::Arc;

use crate::types::{FrameHeader, Stamp};

use super::cdr::{FieldError, Message, Reader, Writer};

/// `builtin_interfaces/msg/Time`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Whole seconds.
    pub sec: i32,
    /// Nanoseconds in `[0, 1e9)`.
    pub nanosec: u32,
}

impl From<Time> for Stamp {
    fn from(time: Time) -> Self {
        Self::from_ros(time.sec, time.nanosec)
    }
}

impl From<Stamp> for Time {
    fn from(stamp: Stamp) -> Self {
        let (sec, nanosec) = stamp.to_ros();
        Self { sec, nanosec }
    }
}

impl<'a> Message<'a> for Time {
    const TYPE: &'static str = "builtin_interfaces/msg/Time";
    const SMALLEST: usize = 4 + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self { sec: reader.i32("sec")?, nanosec: reader.u32("nanosec")? })
    }

    fn write(&self, writer: &mut Writer) {
        writer.i32(self.sec);
        writer.u32(self.nanosec);
    }
}

/// `std_msgs/msg/Header`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header<'a> {
    /// When the data was taken.
    pub stamp: Time,
    /// The coordinate frame that the data is in.
    pub frame_id: &'a str,
}

impl Header<'_> {
    /// The same as an owned word of floor 0.
    #[must_use]
    pub fn to_frame_header(self) -> FrameHeader {
        FrameHeader { stamp: self.stamp.into(), frame_id: Arc::from(self.frame_id) }
    }
}

impl<'a> From<&'a FrameHeader> for Header<'a> {
    fn from(header: &'a FrameHeader) -> Self {
        Self { stamp: header.stamp.into(), frame_id: &header.frame_id }
    }
}

impl<'a> Message<'a> for Header<'a> {
    const TYPE: &'static str = "std_msgs/msg/Header";
    const SMALLEST: usize = Time::SMALLEST + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self { stamp: reader.nested("stamp")?, frame_id: reader.string("frame_id")? })
    }

    fn write(&self, writer: &mut Writer) {
        self.stamp.write(writer);
        writer.string(self.frame_id);
    }
}
