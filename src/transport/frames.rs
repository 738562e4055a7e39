//! From recorded or received messages to pictures.

use crate::types::{FrameHeader, Picture};
use crate::vision::decode::{
    self, RawImage, decode_compressed, decode_compressed_depth, decode_raw,
};
use crate::wire::sensor_msgs::{CameraInfo, CompressedImage, Image};
use crate::wire::{self, Message};

/// What Owlet uses a topic for, as far as its type tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicForm {
    /// `sensor_msgs/msg/Image`.
    Image,
    /// `sensor_msgs/msg/CompressedImage`.
    CompressedImage,
    /// `sensor_msgs/msg/CameraInfo`: no pictures, but where they look.
    CameraInfo,
}

/// What Owlet can use messages of a type for.
///
/// # Errors
/// Why it cannot use them, in words that say what to record instead where that is known.
pub fn usable(message_type: &str) -> Result<TopicForm, &'static str> {
    match message_type {
        Image::TYPE => Ok(TopicForm::Image),
        CompressedImage::TYPE => Ok(TopicForm::CompressedImage),
        CameraInfo::TYPE => Ok(TopicForm::CameraInfo),
        "theora_image_transport/msg/Packet"
        | "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"
        | "foxglove_msgs/msg/CompressedVideo" => {
            Err("a video stream, whose pictures depend on each other; record single images")
        }
        "foxglove_msgs/msg/RawImage" | "foxglove_msgs/msg/CompressedImage" => {
            Err("Foxglove's own image type; record sensor_msgs/msg/Image or CompressedImage")
        }
        "sensor_msgs/msg/PointCloud2" => Err("a point cloud, not an image"),
        _ => Err("not an image"),
    }
}

/// Why a message is not a picture.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A type without pictures.
    #[error("{topic}: {message_type}: {reason}")]
    NotAnImage {
        /// Name of the topic.
        topic: String,
        /// Full name of the type.
        message_type: String,
        /// Why it holds no picture.
        reason: &'static str,
    },
    /// The message is broken.
    #[error("{topic}: {source}")]
    Message {
        /// Name of the topic.
        topic: String,
        /// The field that cannot be read.
        source: wire::DecodeError,
    },
    /// The message is whole, but its pixels are not what it says, or are of a kind nobody knows.
    #[error("{topic}: {source}")]
    Pixels {
        /// Name of the topic.
        topic: String,
        /// What is wrong with the pixels.
        source: decode::DecodeError,
    },
}

/// A message with a picture, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct MessagePicture {
    /// Stamp and coordinate frame of the image.
    pub header: FrameHeader,
    /// The pixels.
    pub picture: Picture,
    /// How the message names the layout of its pixels: `encoding` of an `Image`, `format` of a
    /// `CompressedImage`.
    pub encoding: String,
}

/// Decodes a message in CDR. Only the pixels of the result are copied.
///
/// A `CompressedImage` holds compressed depth where its format or the end of the topic's name says
/// `compressedDepth`: the plugin of `image_transport` names both.
///
/// # Errors
/// Where the type holds no picture, or the message or its pixels are broken.
pub fn frame_from_message(
    topic: &str,
    message_type: &str,
    data: &[u8],
) -> Result<MessagePicture, FrameError> {
    let message = |source| FrameError::Message { topic: topic.to_owned(), source };
    let not_an_image = |reason| FrameError::NotAnImage {
        topic: topic.to_owned(),
        message_type: message_type.to_owned(),
        reason,
    };
    match usable(message_type).map_err(not_an_image)? {
        TopicForm::Image => picture_of_image(topic, &Image::decode(data).map_err(message)?),
        TopicForm::CompressedImage => {
            picture_of_compressed(topic, &CompressedImage::decode(data).map_err(message)?)
        }
        TopicForm::CameraInfo => Err(not_an_image("a calibration, not an image")),
    }
}

/// The pixels of a message that was read.
///
/// # Errors
/// The pixels are not what the message says, or are of a kind nobody knows.
pub(super) fn picture_of_image(
    topic: &str,
    image: &Image<'_>,
) -> Result<MessagePicture, FrameError> {
    let picture = decode_raw(&RawImage {
        width: image.width,
        height: image.height,
        encoding: image.encoding,
        is_bigendian: image.is_bigendian != 0,
        step: image.step,
        data: image.data,
    })
    .map_err(|source| FrameError::Pixels { topic: topic.to_owned(), source })?;
    let (header, encoding) = (image.header.to_frame_header(), image.encoding.to_owned());
    Ok(MessagePicture { header, picture, encoding })
}

