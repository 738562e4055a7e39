//! The definitions that go into a recording beside the messages, so that a reader that has never
//! seen a type can still decode it.

use super::cdr::Message;
use super::diagnostic_msgs::DiagnosticArray;
use super::geometry_msgs::PoseStamped;
use super::sensor_msgs::{CameraInfo, CompressedImage, Image, PointCloud2};
use super::tf2_msgs::TFMessage;
use super::vision_msgs::{Detection2DArray, Detection3DArray, LabelInfo, VisionInfo};

/// What a recording keeps of a message type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageDefinition {
    /// Full name of the ROS 2 type, such as `sensor_msgs/msg/Image`.
    pub message_type: &'static str,
    /// The `.msg` text, followed by that of every type it uses, parted by lines of 80 `=`
    /// (encoding `ros2msg`). Constants of no use in a recording may be missing: they are no part
    /// of the hash.
    pub text: &'static str,
    /// The hash of REP 2016, `RIHS01_` and 64 hexadecimal digits. A test computes
    /// it from the text above, and another one has the Python package `rosbags` do so.
    pub type_hash: &'static str,
}

macro_rules! part {
    ($name:literal, $($text:tt)+) => {
        concat!(
            "====================",
            "====================",
            "====================",
            "====================\n",
            "MSG: ",
            $name,
            "\n",
            $($text)+
        )
    };
}

macro_rules! time {
    () => {
        part!("builtin_interfaces/Time", "int32 sec\nuint32 nanosec\n")
    };
}

macro_rules! header {
    () => {
        concat!(
            part!("std_msgs/Header", "builtin_interfaces/Time stamp\nstring frame_id\n"),
            time!(),
        )
    };
}

macro_rules! vector {
    ($name:literal) => {
        part!($name, "float64 x\nfloat64 y\nfloat64 z\n")
    };
}

macro_rules! quaternion {
    () => {
        part!("geometry_msgs/Quaternion", "float64 x\nfloat64 y\nfloat64 z\nfloat64 w\n")
    };
}

macro_rules! pose {
    () => {
        concat!(
            part!(
                "geometry_msgs/Pose",
                "geometry_msgs/Point position\ngeometry_msgs/Quaternion orientation\n"
            ),
            vector!("geometry_msgs/Point"),
            quaternion!(),
        )
    };
}

macro_rules! hypothesis_with_pose {
    () => {
        concat!(
            part!(
                "vision_msgs/ObjectHypothesisWithPose",
                "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n"
            ),
            part!("vision_msgs/ObjectHypothesis", "string class_id\nfloat64 score\n"),
            part!(
                "geometry_msgs/PoseWithCovariance",
                "geometry_msgs/Pose pose\nfloat64[36] covariance\n"
            ),
            pose!(),
        )
    };
}

macro_rules! bounding_box_2d {
    () => {
        concat!(
            part!(
                "vision_msgs/BoundingBox2D",
                "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n"
            ),
            part!("vision_msgs/Pose2D", "vision_msgs/Point2D position\nfloat64 theta\n"),
            part!("vision_msgs/Point2D", "float64 x\nfloat64 y\n"),
        )
    };
}

mod node;

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
        hypothesis_with_pose!(),
        bounding_box_2d!(),
    ),
    type_hash: "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
};

const DETECTION_3D_ARRAY: MessageDefinition = MessageDefinition {
    message_type: Detection3DArray::TYPE,
    text: concat!(
        "std_msgs/Header header\n",
        "vision_msgs/Detection3D[] detections\n",
        header!(),
        part!(
            "vision_msgs/Detection3D",
            "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n\
             vision_msgs/BoundingBox3D bbox\nstring id\n"
        ),
        hypothesis_with_pose!(),
        part!(
            "vision_msgs/BoundingBox3D",
            "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n"
        ),
        vector!("geometry_msgs/Vector3"),
    ),
    type_hash: "RIHS01_793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018",
};

const LABEL_INFO: MessageDefinition = MessageDefinition {
    message_type: LabelInfo::TYPE,
    text: concat!(
        "std_msgs/Header header\n",
        "vision_msgs/VisionClass[] class_map\n",
        "float32 threshold\n",
        header!(),
        part!("vision_msgs/VisionClass", "uint16 class_id\nstring class_name\n"),
    ),
    type_hash: "RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783",
};

