//! Images as the messages of ROS 2, which is how robots with DDS send them through zenoh's bridge.

use super::super::frames::{FrameError, MessagePicture, picture_of_compressed, picture_of_image};
use super::error::PayloadError;
use crate::wire::Message;
use crate::wire::sensor_msgs::{CompressedImage, Image};

/// A message that holds an image.
pub(super) enum ImageCdr<'a> {
    Raw(Image<'a>),
    Compressed(CompressedImage<'a>),
}

impl<'a> ImageCdr<'a> {
    /// Reads one. `message_type` is empty where the sender names none: then it is what it can be
    /// read as. No message is both: where an `Image` has the length of its encoding, a
    /// `CompressedImage` has letters of its format or of its file, and a cut `Image` is no
    /// `CompressedImage` that ends where the message does.
    pub(super) fn read(message_type: &str, bytes: &'a [u8]) -> Result<Self, PayloadError> {
        match message_type {
            Image::TYPE => Ok(Self::Raw(Image::decode(bytes)?)),
            CompressedImage::TYPE => Ok(Self::Compressed(CompressedImage::decode(bytes)?)),
            "" => match (Image::decode(bytes), CompressedImage::decode(bytes)) {
                (Ok(image), _) => Ok(Self::Raw(image)),
                (Err(_), Ok(image)) if ends_with(bytes, image.data) => Ok(Self::Compressed(image)),
                (Err(image), Err(compressed)) => Err(PayloadError::NoImage { image, compressed }),
                (Err(image), Ok(_)) => Err(image.into()),
            },
            other => Err(PayloadError::MessageType { found: other.chars().take(120).collect() }),
        }
    }

    pub(super) fn picture(&self) -> Result<MessagePicture, FrameError> {
        match self {
            Self::Raw(image) => picture_of_image(Image::TYPE, image),
            Self::Compressed(image) => picture_of_compressed(CompressedImage::TYPE, image),
        }
    }
}

/// Whether the last field of a message, which lies in it, ends where the message does. Padding to
/// four bytes may follow.
fn ends_with(message: &[u8], field: &[u8]) -> bool {
    let behind = |bytes: &[u8]| bytes.as_ptr_range().end as usize;
    behind(message).saturating_sub(behind(field)) < 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(encoding: &str, width: u32, height: u32) -> Vec<u8> {
        let data = vec![0; (width * height) as usize];
        Image { width, height, encoding, step: width, data: &data, ..Image::default() }.encode()
    }

    #[test]
    fn the_two_messages_are_told_apart_without_their_name() {
        for (encoding, width, height) in [("mono8", 640, 480), ("mono8", 4, 4), ("mono8", 1, 5)] {
            let bytes = raw(encoding, width, height);
            let Ok(ImageCdr::Raw(image)) = ImageCdr::read("", &bytes) else { panic!("raw") };
            assert_eq!((image.width, image.height), (width, height));
        }
        let jpeg = [0xff, 0xd8, 0xff, 0xe0, 0, 0x10, b'J', b'F', b'I', b'F', 0, 1];
        let png = b"\x89PNG\r\n\x1a\n and so on";
        for format in ["", "png", "jpg", "jpeg", "rgb8; jpeg compressed bgr8", "16UC1; png"] {
            for data in [&jpeg[..], png] {
                let bytes = CompressedImage { format, data, ..Default::default() }.encode();
                let read = ImageCdr::read("", &bytes);
                let Ok(ImageCdr::Compressed(image)) = read else { panic!("{format:?}") };
                assert_eq!((image.format, image.data), (format, data));
            }
        }
    }

    #[test]
    fn what_is_no_image_says_so() {
        let bytes = raw("mono8", 4, 4);
        let said = |message_type: &str, bytes: &[u8]| match ImageCdr::read(message_type, bytes) {
            Ok(_) => panic!("an image"),
            Err(error) => error.to_string(),
        };
        let cut = said("", &bytes[..9]);
        for expected in ["sensor_msgs/msg/Image: field", "sensor_msgs/msg/CompressedImage: field"] {
            assert!(cut.contains(expected), "{cut}");
        }
        let small = raw("mono8", 2, 2);
        assert!(said("", &small[..small.len() - 1]).starts_with("sensor_msgs/msg/Image: field"));
        assert!(said("std_msgs/msg/String", &bytes).contains("found std_msgs/msg/String"));
        assert!(
            said(CompressedImage::TYPE, &bytes[..9]).contains("CompressedImage: field `header")
        );
        let wrong = raw("mono9", 4, 4);
        let read = ImageCdr::read("", &wrong).unwrap_or_else(|error| panic!("{error}"));
        let error = read.picture().unwrap_err().to_string();
        assert!(error.starts_with("sensor_msgs/msg/Image: ") && error.contains("mono9"), "{error}");
    }
}
