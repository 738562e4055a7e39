//! Reading and writing plain CDR version 1 (OMG CORBA 3.0 ch. 15.3, DDSI-RTPS 2.2 ch. 10).
//!
//! A message is a four-byte encapsulation header followed by the fields in order. Every number is
//! aligned to its own size, counted from the byte after the header. A string is its length with
//! the terminating NUL, then the bytes; a sequence is its count, then the elements; an array is
//! the elements alone.

mod field;
mod reader;
mod service;
mod writer;

pub use field::Field;
#[cfg(test)]
pub(crate) use field::Fields;
pub(crate) use field::{field_name, message};
pub use reader::Reader;
pub use service::Service;
pub use writer::Writer;

/// Bytes of the encapsulation header that stands before every message.
pub const HEADER_LEN: usize = 4;

/// A message that can be read from and written to CDR.
pub trait Message<'a>: Sized {
    /// Full name of the ROS 2 type, such as `sensor_msgs/msg/Image`.
    const TYPE: &'static str;

    /// The least number of bytes that its fields take, padding not counted. A sequence of more
    /// elements than could stand in the bytes that are left is refused before anything is
    /// allocated for it.
    const SMALLEST: usize;

    /// Reads the fields in order.
    ///
    /// # Errors
    /// The first field that cannot be read.
    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError>;

    /// Writes the fields in order.
    fn write(&self, writer: &mut Writer);

    /// Decodes a whole message with its encapsulation header, in either byte order. Bytes after
    /// the last field are ignored: middlewares pad messages to a multiple of four.
    ///
    /// # Errors
    /// Where the encapsulation is not plain CDR, or a field does not fit the bytes.
    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let read = || Self::read(&mut Reader::new(bytes)?);
        read().map_err(|error| DecodeError { message_type: Self::TYPE, at: Box::new(error) })
    }

    /// Encodes the message with its encapsulation header, little-endian.
    #[must_use]
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.into_bytes()
    }
}

/// A message that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message_type}: {at}")]
pub struct DecodeError {
    /// Full name of the ROS 2 type that was expected.
    pub message_type: &'static str,
    /// Where and why.
    pub at: Box<FieldError>,
}

/// A field that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` at byte {offset}: expected {expected}, found {found}")]
pub struct FieldError {
    /// Path of the field, such as `detections[2].bbox.size_x`.
    pub field: String,
    /// Where the field starts, counted from the first byte of the message.
    pub offset: usize,
    /// What the field needs.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl FieldError {
    /// Puts the name of the enclosing field in front of the path; an empty one is left out.
    #[must_use]
    pub fn inside(mut self, field: &str) -> Self {
        self.field = match (field, self.field.as_str()) {
            ("", _) => self.field,
            (_, "") => field.to_owned(),
            (_, inner) => format!("{field}.{inner}"),
        };
        self
    }

    /// Puts the name and index of the enclosing sequence element in front of the path.
    #[must_use]
    pub fn inside_element(self, field: &str, index: usize) -> Self {
        self.inside(&format!("{field}[{index}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message that touches every alignment.
    #[derive(Debug, PartialEq)]
    struct Mixed<'a> {
        flag: bool,
        wide: f64,
        name: &'a str,
        small: u16,
        bytes: &'a [u8],
        many: Vec<f64>,
    }

    impl<'a> Message<'a> for Mixed<'a> {
        const TYPE: &'static str = "test_msgs/msg/Mixed";
        const SMALLEST: usize = 1 + 8 + 4 + 2 + 4 + 4;

        fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
            Ok(Self {
                flag: reader.bool("flag")?,
                wide: reader.f64("wide")?,
                name: reader.string("name")?,
                small: reader.u16("small")?,
                bytes: reader.byte_sequence("bytes")?,
                many: reader.sequence("many")?,
            })
        }

        fn write(&self, writer: &mut Writer) {
            writer.bool(self.flag);
            writer.f64(self.wide);
            writer.string(self.name);
            writer.u16(self.small);
            writer.byte_sequence(self.bytes);
            writer.sequence(&self.many);
        }
    }

