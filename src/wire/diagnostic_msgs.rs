//! `diagnostic_msgs/msg/DiagnosticArray` and what it is made of.

use std::borrow::Cow;

use super::cdr::{FieldError, Message, Reader, Writer};
use super::std_msgs::Header;

/// The values of [`DiagnosticStatus::level`].
pub mod level {
    /// All is well.
    pub const OK: u8 = 0;
    /// Something is not as it should be, and the work goes on.
    pub const WARN: u8 = 1;
    /// The work does not go on.
    pub const ERROR: u8 = 2;
    /// Nothing has been heard for a while.
    pub const STALE: u8 = 3;
}

/// `diagnostic_msgs/msg/KeyValue`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValue<'a> {
    /// What is told.
    pub key: Cow<'a, str>,
    /// Its value, as text.
    pub value: Cow<'a, str>,
}

impl<'a> Message<'a> for KeyValue<'a> {
    const TYPE: &'static str = "diagnostic_msgs/msg/KeyValue";
    const SMALLEST: usize = 4 + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self { key: reader.string("key")?.into(), value: reader.string("value")?.into() })
    }

    fn write(&self, writer: &mut Writer) {
        writer.string(&self.key);
        writer.string(&self.value);
    }
}

/// `diagnostic_msgs/msg/DiagnosticStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiagnosticStatus<'a> {
    /// One of [`level`].
    pub level: u8,
    /// Which part it is about.
    pub name: Cow<'a, str>,
    /// How it is, in a sentence.
    pub message: Cow<'a, str>,
    /// Which device it is about; empty for none.
    pub hardware_id: Cow<'a, str>,
    /// Numbers that go with it.
    pub values: Vec<KeyValue<'a>>,
}

impl<'a> Message<'a> for DiagnosticStatus<'a> {
    const TYPE: &'static str = "diagnostic_msgs/msg/DiagnosticStatus";
    const SMALLEST: usize = 1 + 3 * 4 + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            level: reader.u8("level")?,
            name: reader.string("name")?.into(),
            message: reader.string("message")?.into(),
            hardware_id: reader.string("hardware_id")?.into(),
            values: reader.sequence("values")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u8(self.level);
        writer.string(&self.name);
        writer.string(&self.message);
        writer.string(&self.hardware_id);
        writer.sequence(&self.values);
    }
}

/// `diagnostic_msgs/msg/DiagnosticArray`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiagnosticArray<'a> {
    /// When it was so; the frame is empty.
    pub header: Header<'a>,
    /// One for each part.
    pub status: Vec<DiagnosticStatus<'a>>,
}

impl<'a> Message<'a> for DiagnosticArray<'a> {
    const TYPE: &'static str = "diagnostic_msgs/msg/DiagnosticArray";
    const SMALLEST: usize = Header::SMALLEST + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self { header: reader.nested("header")?, status: reader.sequence("status")? })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.sequence(&self.status);
    }
}

#[cfg(test)]
mod tests {
    use super::super::std_msgs::Time;
    use super::*;

    #[test]
    fn diagnostics_round_trip_and_a_broken_value_is_named() {
        let status = DiagnosticStatus {
            level: level::WARN,
            name: "owlet: camera".into(),
            message: "frames come late".into(),
            hardware_id: "".into(),
            values: vec![KeyValue { key: "late".into(), value: 17.to_string().into() }],
        };
        let message = DiagnosticArray {
            header: Header { stamp: Time { sec: 1, nanosec: 2 }, frame_id: "" },
            status: vec![DiagnosticStatus::default(), status],
        };
        let bytes = message.encode();
        assert_eq!(DiagnosticArray::decode(&bytes), Ok(message));
        let error = DiagnosticArray::decode(&bytes[..bytes.len() - 1]).unwrap_err();
        assert_eq!(error.at.field, "status[1].values[0].value");
    }
}
