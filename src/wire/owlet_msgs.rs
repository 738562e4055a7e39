//! `owlet_msgs`, the package in `msg/`: prompts, and the services that set, get and use them.

use std::borrow::Cow;

use super::cdr::{Service, message};
use super::sensor_msgs::{CompressedImage, Image};
use super::vision_msgs::{BoundingBox2D, Detection2DArray};
use crate::types;

message! {
    /// `owlet_msgs/msg/Exemplar`: a picture of what is looked for.
    pub struct Exemplar<'a> = "owlet_msgs/msg/Exemplar" {
        /// JPEG or PNG.
        pub image: CompressedImage<'a>,
        /// Where in it the thing is, in pixels; `None` for the whole picture.
        pub r#box: Option<BoundingBox2D>,
    }
}

impl<'a> From<&'a types::Exemplar> for Exemplar<'a> {
    fn from(exemplar: &'a types::Exemplar) -> Self {
        let data = exemplar.picture.encoded.as_slice();
        // A JPEG begins so, and what is no JPEG is a PNG.
        let format = if data.starts_with(b"\xff\xd8") { "jpeg" } else { "png" };
        let image = CompressedImage { format, data, ..CompressedImage::default() };
        Self { image, r#box: exemplar.box_in_source_px.map(BoundingBox2D::from) }
    }
}

message! {
    /// `owlet_msgs/msg/FinerLabel`: what a thing that was found may be more closely.
    #[derive(Eq)]
    pub struct FinerLabel<'a> = "owlet_msgs/msg/FinerLabel" {
        /// The name in every output; empty for the first of the texts.
        pub name: Cow<'a, str>,
        /// The texts that describe it; none where the name is its only text.
        pub texts: Vec<Cow<'a, str>>,
    }
}

impl<'a> From<&'a types::FinerLabel> for FinerLabel<'a> {
    fn from(label: &'a types::FinerLabel) -> Self {
        Self {
            name: label.name.as_str().into(),
            texts: label.texts.iter().map(|text| text.as_str().into()).collect(),
        }
    }
}

message! {
    /// `owlet_msgs/msg/Prompt`: one thing to look for.
    pub struct Prompt<'a> = "owlet_msgs/msg/Prompt" {
        /// The name that every output carries; empty for the first of the texts.
        pub name: Cow<'a, str>,
        /// The texts that describe it; none where the name is its only text.
        pub texts: Vec<Cow<'a, str>>,
        /// The pictures that show it.
        pub exemplars: Vec<Exemplar<'a>>,
        /// Lowest score that is reported, in `[0, 1]`; `None` for the set's.
        pub threshold: Option<f32>,
        /// Whether it is a distractor.
        pub negative: bool,
        /// Whether its texts are looked up in the bank of pairs.
        pub asif: bool,
        /// Whether its texts, and its exemplars, are one query each.
        pub average: bool,
        /// Sentences into which its texts are put.
        pub templates: Vec<Cow<'a, str>>,
        /// Labels among which a classifier chooses for what it finds.
        pub finer: Vec<FinerLabel<'a>>,
    }
}

impl<'a> From<&'a types::Prompt> for Prompt<'a> {
    fn from(prompt: &'a types::Prompt) -> Self {
        Self {
            name: prompt.name.as_str().into(),
            texts: prompt.texts.iter().map(|text| text.as_str().into()).collect(),
            exemplars: prompt.exemplars.iter().map(Exemplar::from).collect(),
            threshold: prompt.threshold,
            negative: prompt.negative,
            asif: prompt.asif,
            average: prompt.average,
            templates: prompt.templates.iter().map(|template| template.as_str().into()).collect(),
            finer: prompt.finer.iter().map(FinerLabel::from).collect(),
        }
    }
}

message! {
    /// `owlet_msgs/msg/PromptSet`: all prompts of a node at one time.
    pub struct PromptSet<'a> = "owlet_msgs/msg/PromptSet" {
        /// Counts up with every set; 0 where none was set yet.
        pub version: u64,
        /// Lowest score that is reported, in `[0, 1]`, for prompts with none of their own; `None`
        /// for the node's.
        pub default_threshold: Option<f32>,
        /// The prompts.
        pub prompts: Vec<Prompt<'a>>,
    }
}

impl<'a> From<&'a types::PromptSet> for PromptSet<'a> {
    fn from(set: &'a types::PromptSet) -> Self {
        Self {
            version: set.version,
            default_threshold: Some(set.default_threshold),
            prompts: set.prompts.iter().map(Prompt::from).collect(),
        }
    }
}

message! {
    /// Asks to put a set into use.
    pub struct SetPromptsRequest<'a> = "owlet_msgs/srv/SetPrompts_Request" {
        /// The only version that may be replaced; `None` for any.
        pub replaces: Option<u64>,
        /// Lowest score that is reported, in `[0, 1]`, for prompts with none of their own; `None`
        /// for the node's.
        pub default_threshold: Option<f32>,
        /// The prompts.
        pub prompts: Vec<Prompt<'a>>,
    }
}

