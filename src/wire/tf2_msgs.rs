//! `tf2_msgs/msg/TFMessage`: what stands on `/tf` and `/tf_static`.

use super::cdr::{FieldError, Message, Reader, Writer};
use super::geometry_msgs::TransformStamped;
use crate::types::FrameTransform;

/// `tf2_msgs/msg/TFMessage`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TFMessage<'a> {
    /// Any number of transforms, each with a stamp of its own.
    pub transforms: Vec<TransformStamped<'a>>,
}

impl TFMessage<'_> {
    /// The same as owned words of floor 0.
    #[must_use]
    pub fn to_transforms(&self) -> Vec<FrameTransform> {
        let transforms = self.transforms.iter().map(|transform| FrameTransform {
            stamp: transform.stamp(),
            parent: transform.header.frame_id.to_owned(),
            child: transform.child_frame_id.to_owned(),
            translation_m: transform.transform.translation,
            rotation_xyzw: transform.transform.rotation,
        });
        transforms.collect()
    }
}

impl<'a> Message<'a> for TFMessage<'a> {
    const TYPE: &'static str = "tf2_msgs/msg/TFMessage";
    const SMALLEST: usize = 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self { transforms: reader.sequence("transforms")? })
    }

    fn write(&self, writer: &mut Writer) {
        writer.sequence(&self.transforms);
    }
}

#[cfg(test)]
mod tests {
    use super::super::geometry_msgs::Transform;
    use super::super::std_msgs::{Header, Time};
    use super::*;

    #[test]
    fn transforms_round_trip_and_a_broken_one_is_named() {
        let transform = |child_frame_id| TransformStamped {
            header: Header { stamp: Time { sec: 7, nanosec: 8 }, frame_id: "map" },
            child_frame_id,
            transform: Transform { translation: [1.0, 2.0, 3.0], ..Default::default() },
        };
        let message = TFMessage { transforms: vec![transform("odom"), transform("base_link")] };
        let bytes = message.encode();
        assert_eq!(TFMessage::decode(&bytes), Ok(message));

        let error = TFMessage::decode(&bytes[..bytes.len() - 1]).unwrap_err();
        assert_eq!(error.at.field, "transforms[1].transform.rotation");
        let mut hostile = bytes;
        hostile[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = TFMessage::decode(&hostile).unwrap_err();
        assert_eq!((error.at.field.as_str(), error.at.offset), ("transforms", 8));
        assert_eq!(error.at.found, "a count of 4294967295");
    }
}