    fn mixed() -> Mixed<'static> {
        Mixed {
            flag: true,
            wide: 1.5,
            name: "eule",
            small: 7,
            bytes: &[1, 2, 3],
            many: vec![0.25, -2.0],
        }
    }

    #[test]
    fn numbers_are_aligned_from_the_byte_after_the_header() {
        let bytes = mixed().encode();
        assert_eq!(bytes[..4], [0, 1, 0, 0]);
        assert_eq!(bytes[4], 1, "flag");
        assert_eq!(bytes[4 + 8..4 + 16], 1.5_f64.to_le_bytes(), "eight-byte alignment");
        assert_eq!(bytes[4 + 16..4 + 20], [5, 0, 0, 0], "length with NUL");
        assert_eq!(bytes[4 + 20..4 + 25], *b"eule\0");
        assert_eq!(bytes[4 + 26..4 + 28], [7, 0], "two-byte alignment");
        assert_eq!(Mixed::decode(&bytes), Ok(mixed()));
    }

    #[test]
    fn padding_behind_the_message_is_ignored_and_every_cut_is_an_error() {
        let mut bytes = mixed().encode();
        for len in 0..bytes.len() {
            let error = Mixed::decode(&bytes[..len]).unwrap_err();
            assert!(error.to_string().starts_with("test_msgs/msg/Mixed: field `"), "{error}");
        }
        bytes.extend([0; 3]);
        assert!(Mixed::decode(&bytes).is_ok());
    }

    #[test]
    fn big_endian_is_read_as_well() {
        let bytes = [
            &[0, 0, 0, 0][..],
            &[1, 0, 0, 0, 0, 0, 0, 0],
            &1.5_f64.to_be_bytes(),
            &5_u32.to_be_bytes(),
            b"eule\0\0",
            &7_u16.to_be_bytes(),
            &3_u32.to_be_bytes(),
            &[1, 2, 3, 0],
            &2_u32.to_be_bytes(),
            &0.25_f64.to_be_bytes(),
            &(-2.0_f64).to_be_bytes(),
        ]
        .concat();
        assert_eq!(Mixed::decode(&bytes), Ok(mixed()));
    }

    fn refused(change: impl FnOnce(&mut Vec<u8>)) -> FieldError {
        let mut bytes = mixed().encode();
        change(&mut bytes);
        *Mixed::decode(&bytes).unwrap_err().at
    }

    #[test]
    fn hostile_lengths_bad_text_and_other_encapsulations_are_named() {
        let error = refused(|bytes| bytes[20..24].copy_from_slice(&[255; 4]));
        assert_eq!((error.field.as_str(), error.offset), ("name", 24));
        assert!(error.expected.contains("4294967295 bytes"), "{error}");

        let error = refused(|bytes| bytes[24] = 0xff);
        assert_eq!((error.field.as_str(), error.expected.as_str()), ("name", "UTF-8"));

        let error = refused(|bytes| bytes[28] = b'!');
        assert_eq!(error.found, "0x21", "the NUL is missing");

        let count_at = mixed().encode().len() - 2 * 8 - 4;
        let error = refused(|bytes| {
            bytes.truncate(count_at);
            bytes.extend(u32::MAX.to_le_bytes());
        });
        assert_eq!(error.found, "a count of 4294967295");

        assert!(refused(|bytes| bytes[1] = 7).found.contains("version 2"));
        assert!(refused(|bytes| bytes[1] = 3).found.contains("parameter list"));
        assert!(refused(|bytes| bytes[0] = b'{').found.contains("7b"));
    }

    #[test]
    fn an_empty_string_may_come_without_its_nul() {
        let mut bytes = vec![0, 1, 0, 0];
        bytes.extend(0_u32.to_le_bytes());
        assert_eq!(Reader::new(&bytes).unwrap().string("text"), Ok(""));
    }
}
