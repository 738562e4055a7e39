//! Why there is no session, and why a payload is not what it should be.

use std::fmt::Display;

use super::super::frames::FrameError;
use crate::vision::decode::DecodeError;

/// Why a node cannot be reached over zenoh.
#[derive(Debug, thiserror::Error)]
pub enum ZenohError {
    /// Options that make no sense.
    #[error("zenoh: {}", .problems.join("\nzenoh: "))]
    Refused {
        /// Each with the name of its parameter, what was expected and what was found.
        problems: Vec<String>,
    },
    /// No session.
    #[error("zenoh: no session: {reason}")]
    Open {
        /// zenoh's own words.
        reason: String,
    },
    /// A key that could not be declared.
    #[error("zenoh: {key}: {reason}")]
    Declare {
        /// The key expression.
        key: String,
        /// zenoh's own words.
        reason: String,
    },
}

/// zenoh's words without the lines of its source, which follow each of them.
fn without_source(reason: &str) -> String {
    let mut text = String::new();
    let mut rest = reason;
    while let Some((before, (_, line))) = rest
        .split_once(" at /")
        .and_then(|(before, behind)| Some((before, behind.split_once(".rs:")?)))
    {
        text.push_str(before);
        rest = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('.');
    }
    text.push_str(rest);
    text.trim_end().to_owned()
}

impl ZenohError {
    pub(super) fn open(reason: &dyn Display) -> Self {
        Self::Open { reason: without_source(&reason.to_string()) }
    }

    pub(super) fn declare(key: &impl Display, reason: &dyn Display) -> Self {
        Self::Declare { key: key.to_string(), reason: reason.to_string() }
    }
}

/// Why a sample is not an image.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// A delete.
    #[error("expected an image, found a delete")]
    Deleted,
    /// Another encoding than those of images.
    #[error(
        "encoding: expected image/jpeg, image/png, application/cdr or \
         zenoh/bytes;ENCODING;WIDTHxHEIGHT[;step=BYTES][;bigendian], found {found:?}"
    )]
    Encoding {
        /// What was found.
        found: String,
    },
    /// A part of the description of a raw image.
    #[error("encoding {encoding:?}: expected {expected}, found {found:?}")]
    Layout {
        /// The whole description.
        encoding: String,
        /// What was expected.
        expected: String,
        /// The part that is wrong.
        found: String,
    },
    /// The attachment.
    #[error(
        "attachment: expected JSON such as {{\"stamp_ns\": 1, \"frame_id\": \"camera\"}}: {reason}"
    )]
    Attachment {
        /// What is wrong with it.
        reason: String,
    },
    /// An attachment that is not read.
    #[error("attachment: expected at most {most} bytes, found {found}")]
    LongAttachment {
        /// The most that are read.
        most: u64,
        /// Its bytes.
        found: usize,
    },
    /// The payload.
    #[error(transparent)]
    Pixels(#[from] DecodeError),
    /// A depth image.
    #[error("expected a colour image, found depth ({encoding})")]
    Depth {
        /// Its encoding.
        encoding: String,
    },
    /// A colour image.
    #[error("expected depth (PNG of 16-bit grey, raw 16UC1 or 32FC1), found colour ({encoding})")]
    Colour {
        /// Its encoding.
        encoding: String,
    },
    /// JSON of another form.
    #[error("expected {what}: {reason}")]
    Json {
        /// What was expected.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A broken message.
    #[error(transparent)]
    Cdr(#[from] crate::wire::DecodeError),
    /// A message of another type.
    #[error("expected sensor_msgs/msg/Image or CompressedImage as CDR, found {found}")]
    MessageType {
        /// The type that was found.
        found: String,
    },
    /// A message that is neither of the two that hold images.
    #[error("expected an image as CDR: {image}; {compressed}")]
    NoImage {
        /// Why it is no `sensor_msgs/msg/Image`.
        image: crate::wire::DecodeError,
        /// Why it is no `sensor_msgs/msg/CompressedImage`.
        compressed: crate::wire::DecodeError,
    },
    /// A message with an image that is broken.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_zenoh_says_is_told_without_its_source() {
        let reason = "Unable to connect to any of [tcp/a:1]!  at /root/zenoh/orchestrator.rs:447.";
        let nested = "No link: [refused (os error 111) at /a b/tcp.rs:105.] at /c/tcp.rs:13.";
        for (reason, expected) in [
            (reason, "Unable to connect to any of [tcp/a:1]!"),
            (nested, "No link: [refused (os error 111)]"),
            ("it is at /dev/null", "it is at /dev/null"),
            ("no place", "no place"),
        ] {
            assert_eq!(
                ZenohError::open(&reason).to_string(),
                format!("zenoh: no session: {expected}")
            );
        }
    }
}
