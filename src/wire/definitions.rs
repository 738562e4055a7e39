//! The definitions that go into a recording beside the messages, so that a reader that has never
//! seen a type can still decode it.

use super::cdr::Message;
use super::sensor_msgs::{CameraInfo, CompressedImage, Image};
use super::vision_msgs::Detection2DArray;

/// What a recording keeps of a message type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageDefinition {
    /// Full name of the ROS 2 type, such as `sensor_msgs/msg/Image`.
    pub message_type: &'static str,
    /// The `.msg` text, followed by that of every type it uses, parted by lines of 80 `=`
    /// (encoding `ros2msg`).
    pub text: &'static str,
    /// The hash of REP 2016, `RIHS01_` and 64 hexadecimal digits. It was computed by the Python
    /// package `rosbags` from the text above, and a test does so again.
    pub type_hash: &'static str,
}

macro_rules! part {
    ($name:literal, $text:literal) => {
        concat!(
            "====================",
            "====================",
            "====================",
            "====================\n",
            "MSG: ",
            $name,
            "\n",
            $text
        )
    };
}

macro_rules! header {
    () => {
        concat!(
            part!("std_msgs/Header", "builtin_interfaces/Time stamp\nstring frame_id\n"),
            part!("builtin_interfaces/Time", "int32 sec\nuint32 nanosec\n"),
        )
    };
}

const IMAGE: MessageDefinition = MessageDefinition {
    message_type: Image::TYPE,
    text: concat!(
        "std_msgs/Header header\n",
        "uint32 height\n",
        "uint32 width\n",
        "string encoding\n",
        "uint8 is_bigendian\n",
        "uint32 step\n",
        "uint8[] data\n",
        header!(),
    ),
    type_hash: "RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
};

const COMPRESSED_IMAGE: MessageDefinition = MessageDefinition {
    message_type: CompressedImage::TYPE,
    text: concat!("std_msgs/Header header\n", "string format\n", "uint8[] data\n", header!()),
    type_hash: "RIHS01_15640771531571185e2efc8a100baf923961a4d15d5569652e6cb6691e8e371a",
};

const CAMERA_INFO: MessageDefinition = MessageDefinition {
    message_type: CameraInfo::TYPE,
    text: concat!(
        "std_msgs/Header header\n",
        "uint32 height\n",
        "uint32 width\n",
        "string distortion_model\n",
        "float64[] d\n",
        "float64[9] k\n",
        "float64[9] r\n",
        "float64[12] p\n",
        "uint32 binning_x\n",
        "uint32 binning_y\n",
        "sensor_msgs/RegionOfInterest roi\n",
        header!(),
        part!(
            "sensor_msgs/RegionOfInterest",
            "uint32 x_offset\nuint32 y_offset\nuint32 height\nuint32 width\nbool do_rectify\n"
        ),
    ),
    type_hash: "RIHS01_b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275",
};

const DETECTION_2D_ARRAY: MessageDefinition = MessageDefinition {
    message_type: Detection2DArray::TYPE,
    text: concat!(
        "std_msgs/Header header\n",
        "vision_msgs/Detection2D[] detections\n",
        header!(),
        part!(
            "vision_msgs/Detection2D",
            "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n\
             vision_msgs/BoundingBox2D bbox\nstring id\n"
        ),
        part!(
            "vision_msgs/ObjectHypothesisWithPose",
            "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n"
        ),
        part!("vision_msgs/ObjectHypothesis", "string class_id\nfloat64 score\n"),
        part!(
            "geometry_msgs/PoseWithCovariance",
            "geometry_msgs/Pose pose\nfloat64[36] covariance\n"
        ),
        part!(
            "geometry_msgs/Pose",
            "geometry_msgs/Point position\ngeometry_msgs/Quaternion orientation\n"
        ),
        part!("geometry_msgs/Point", "float64 x\nfloat64 y\nfloat64 z\n"),
        part!("geometry_msgs/Quaternion", "float64 x\nfloat64 y\nfloat64 z\nfloat64 w\n"),
        part!(
            "vision_msgs/BoundingBox2D",
            "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n"
        ),
        part!("vision_msgs/Pose2D", "vision_msgs/Point2D position\nfloat64 theta\n"),
        part!("vision_msgs/Point2D", "float64 x\nfloat64 y\n"),
    ),
    type_hash: "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
};

/// The definition of a type that Owlet can write; `None` for any other.
#[must_use]
pub fn definition_of(message_type: &str) -> Option<&'static MessageDefinition> {
    const ALL: [&MessageDefinition; 4] =
        [&IMAGE, &COMPRESSED_IMAGE, &CAMERA_INFO, &DETECTION_2D_ARRAY];
    ALL.into_iter().find(|definition| definition.message_type == message_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_a_definition_names_stands_in_it() {
        for message_type in
            [Image::TYPE, CompressedImage::TYPE, CameraInfo::TYPE, Detection2DArray::TYPE]
        {
            let text = definition_of(message_type).unwrap().text;
            for line in text.lines() {
                let word = line.split(['[', ' ']).next().unwrap();
                if word.contains('/') {
                    assert!(text.contains(&format!("MSG: {word}\n")), "{message_type}: {word}");
                }
            }
            let separators: Vec<_> = text.lines().filter(|line| line.starts_with('=')).collect();
            assert!(separators.iter().all(|line| line.len() == 80));
        }
        assert!(definition_of("std_msgs/msg/String").is_none());
    }
}