message! {
    /// What became of it.
    #[derive(Eq)]
    pub struct SetPromptsResponse<'a> = "owlet_msgs/srv/SetPrompts_Response" {
        /// Whether the set is in use now.
        pub success: bool,
        /// Version of the set in use now; 0 where none is.
        pub version: u64,
        /// Why it was refused, problem by problem.
        pub reasons: Vec<Cow<'a, str>>,
    }
}

/// `owlet_msgs/srv/SetPrompts`, served as `~/set_prompts`.
#[derive(Clone, Copy, Debug)]
pub struct SetPrompts;

impl Service for SetPrompts {
    const TYPE: &'static str = "owlet_msgs/srv/SetPrompts";
    const TYPE_HASH: &'static str =
        "RIHS01_1738ebf76d07764d81641f28889b011c28819cd7e888344a1c8b3e0b853be38b";
    type Request<'a> = SetPromptsRequest<'a>;
    type Response<'a> = SetPromptsResponse<'a>;
}

message! {
    /// Asks for the set in use.
    #[derive(Copy, Eq)]
    pub struct GetPromptsRequest = "owlet_msgs/srv/GetPrompts_Request" {}
}

message! {
    /// The set in use.
    pub struct GetPromptsResponse<'a> = "owlet_msgs/srv/GetPrompts_Response" {
        /// Version 0 with no prompts where none is in use.
        pub prompt_set: PromptSet<'a>,
    }
}

/// `owlet_msgs/srv/GetPrompts`, served as `~/get_prompts`.
#[derive(Clone, Copy, Debug)]
pub struct GetPrompts;

impl Service for GetPrompts {
    const TYPE: &'static str = "owlet_msgs/srv/GetPrompts";
    const TYPE_HASH: &'static str =
        "RIHS01_24b5af4c76889db985884493d9491c5eaa2f9d84e4c05815ea7fd813b57f3728";
    type Request<'a> = GetPromptsRequest;
    type Response<'a> = GetPromptsResponse<'a>;
}

message! {
    /// Asks what is in one image.
    pub struct DetectRequest<'a> = "owlet_msgs/srv/Detect_Request" {
        /// Topic of the camera whose newest frame is meant, where no image is given; empty for the
        /// only camera.
        pub camera: Cow<'a, str>,
        /// The image.
        pub image: Option<Image<'a>>,
        /// The image as JPEG or PNG, instead.
        pub compressed_image: Option<CompressedImage<'a>>,
        /// What to look for in it; none for the set in use.
        pub prompts: Vec<Prompt<'a>>,
        /// Lowest score that is reported, in `[0, 1]`, for those of `prompts` with none of their
        /// own; `None` for the node's.
        pub default_threshold: Option<f32>,
    }
}

message! {
    /// What is in it.
    pub struct DetectResponse<'a> = "owlet_msgs/srv/Detect_Response" {
        /// Whether the image was looked at.
        pub success: bool,
        /// Why not.
        pub message: Cow<'a, str>,
        /// Version of the set that was looked for; 0 for prompts of the request.
        pub prompts_version: u64,
        /// What was found, best first.
        pub detections: Detection2DArray<'a>,
    }
}

/// `owlet_msgs/srv/Detect`, served as `~/detect`.
#[derive(Clone, Copy, Debug)]
pub struct Detect;

impl Service for Detect {
    const TYPE: &'static str = "owlet_msgs/srv/Detect";
    const TYPE_HASH: &'static str =
        "RIHS01_b9491851ad4100cd8de139e629e9b99f3d768f2e54a33ba5b797181a9a00ae38";
    type Request<'a> = DetectRequest<'a>;
    type Response<'a> = DetectResponse<'a>;
}

message! {
    /// Shows a thing.
    pub struct TeachRequest<'a> = "owlet_msgs/srv/Teach_Request" {
        /// What it is called.
        pub name: Cow<'a, str>,
        /// Topic of the camera whose newest frame shows it, where no image is given; empty for the
        /// only camera.
        pub camera: Cow<'a, str>,
        /// The image.
        pub image: Option<Image<'a>>,
        /// The image as JPEG or PNG, instead.
        pub compressed_image: Option<CompressedImage<'a>>,
        /// Where in it the thing is, in pixels; `None` for the whole image.
        pub r#box: Option<BoundingBox2D>,
        /// Makes it a pair of the bank with this text; empty for an exemplar.
        pub caption: Cow<'a, str>,
        /// Instead of all else: the text of pairs that go out of the bank; empty for none.
        pub forget: Cow<'a, str>,
        /// Instead of all else: the id of the pair that goes out of the bank; 0 for none.
        pub forget_pair: u64,
    }
}

message! {
    /// What became of it.
    #[derive(Eq)]
    pub struct TeachResponse<'a> = "owlet_msgs/srv/Teach_Response" {
        /// Whether the set with the new exemplar is in use now.
        pub success: bool,
        /// Version of the set in use now; 0 where none is.
        pub version: u64,
        /// Why it was refused.
        pub reasons: Vec<Cow<'a, str>>,
    }
}

