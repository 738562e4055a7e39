//! Images as they travel: an encoding, a payload and an attachment.
//!
//! | encoding | payload |
//! | --- | --- |
//! | `image/jpeg`, `image/png`, or none at all | a JPEG or PNG; which of them, its first bytes say |
//! | `zenoh/bytes;ENCODING;WIDTHxHEIGHT[;step=BYTES][;bigendian]` | pixels as they are; ENCODING is one of [`known_encodings`], `step` the bytes from one row to the next (without it there is no padding) |
//! | `application/cdr[;TYPE]`, or none at all | `sensor_msgs/msg/Image` or `CompressedImage` as CDR, which is what the bridge of ROS 2 over DDS sends, without an encoding |
//!
//! The attachment may be JSON with `stamp_ns` (an integer) and `frame_id` (a text). Without a stamp
//! in it, zenoh's timestamp of the sample holds, or else the time of arrival. A message as CDR has
//! both in its header, and its attachment is nobody's business.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use zenoh::bytes::ZBytes;
use zenoh::query::Query;
use zenoh::sample::{Sample, SampleKind};
use zenoh::time::Timestamp;

use super::super::live::{ImageError, ImageMessage, LiveImage, now};
use super::error::PayloadError;
use super::messages::ImageCdr;
use crate::types::{DepthImage, FrameHeader, Picture, Stamp, StampSource};
use crate::vision::decode::{
    RawImage, decode_compressed, decode_raw, known_encodings, packed_step,
};
use crate::wire::Message;
use crate::wire::std_msgs::Header;

/// zenoh's encoding where none is given, and of raw images.
const BYTES: &str = "zenoh/bytes";
/// zenoh's encoding of ROS messages; the type may follow it.
const CDR: &str = "application/cdr";
/// What `image_transport` calls a PNG of millimetres.
const DEPTH_PNG: &str = "16UC1; png compressed ";
/// A longer attachment is refused: it holds a number and a name.
const MAX_ATTACHMENT_BYTES: usize = 4 << 10;
/// The header of a message holds a stamp and a name, and what is longer is refused as well.
const MAX_HEADER_BYTES: usize = 4 << 10;
/// Texts of a sender are cut to this many characters in errors.
const MAX_SHOWN_CHARS: usize = 120;

/// What is understood of an attachment; other keys are the sender's own.
#[derive(Debug, Default, PartialEq, Deserialize)]
struct Attachment {
    stamp_ns: Option<i64>,
    frame_id: Option<String>,
}

/// An image as it came. Its payload is shared with zenoh, not copied.
pub(super) struct ImagePayload {
    default_frame_id: String,
    is_delete: bool,
    encoding: String,
    payload: ZBytes,
    attachment: Option<ZBytes>,
    sent: Option<Stamp>,
    received: Stamp,
}

impl ImagePayload {
    /// `default_frame_id` holds where the attachment names none.
    pub(super) fn of_sample(sample: &Sample, default_frame_id: &str) -> Self {
        Self {
            default_frame_id: default_frame_id.to_owned(),
            is_delete: sample.kind() == SampleKind::Delete,
            encoding: sample.encoding().to_string(),
            payload: sample.payload().clone(),
            attachment: sample.attachment().cloned(),
            sent: sample.timestamp().map(stamp_of),
            received: now(),
        }
    }

    /// `None` where the query has no payload.
    pub(super) fn of_query(query: &Query) -> Option<Self> {
        Some(Self {
            default_frame_id: String::new(),
            is_delete: false,
            encoding: query.encoding().map_or_else(|| BYTES.to_owned(), ToString::to_string),
            payload: query.payload()?.clone(),
            attachment: query.attachment().cloned(),
            sent: None,
            received: now(),
        })
    }

    /// The same with another attachment.
    pub(super) fn with_attachment(self, attachment: Vec<u8>) -> Self {
        Self { attachment: Some(attachment.into()), ..self }
    }

    /// Stamp and frame, and whose clock gave the stamp.
    pub(super) fn header(&self) -> Result<(FrameHeader, StampSource), PayloadError> {
        if self.is_delete {
            return Err(PayloadError::Deleted);
        }
        let start = self.start();
        if message_type(&self.encoding, &start).is_some() {
            return Ok((Header::decode(&start)?.to_frame_header(), StampSource::Camera));
        }
        let attachment = self.attachment.as_ref().map(|bytes| parse_attachment(&bytes.to_bytes()));
        let Attachment { stamp_ns, frame_id } = attachment.transpose()?.unwrap_or_default();
        let (stamp, stamp_from) = match (stamp_ns, self.sent) {
            (Some(nanos), _) => (Stamp(nanos), StampSource::Camera),
            (None, Some(sent)) => (sent, StampSource::Transport),
            (None, None) => (self.received, StampSource::Arrival),
        };
        let frame_id: Arc<str> = frame_id.unwrap_or_else(|| self.default_frame_id.clone()).into();
        Ok((FrameHeader { stamp, frame_id }, stamp_from))
    }

