//! `vision_msgs/msg/LabelInfo` and `VisionInfo`: what class numbers and names mean.

use std::borrow::Cow;

use crate::wire::cdr::{FieldError, Message, Reader, Writer};
use crate::wire::std_msgs::Header;

/// `vision_msgs/msg/VisionClass`: the name of a pixel value in a class mask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisionClass<'a> {
    /// The value. The largest one of a mask's type is for pixels of no class.
    pub class_id: u16,
    /// The name.
    pub class_name: Cow<'a, str>,
}

impl<'a> Message<'a> for VisionClass<'a> {
    const TYPE: &'static str = "vision_msgs/msg/VisionClass";
    const SMALLEST: usize = 2 + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            class_id: reader.u16("class_id")?,
            class_name: reader.string("class_name")?.into(),
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u16(self.class_id);
        writer.string(&self.class_name);
    }
}

/// `vision_msgs/msg/LabelInfo`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelInfo<'a> {
    /// From when on it holds.
    pub header: Header<'a>,
    /// Names of the pixel values.
    pub class_map: Vec<VisionClass<'a>>,
    /// Lowest score that counts, in `[0, 1]`.
    pub threshold: f32,
}

impl<'a> Message<'a> for LabelInfo<'a> {
    const TYPE: &'static str = "vision_msgs/msg/LabelInfo";
    const SMALLEST: usize = Header::SMALLEST + 4 + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            class_map: reader.sequence("class_map")?,
            threshold: reader.f32("threshold")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.sequence(&self.class_map);
        writer.f32(self.threshold);
    }
}

/// What the pixels of a class mask mean: of the prompt at place i the class is i + 1, 0 is none. A
/// prompt beyond the 255th has no class.
pub fn label_info<'a>(
    header: Header<'a>,
    prompts: impl IntoIterator<Item = &'a str>,
    threshold: f32,
) -> LabelInfo<'a> {
    let classes = (1..=u16::from(u8::MAX)).zip(prompts);
    let class_map =
        classes.map(|(class_id, name)| VisionClass { class_id, class_name: name.into() }).collect();
    LabelInfo { header, class_map, threshold }
}

/// `vision_msgs/msg/VisionInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisionInfo<'a> {
    /// From when on it holds.
    pub header: Header<'a>,
    /// What finds the objects.
    pub method: Cow<'a, str>,
    /// Where the meaning of the class ids is to be found.
    pub database_location: Cow<'a, str>,
    /// Rises when that meaning changes.
    pub database_version: i32,
}

impl<'a> Message<'a> for VisionInfo<'a> {
    const TYPE: &'static str = "vision_msgs/msg/VisionInfo";
    const SMALLEST: usize = Header::SMALLEST + 4 + 4 + 4;

    fn read(reader: &mut Reader<'a>) -> Result<Self, FieldError> {
        Ok(Self {
            header: reader.nested("header")?,
            method: reader.string("method")?.into(),
            database_location: reader.string("database_location")?.into(),
            database_version: reader.i32("database_version")?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.header.write(writer);
        writer.string(&self.method);
        writer.string(&self.database_location);
        writer.i32(self.database_version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_mean_round_trips_and_every_cut_is_an_error() {
        let class =
            |class_id, name: &'static str| VisionClass { class_id, class_name: name.into() };
        let labels = LabelInfo {
            header: Header { frame_id: "optical", ..Header::default() },
            class_map: vec![class(1, "mug"), class(255, "")],
            threshold: 0.25,
        };
        let bytes = labels.encode();
        assert_eq!(LabelInfo::decode(&bytes), Ok(labels));
        assert!((0..bytes.len()).all(|len| LabelInfo::decode(&bytes[..len]).is_err()));

        let info = VisionInfo {
            header: Header::default(),
            method: "owlvit-base-patch32".into(),
            database_location: "/owlet/prompts".into(),
            database_version: -1,
        };
        let bytes = info.encode();
        assert_eq!(VisionInfo::decode(&bytes), Ok(info));
        let error = VisionInfo::decode(&bytes[..bytes.len() - 1]).unwrap_err();
        assert_eq!(error.at.field, "database_version");
    }
}