/// The same of a compressed one.
///
/// # Errors
/// As [`picture_of_image`].
pub(super) fn picture_of_compressed(
    topic: &str,
    image: &CompressedImage<'_>,
) -> Result<MessagePicture, FrameError> {
    let is_depth = image.format.contains("compressedDepth") || topic.ends_with("/compressedDepth");
    let picture = if is_depth {
        decode_compressed_depth(image.format, image.data).map(Picture::Depth)
    } else {
        decode_compressed(image.format, image.data)
    }
    .map_err(|source| FrameError::Pixels { topic: topic.to_owned(), source })?;
    let (header, encoding) = (image.header.to_frame_header(), image.format.to_owned());
    Ok(MessagePicture { header, picture, encoding })
}

/// Stamp and frame of a message with a picture, without looking at its pixels.
///
/// # Errors
/// Where the type holds no picture, or the message is broken.
pub fn header_of_message(
    topic: &str,
    message_type: &str,
    data: &[u8],
) -> Result<FrameHeader, FrameError> {
    let message = |source| FrameError::Message { topic: topic.to_owned(), source };
    let header = match usable(message_type) {
        Ok(TopicForm::Image) => Image::decode(data).map_err(message)?.header,
        Ok(TopicForm::CompressedImage) => CompressedImage::decode(data).map_err(message)?.header,
        Ok(TopicForm::CameraInfo) => CameraInfo::decode(data).map_err(message)?.header,
        Err(reason) => {
            return Err(FrameError::NotAnImage {
                topic: topic.to_owned(),
                message_type: message_type.to_owned(),
                reason,
            });
        }
    };
    Ok(header.to_frame_header())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_cannot_be_used_say_why() {
        assert_eq!(usable("sensor_msgs/msg/Image"), Ok(TopicForm::Image));
        assert!(usable("theora_image_transport/msg/Packet").unwrap_err().contains("video"));
        let error = frame_from_message("/scan", "sensor_msgs/msg/LaserScan", &[]).unwrap_err();
        assert_eq!(error.to_string(), "/scan: sensor_msgs/msg/LaserScan: not an image");
        let error = frame_from_message("/info", CameraInfo::TYPE, &[]).unwrap_err();
        assert!(matches!(error, FrameError::NotAnImage { .. }));
    }

    #[test]
    fn an_image_that_is_broken_anywhere_is_an_error_or_a_picture() {
        let header = crate::wire::std_msgs::Header { frame_id: "optical", ..Default::default() };
        let (data, jpeg) = ([7; 36], b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01");
        let raw = |encoding, step| {
            let image = Image { header, height: 3, width: 4, encoding, step, ..Image::default() };
            Image { data: &data, ..image }.encode()
        };
        let compressed = |format| CompressedImage { header, format, data: jpeg }.encode();
        for (message_type, message) in [
            (Image::TYPE, raw("rgb8", 12)),
            (Image::TYPE, raw("32FC1", 12)),
            (Image::TYPE, raw("yuv422", 12)),
            (Image::TYPE, raw("bayer_rggb8", 12)),
            (CompressedImage::TYPE, compressed("jpeg")),
            (CompressedImage::TYPE, compressed("16UC1; compressedDepth png")),
        ] {
            for index in 0..message.len() {
                assert!(frame_from_message("/a", message_type, &message[..index]).is_err());
                for byte in [0x00, 0x7f, 0x80, 0xff] {
                    let mut changed = message.clone();
                    changed[index] = byte;
                    if let Ok(read) = frame_from_message("/a", message_type, &changed) {
                        let (width, height) = match &read.picture {
                            Picture::Color(image) => image.dimensions(),
                            Picture::Depth(depth) => (depth.width(), depth.height()),
                        };
                        assert!(width * height <= 36, "{width}x{height} of 36 bytes");
                    }
                }
            }
        }
    }

    #[test]
    fn broken_messages_and_broken_pixels_are_told_apart() {
        let image = Image {
            height: 1,
            width: 1,
            encoding: "rgb8",
            step: 3,
            data: &[1, 2, 3],
            ..Image::default()
        };
        let found = frame_from_message("/a", Image::TYPE, &image.encode()).unwrap();
        assert_eq!(found.encoding, "rgb8");
        assert!(matches!(found.picture, Picture::Color(rgb) if rgb.as_raw() == &[1, 2, 3]));
        let short = Image { data: &[1, 2], ..image };
        let error = frame_from_message("/a", Image::TYPE, &short.encode()).unwrap_err();
        assert!(matches!(error, FrameError::Pixels { .. }), "{error}");
        let error = frame_from_message("/a", Image::TYPE, &image.encode()[..20]).unwrap_err();
        assert!(matches!(error, FrameError::Message { .. }), "{error}");
    }
}