    /// The first bytes of the payload, in which a message has its header. What came in pieces is not
    /// put together for it: that would be a copy of a whole picture.
    fn start(&self) -> Cow<'_, [u8]> {
        match self.payload.slices().next() {
            None => Cow::Borrowed(&[]),
            Some(first) if first.len() == self.payload.len() || first.len() >= MAX_HEADER_BYTES => {
                Cow::Borrowed(first)
            }
            Some(_) => {
                let bytes = self.payload.slices().flatten().copied();
                Cow::Owned(bytes.take(MAX_HEADER_BYTES).collect())
            }
        }
    }

    /// The picture with its encoding. `meaning` is what an encoded file holds, where that is more
    /// than colour.
    fn picture(&self, meaning: &str) -> Result<(Picture, String), PayloadError> {
        let bytes = self.payload.to_bytes();
        if let Some(message_type) = message_type(&self.encoding, &bytes) {
            let read = ImageCdr::read(message_type, &bytes)?.picture()?;
            return Ok((read.picture, read.encoding));
        }
        Ok((decode_payload(&self.encoding, &bytes, meaning)?, shortened(&self.encoding)))
    }

    /// The picture, where it is one of depth.
    pub(super) fn depth(&self) -> Result<DepthImage, PayloadError> {
        match self.picture(DEPTH_PNG)? {
            (Picture::Depth(depth), _) => Ok(depth),
            (Picture::Color(_), encoding) => Err(PayloadError::Colour { encoding }),
        }
    }

    fn decoded(&self) -> Result<LiveImage, PayloadError> {
        let (header, stamp_from) = self.header()?;
        let (picture, encoding) = self.picture("")?;
        let Picture::Color(image) = picture else { return Err(PayloadError::Depth { encoding }) };
        Ok(LiveImage { header, stamp_from, received: self.received, encoding, image })
    }
}

impl ImageMessage for ImagePayload {
    fn decode(&self) -> Result<LiveImage, ImageError> {
        Ok(self.decoded()?)
    }
}

/// The type of the message that a payload is, empty where its encoding names none; `None` where it
/// is no message. What has no encoding is one where it starts as CDR does, which no JPEG and no PNG
/// do.
fn message_type<'a>(encoding: &'a str, payload: &[u8]) -> Option<&'a str> {
    match encoding.split_once(';').unwrap_or((encoding, "")) {
        (CDR, message_type) => Some(message_type),
        (BYTES, "") if payload.first() == Some(&0) => Some(""),
        _ => None,
    }
}

/// `meaning` is what an encoded file holds, where that is more than colour.
fn decode_payload(encoding: &str, payload: &[u8], meaning: &str) -> Result<Picture, PayloadError> {
    let (kind, description) = encoding.split_once(';').unwrap_or((encoding, ""));
    match (kind, description) {
        ("image/jpeg" | "image/png", _) | (BYTES, "") => {
            // What follows the kind says nothing that the file does not say itself.
            Ok(decode_compressed(if meaning.is_empty() { kind } else { meaning }, payload)?)
        }
        (BYTES, description) => {
            let layout = RawLayout::parse(description)?;
            Ok(decode_raw(&RawImage {
                width: layout.width,
                height: layout.height,
                encoding: layout.encoding,
                is_bigendian: layout.is_bigendian,
                step: layout.step,
                data: payload,
            })?)
        }
        _ => Err(PayloadError::Encoding { found: shortened(encoding) }),
    }
}

/// `rgb8;640x480;step=1920` in parts.
#[derive(Debug, PartialEq, Eq)]
struct RawLayout<'a> {
    encoding: &'a str,
    width: u32,
    height: u32,
    step: u32,
    is_bigendian: bool,
}

impl<'a> RawLayout<'a> {
    fn parse(description: &'a str) -> Result<Self, PayloadError> {
        let wrong = |expected: &str, found: &str| PayloadError::Layout {
            encoding: shortened(description),
            expected: expected.to_owned(),
            found: shortened(found),
        };
        let mut parts = description.split(';');
        let encoding = parts.next().unwrap_or_default();
        let size = parts.next().unwrap_or_default();
        let (width, height) = size
            .split_once('x')
            .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
            .ok_or_else(|| wrong("a size such as 640x480", size))?;
        let Some(packed) = packed_step(encoding, width) else {
            let known: Vec<_> = known_encodings().collect();
            return Err(wrong(&format!("one of {}", known.join(", ")), encoding));
        };
        let mut layout = Self { encoding, width, height, step: packed, is_bigendian: false };
        for part in parts {
            match part.split_once('=') {
                Some(("step", bytes)) => {
                    layout.step = bytes
                        .parse()
                        .map_err(|_| wrong("step=BYTES with a whole number of bytes", part))?;
                }
                None if part == "bigendian" => layout.is_bigendian = true,
                _ => return Err(wrong("step=BYTES or bigendian", part)),
            }
        }
        Ok(layout)
    }
}