const VISION_INFO: MessageDefinition = MessageDefinition {
    message_type: VisionInfo::TYPE,
    text: concat!(
        "std_msgs/Header header\n",
        "string method\n",
        "string database_location\n",
        "int32 database_version\n",
        header!(),
    ),
    type_hash: "RIHS01_95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284",
};

const POINT_CLOUD_2: MessageDefinition = MessageDefinition {
    message_type: PointCloud2::TYPE,
    text: concat!(
        "std_msgs/Header header\n",
        "uint32 height\n",
        "uint32 width\n",
        "sensor_msgs/PointField[] fields\n",
        "bool is_bigendian\n",
        "uint32 point_step\n",
        "uint32 row_step\n",
        "uint8[] data\n",
        "bool is_dense\n",
        header!(),
        part!(
            "sensor_msgs/PointField",
            "uint8 INT8=1\nuint8 UINT8=2\nuint8 INT16=3\nuint8 UINT16=4\nuint8 INT32=5\n\
             uint8 UINT32=6\nuint8 FLOAT32=7\nuint8 FLOAT64=8\n\
             string name\nuint32 offset\nuint8 datatype\nuint32 count\n"
        ),
    ),
    type_hash: "RIHS01_9198cabf7da3796ae6fe19c4cb3bdd3525492988c70522628af5daa124bae2b5",
};

const POSE_STAMPED: MessageDefinition = MessageDefinition {
    message_type: PoseStamped::TYPE,
    text: concat!("std_msgs/Header header\n", "geometry_msgs/Pose pose\n", header!(), pose!()),
    type_hash: "RIHS01_10f3786d7d40fd2b54367835614bff85d4ad3b5dab62bf8bca0cc232d73b4cd8",
};

const TF_MESSAGE: MessageDefinition = MessageDefinition {
    message_type: TFMessage::TYPE,
    text: concat!(
        "geometry_msgs/TransformStamped[] transforms\n",
        part!(
            "geometry_msgs/TransformStamped",
            "std_msgs/Header header\nstring child_frame_id\ngeometry_msgs/Transform transform\n"
        ),
        header!(),
        part!(
            "geometry_msgs/Transform",
            "geometry_msgs/Vector3 translation\ngeometry_msgs/Quaternion rotation\n"
        ),
        vector!("geometry_msgs/Vector3"),
        quaternion!(),
    ),
    type_hash: "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087",
};

const DIAGNOSTIC_ARRAY: MessageDefinition = MessageDefinition {
    message_type: DiagnosticArray::TYPE,
    text: concat!(
        "std_msgs/Header header\n",
        "diagnostic_msgs/DiagnosticStatus[] status\n",
        header!(),
        part!(
            "diagnostic_msgs/DiagnosticStatus",
            "byte OK=0\nbyte WARN=1\nbyte ERROR=2\nbyte STALE=3\n\
             byte level\nstring name\nstring message\nstring hardware_id\n\
             diagnostic_msgs/KeyValue[] values\n"
        ),
        part!("diagnostic_msgs/KeyValue", "string key\nstring value\n"),
    ),
    type_hash: "RIHS01_5a8a36efb05fb25070fa0fb3810290c0e6cd4862b54a8fb975a1ee8dc55a333e",
};

pub(super) const ALL: [&MessageDefinition; 15] = [
    &IMAGE,
    &COMPRESSED_IMAGE,
    &CAMERA_INFO,
    &POINT_CLOUD_2,
    &DETECTION_2D_ARRAY,
    &DETECTION_3D_ARRAY,
    &LABEL_INFO,
    &VISION_INFO,
    &POSE_STAMPED,
    &TF_MESSAGE,
    &DIAGNOSTIC_ARRAY,
    &node::CLOCK,
    &node::PARAMETER_EVENT,
    &node::TRANSITION_EVENT,
    &node::PROMPT_SET,
];

/// The definition of a type that Owlet can write; `None` for any other.
#[must_use]
pub fn definition_of(message_type: &str) -> Option<&'static MessageDefinition> {
    ALL.into_iter().find(|definition| definition.message_type == message_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_a_definition_names_stands_in_it() {
        for MessageDefinition { message_type, text, .. } in ALL {
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