/// `owlet_msgs/srv/Teach`, served as `~/teach`.
#[derive(Clone, Copy, Debug)]
pub struct Teach;

impl Service for Teach {
    const TYPE: &'static str = "owlet_msgs/srv/Teach";
    const TYPE_HASH: &'static str =
        "RIHS01_6206525a23ea914ba116eeb68afe5511552620bfe628f3bd0ae402fa5873a87f";
    type Request<'a> = TeachRequest<'a>;
    type Response<'a> = TeachResponse<'a>;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wire::cdr::Message;

    #[test]
    fn a_prompt_set_goes_there_and_back() {
        let picture = types::ExemplarPicture {
            image: Arc::new(image::RgbImage::new(8, 8)),
            encoded: b"\xff\xd8\xff".to_vec(),
            file: None,
        };
        let area = types::PixelBox::from_corners([1.0, 2.0, 7.0, 6.0]);
        let shown = types::Exemplar { picture: Arc::new(picture), box_in_source_px: Some(area) };
        let mug = types::Prompt {
            name: "mug".to_owned(),
            texts: vec!["a mug".to_owned(), "eine Tasse für Käuzchen".to_owned()],
            exemplars: vec![shown.clone(), types::Exemplar { box_in_source_px: None, ..shown }],
            threshold: Some(0.25),
            average: true,
            templates: vec!["a photo of {}".to_owned(), "{}".to_owned()],
            finer: ["a clean mug", "a dirty mug"].map(types::FinerLabel::from_text).to_vec(),
            ..types::Prompt::default()
        };
        let other = types::Prompt { negative: true, asif: true, ..types::Prompt::from_text("x") };
        let set =
            types::PromptSet { version: 7, prompts: vec![mug, other], default_threshold: 0.1 };
        let bytes = PromptSet::from(&set).encode();
        let message = PromptSet::decode(&bytes).unwrap();
        assert_eq!(message, PromptSet::from(&set));
        assert_eq!((message.version, message.default_threshold), (7, Some(0.1)));
        let [shown, whole] = message.prompts[0].exemplars.as_slice() else { panic!("two") };
        assert_eq!((shown.image.format, shown.image.data), ("jpeg", &b"\xff\xd8\xff"[..]));
        assert_eq!(whole.r#box, None);
        let corners = types::PixelBox::from(shown.r#box.unwrap()).corners();
        assert_eq!(corners, [1.0, 2.0, 7.0, 6.0]);
        for len in 0..bytes.len() {
            assert!(PromptSet::decode(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn more_than_one_threshold_and_a_hostile_count_are_named() {
        let prompt = Prompt { threshold: Some(0.5), ..Prompt::default() };
        let request = SetPromptsRequest { prompts: vec![prompt], ..SetPromptsRequest::default() };
        let bytes = request.encode();
        assert_eq!(SetPromptsRequest::decode(&bytes), Ok(request));

        // Header, no version, no threshold, one prompt: an empty name, no texts, no exemplars.
        let count_at = 4 + 4 + 4 + 4 + 8 + 4 + 4;
        assert_eq!(bytes[count_at..count_at + 4], [1, 0, 0, 0]);
        let mut two = bytes.clone();
        two[count_at] = 2;
        two.extend([0; 8]);
        let error = SetPromptsRequest::decode(&two).unwrap_err();
        assert_eq!((error.at.field.as_str(), error.at.offset), ("prompts[0].threshold", count_at));
        assert_eq!(error.at.expected, "at most one element");

        let mut hostile = bytes;
        hostile[count_at..count_at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = SetPromptsRequest::decode(&hostile).unwrap_err();
        assert_eq!(error.at.field, "prompts[0].threshold");
        assert_eq!(error.at.found, "a count of 4294967295");
    }

    #[test]
    fn a_request_without_fields_is_one_byte_and_may_come_without_it() {
        let bytes = GetPromptsRequest {}.encode();
        assert_eq!(bytes, [0, 1, 0, 0, 0]);
        assert_eq!(GetPromptsRequest::decode(&bytes), Ok(GetPromptsRequest {}));
        assert_eq!(GetPromptsRequest::decode(&bytes[..4]), Ok(GetPromptsRequest {}));
        assert!(GetPromptsRequest::decode(&bytes[..3]).is_err());
    }

    #[test]
    fn a_request_to_detect_borrows_the_pixels() {
        let image = Image { height: 1, width: 2, step: 6, data: &[9; 6], ..Image::default() };
        let request = DetectRequest { image: Some(image), ..DetectRequest::default() };
        let bytes = request.encode();
        let read = DetectRequest::decode(&bytes).unwrap();
        assert_eq!(read, request);
        assert!(bytes.as_ptr_range().contains(&read.image.unwrap().data.as_ptr()));
    }
}