fn parse_attachment(bytes: &[u8]) -> Result<Attachment, PayloadError> {
    let refused = |reason: String| PayloadError::Attachment { reason };
    if bytes.len() > MAX_ATTACHMENT_BYTES {
        return Err(refused(format!("{} bytes are too many", bytes.len())));
    }
    serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))
}

pub(super) fn stamp_of(timestamp: &Timestamp) -> Stamp {
    let since_epoch = timestamp.get_time().to_duration();
    Stamp(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_images_are_described_in_one_way() {
        let parse = |text| RawLayout::parse(text).unwrap();
        let layout = parse("rgb8;640x480");
        assert_eq!((layout.width, layout.height, layout.step), (640, 480, 1920));
        assert_eq!(parse("mono16;3x2;step=8;bigendian").step, 8);
        assert!(parse("mono16;3x2;bigendian").is_bigendian);
        for (text, expected) in [
            ("rgb8", "a size such as 640x480, found \"\""),
            ("rgb8;640", "found \"640\""),
            ("rgb8;640x-1", "found \"640x-1\""),
            ("rgb9;4x4", "expected one of rgb8, "),
            ("rgb8;4x4;step=", "found \"step=\""),
            ("rgb8;4x4;stride=12", "expected step=BYTES or bigendian"),
            ("rgb8;4x4;", "expected step=BYTES or bigendian"),
            ("application/x-camera", "a size such as 640x480"),
        ] {
            let error = RawLayout::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn payloads_are_decoded_by_their_encoding_and_refused_with_a_reason() {
        let picture = decode_payload("zenoh/bytes;rgb8;1x2;step=4", &[1, 2, 3, 0, 4, 5, 6, 0], "");
        let Ok(Picture::Color(image)) = picture else { panic!("{picture:?}") };
        assert_eq!(image.as_raw(), &[1, 2, 3, 4, 5, 6]);
        let huge = format!("zenoh/bytes;rgb8;{0}x{0}", u32::MAX);
        for (encoding, payload, expected) in [
            ("image/webp", &b"RIFF"[..], "expected image/jpeg, image/png, application/cdr"),
            ("image/jpeg", b"{}", "JPEG"),
            ("zenoh/bytes", b"", "JPEG"),
            ("zenoh/bytes;rgb8;2x2", b"123", "12"),
            (huge.as_str(), b"123", "4294967295"),
        ] {
            let error = decode_payload(encoding, payload, "").unwrap_err().to_string();
            assert!(error.contains(expected), "{encoding}: {error}");
        }
    }

    #[test]
    fn messages_of_ros_are_known_by_their_encoding_or_their_first_byte() {
        for (encoding, payload, expected) in [
            ("application/cdr", &b""[..], Some("")),
            ("application/cdr;sensor_msgs/msg/Image", b"", Some("sensor_msgs/msg/Image")),
            ("zenoh/bytes", &[0, 1, 0, 0], Some("")),
            ("zenoh/bytes", b"", None),
            ("zenoh/bytes", b"\x89PNG", None),
            ("zenoh/bytes;rgb8;1x1", &[0, 1, 0], None),
            ("image/png", &[0, 1, 0, 0], None),
        ] {
            assert_eq!(message_type(encoding, payload), expected, "{encoding} {payload:?}");
        }
    }

    #[test]
    fn depth_is_png_of_millimetres_or_raw() {
        let raw = decode_payload("zenoh/bytes;32FC1;1x1", &1.5_f32.to_le_bytes(), DEPTH_PNG);
        let Ok(Picture::Depth(depth)) = raw else { panic!("{raw:?}") };
        assert_eq!(depth.metres(), [1.5]);
        let mut png = std::io::Cursor::new(Vec::new());
        let millimetres: image::ImageBuffer<image::Luma<u16>, _> =
            image::ImageBuffer::from_raw(2, 1, vec![0, 750]).unwrap();
        millimetres.write_to(&mut png, image::ImageFormat::Png).unwrap();
        let Ok(Picture::Depth(depth)) = decode_payload("image/png", png.get_ref(), DEPTH_PNG)
        else {
            panic!("depth")
        };
        assert!(depth.metres()[0].is_nan() && depth.metres()[1] == 0.75);
    }

    #[test]
    fn attachments_are_json_and_other_keys_are_left_alone() {
        let read = |text: &str| parse_attachment(text.as_bytes());
        let whole = read("{\"stamp_ns\": -5, \"frame_id\": \"optical\", \"exposure\": 3}").unwrap();
        let expected = Attachment { stamp_ns: Some(-5), frame_id: Some("optical".to_owned()) };
        assert_eq!(whole, expected);
        assert_eq!(read("{}").unwrap(), Attachment::default());
        for text in ["", "5", "{\"stamp_ns\": 1.5}", "{\"stamp_ns\": \"1\"}", "{\"frame_id\": 3}"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with("attachment: expected JSON"), "{error}");
        }
        assert!(parse_attachment(&vec![b' '; MAX_ATTACHMENT_BYTES + 1]).is_err());
    }
}
