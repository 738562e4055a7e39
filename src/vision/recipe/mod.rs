//! What a checkpoint wants done to an image, read from its own configuration.
//!
//! The reference (transformers 5.23.0) has two variants of each processor, on torchvision and on
//! Pillow, and they differ. Held here is the torchvision one: it is what `AutoProcessor` takes
//! where torchvision is installed, so what the published numbers of the checkpoints are checked
//! with today, and it does not change with the version of Pillow. OWL-ViT's, ViT's, BiT's and SAM's
//! are met to the last bit, OWLv2's to rounding in f32. timm resizes with Pillow; its steps are
//! followed with the resize of torchvision, as those of all others.
//!
//! How far the Pillow variant is from it, in levels of 8 bits on photographs at full size
//! (`tools/make_preprocess_goldens.py --compare`): OWL-ViT at most 2, 0.004 in the mean, and where
//! the image is higher than wide at most 9, 0.12 in the mean, since Pillow 13 then resizes the
//! columns first; OWLv2 at most 0.08, but up to 18 on the outermost lines of an enlarged image,
//! where Pillow's variant mirrors and torchvision's repeats the edge (0.003 in the mean).

mod settings;
mod timm;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::canvas::{CanvasGeometry, CentreCrop, Placement};
use super::resize::Filter;

/// The processors that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// Stretch to the canvas with an antialiased 8-bit resize, then normalise.
    OwlVit,
    /// As OWL-ViT, with other defaults; CLIPSeg uses it.
    Vit,
    /// Pad to a square with black, blur and sample in floats, then normalise.
    Owlv2,
    /// Resize the longer side as OWL-ViT does it, normalise, then pad with zeros.
    Sam,
    /// Scale the shorter side with an antialiased 8-bit resize, cut the canvas out of the middle,
    /// then normalise; DINOv2 uses it.
    Bit,
    /// As BiT; CLIP and GroupViT use it.
    Clip,
    /// As BiT, by timm's data configuration.
    Timm,
}

impl Processor {
    fn from_type_name(name: &str) -> Option<Self> {
        let base = name.strip_suffix("Fast").or(name.strip_suffix("Pil")).unwrap_or(name);
        match base {
            "OwlViTImageProcessor" | "OwlViTFeatureExtractor" => Some(Self::OwlVit),
            "Owlv2ImageProcessor" => Some(Self::Owlv2),
            "ViTImageProcessor" | "ViTFeatureExtractor" => Some(Self::Vit),
            "SamImageProcessor" => Some(Self::Sam),
            "BitImageProcessor" => Some(Self::Bit),
            "CLIPImageProcessor" | "CLIPFeatureExtractor" => Some(Self::Clip),
            _ => None,
        }
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwlVit => "OwlViTImageProcessor",
            Self::Owlv2 => "Owlv2ImageProcessor",
            Self::Vit => "ViTImageProcessor",
            Self::Sam => "SamImageProcessor",
            Self::Bit => "BitImageProcessor",
            Self::Clip => "CLIPImageProcessor",
            Self::Timm => "timm's data configuration",
        })
    }
}

/// What is done to an image on its way to the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Whose way of doing it.
    pub processor: Processor,
    /// Width of the canvas in pixels.
    pub canvas_width: u32,
    /// Height of the canvas in pixels.
    pub canvas_height: u32,
    /// Longer side of the resized image in pixels, where it keeps its aspect ratio and the rest of
    /// the canvas is padding (SAM); `None` where it fills the canvas in the processor's own way.
    pub longest_edge: Option<u32>,
    /// Length in pixels that the shorter side of an image is scaled to before the canvas is cut
    /// out of its middle; `None` where the canvas holds the whole image.
    pub shortest_edge: Option<u32>,
    /// Kernel of the resize; OWLv2 has its own and always says bilinear.
    pub filter: Filter,
    /// Factor on 8-bit values, `None` where they are left in `[0, 255]`.
    pub rescale_factor: Option<f64>,
    /// Subtracted from each rescaled channel, then divided by: `(mean, std)`.
    pub normalize: Option<([f64; 3], [f64; 3])>,
}

/// One setting of a preprocessor configuration that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeProblem {
    /// The key in the file.
    pub key: String,
    /// What was expected and what was found.
    pub reason: String,
}

impl fmt::Display for RecipeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)
    }
}

/// Why a checkpoint's preprocessing cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// No configuration of the preprocessing is in the checkpoint's folder.
    #[error("{}: file not found; without it nobody knows how the checkpoint wants its images", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file does not hold a JSON object.
    #[error("{}: expected a JSON object: {reason}", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// It asks for what is not implemented, or contradicts itself.
    #[error("{}: cannot be followed{}", path.display(), listed(problems))]
    Refused {
        /// The file.
        path: PathBuf,
        /// Every problem found.
        problems: Vec<RecipeProblem>,
    },
}

fn listed(problems: &[RecipeProblem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

impl Recipe {
    /// Reads the recipe of the checkpoint in `folder`: the `image_processor` section of
    /// `processor_config.json` where there is one (transformers 5 saves it there), else
    /// `preprocessor_config.json`, in the reference's order; where there is neither, the
    /// `pretrained_cfg` of a `config.json` that timm wrote.
    ///
    /// # Errors
    /// Where there is neither, where the file is no JSON object, and every setting that is not
    /// implemented.
    pub fn open(folder: &Path) -> Result<Self, RecipeError> {
        let nested = folder.join("processor_config.json");
        if nested.is_file()
            && let Some(Value::Object(section)) = read_object(&nested)?.get("image_processor")
        {
            return Self::from_settings(section, &nested);
        }
        let path = folder.join("preprocessor_config.json");
        let timm = folder.join("config.json");
        if !path.exists()
            && timm.is_file()
            && let Some(Value::Object(section)) = read_object(&timm)?.get("pretrained_cfg")
        {
            return timm::read(section)
                .map_err(|problems| RecipeError::Refused { path: timm, problems });
        }
        Self::from_settings(&read_object(&path)?, &path)
    }

    /// From the text of a `preprocessor_config.json`; `path` is for messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_json(text: &str, path: &Path) -> Result<Self, RecipeError> {
        Self::from_settings(&parse_object(text, path)?, path)
    }

    fn from_settings(settings: &Map<String, Value>, path: &Path) -> Result<Self, RecipeError> {
        settings::read(settings)
            .map_err(|problems| RecipeError::Refused { path: path.to_owned(), problems })
    }

    /// How images are put on the canvas.
    #[must_use]
    pub fn placement(&self) -> Placement {
        match (self.processor, self.shortest_edge) {
            (_, Some(shortest_edge)) => Placement::CentreCrop(CentreCrop {
                shortest_edge,
                width: self.canvas_width,
                height: self.canvas_height,
                // timm crops with torchvision's own function, the processors with theirs.
                half_to_even: self.processor == Processor::Timm,
            }),
            (Processor::Owlv2, None) => Placement::PadToSquare,
            (Processor::Sam, None) => Placement::LongestEdge {
                longest_edge: self.longest_edge.unwrap_or(self.canvas_width),
                canvas_side: self.canvas_width,
            },
            (_, None) => Placement::Stretch,
        }
    }

    /// Where a source of this size lies on the canvas.
    #[must_use]
    pub fn geometry(&self, source_width: u32, source_height: u32) -> CanvasGeometry {
        CanvasGeometry::new(self.placement(), source_width, source_height)
    }
}

fn read_object(path: &Path) -> Result<Map<String, Value>, RecipeError> {
    let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => RecipeError::Missing { path: path.to_owned() },
        _ => RecipeError::Read { path: path.to_owned(), source },
    })?;
    parse_object(&text, path)
}

fn parse_object(text: &str, path: &Path) -> Result<Map<String, Value>, RecipeError> {
    serde_json::from_str(text)
        .map_err(|error| RecipeError::NotJson { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::settings::{CLIP_MEAN, CLIP_STD};
    use super::*;

    fn read(text: &str) -> Result<Recipe, RecipeError> {
        Recipe::from_json(text, Path::new("preprocessor_config.json"))
    }

    fn refused_keys(text: &str) -> Vec<String> {
        match read(text).unwrap_err() {
            RecipeError::Refused { problems, .. } => {
                problems.into_iter().map(|problem| problem.key).collect()
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_released_configurations_are_understood() {
        let owlvit = read(
            r#"{"crop_size": {"height": 768, "width": 768}, "do_center_crop": false,
                "do_normalize": true, "do_rescale": true, "do_resize": true,
                "feature_extractor_type": "OwlViTFeatureExtractor",
                "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_processor_type": "OwlViTFeatureExtractor",
                "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3,
                "rescale_factor": 0.00392156862745098, "size": {"height": 768, "width": 768}}"#,
        )
        .unwrap();
        assert_eq!(owlvit.processor, Processor::OwlVit);
        assert_eq!((owlvit.canvas_width, owlvit.canvas_height), (768, 768));
        assert_eq!(owlvit.filter, Filter::Bicubic);
        assert_eq!(owlvit.normalize, Some((CLIP_MEAN, CLIP_STD)));
        let owlv2 = read(
            r#"{"do_normalize": true, "do_pad": true, "do_rescale": true, "do_resize": true,
                "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_processor_type": "Owlv2ImageProcessor", "processor_class": "Owlv2Processor",
                "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 2,
                "rescale_factor": 0.00392156862745098, "size": {"height": 1008, "width": 1008}}"#,
        )
        .unwrap();
        assert_eq!((owlv2.processor, owlv2.canvas_width), (Processor::Owlv2, 1008));
    }

    #[test]
    fn missing_and_null_settings_take_the_defaults_of_the_processor() {
        let owlvit = read(r#"{"feature_extractor_type": "OwlViTFeatureExtractor"}"#).unwrap();
        assert_eq!((owlvit.canvas_height, owlvit.filter), (768, Filter::Bicubic));
        assert_eq!(owlvit.rescale_factor, Some(1.0 / 255.0));
        let owlv2 = read(
            r#"{"image_processor_type": "Owlv2ImageProcessorFast", "size": null, "do_pad": null}"#,
        )
        .unwrap();
        assert_eq!((owlv2.canvas_height, owlv2.filter), (960, Filter::Bilinear));
    }

    #[test]
    fn what_segmenters_say_is_understood() {
        // As the released CLIPSeg checkpoints have it.
        let clipseg = read(
            r#"{"do_normalize": true, "do_rescale": true, "do_resize": true,
                "image_mean": [0.485, 0.456, 0.406], "image_processor_type": "ViTFeatureExtractor",
                "image_std": [0.229, 0.224, 0.225], "resample": 2,
                "rescale_factor": 0.00392156862745098, "size": {"height": 352, "width": 352}}"#,
        )
        .unwrap();
        assert_eq!((clipseg.processor, clipseg.canvas_width), (Processor::Vit, 352));
        assert_eq!(clipseg.filter, Filter::Bilinear);
        let geometry = clipseg.geometry(640, 480);
        assert_eq!(geometry, CanvasGeometry::new(Placement::Stretch, 640, 480));
        let bare = read(r#"{"image_processor_type": "ViTImageProcessor"}"#).unwrap();
        assert_eq!((bare.canvas_width, bare.filter), (224, Filter::Bilinear));
        assert_eq!(bare.normalize, Some(([0.5; 3], [0.5; 3])));
    }

    #[test]
    fn what_sam_says_is_understood() {
        // As the released checkpoints have it.
        let sam = read(
            r#"{"do_convert_rgb": true, "do_normalize": true, "do_pad": true, "do_rescale": true,
                "do_resize": true, "image_mean": [0.485, 0.456, 0.406],
                "image_processor_type": "SamImageProcessor", "image_std": [0.229, 0.224, 0.225],
                "pad_size": {"height": 1024, "width": 1024}, "processor_class": "SamProcessor",
                "resample": 2, "rescale_factor": 0.00392156862745098,
                "size": {"longest_edge": 1024}}"#,
        )
        .unwrap();
        assert_eq!((sam.processor, sam.filter), (Processor::Sam, Filter::Bilinear));
        assert_eq!(
            (sam.canvas_width, sam.canvas_height, sam.longest_edge),
            (1024, 1024, Some(1024))
        );
        let placement = Placement::LongestEdge { longest_edge: 1024, canvas_side: 1024 };
        assert_eq!(sam.geometry(640, 480), CanvasGeometry::new(placement, 640, 480));
        // transformers 5 says how masks for training are resized, too.
        let bare = read(
            r#"{"image_processor_type": "SamImageProcessorFast", "mask_size": {"longest_edge": 256},
                "mask_pad_size": {"height": 256, "width": 256}}"#,
        )
        .unwrap();
        assert_eq!(bare, sam);
        let small = read(
            r#"{"image_processor_type": "SamImageProcessor", "size": {"longest_edge": 60},
                "pad_size": {"height": 64, "width": 64}}"#,
        )
        .unwrap();
        assert_eq!((small.canvas_width, small.longest_edge), (64, Some(60)));
    }

    #[test]
    fn what_sam_cannot_be_is_refused() {
        let sam = |more: &str| {
            refused_keys(&format!(r#"{{"image_processor_type": "SamImageProcessor", {more}}}"#))
        };
        assert_eq!(sam(r#""do_pad": false"#), ["do_pad"]);
        assert_eq!(sam(r#""size": {"longest_edge": 65}, "pad_size": 64"#), ["size"]);
        assert_eq!(sam(r#""pad_size": {"height": 64, "width": 96}"#), ["pad_size"]);
        assert_eq!(sam(r#""size": {"height": 64, "width": 64}"#), ["size"]);
        assert_eq!(sam(r#""size": {"longest_edge": 0}"#), ["size"]);
    }

    #[test]
    fn every_form_of_size_that_fixes_the_canvas_is_read() {
        let size = |size: &str| {
            read(&format!(r#"{{"image_processor_type": "OwlViTImageProcessor", "size": {size}}}"#))
                .map(|recipe| (recipe.canvas_height, recipe.canvas_width))
        };
        assert_eq!(size("64").unwrap(), (64, 64));
        assert_eq!(size("[48, 64]").unwrap(), (48, 64));
        assert_eq!(size(r#"{"width": 64, "height": 48}"#).unwrap(), (48, 64));
        for bad in ["0", "-3", "[1, 2, 3]", "\"768\"", r#"{"height": 5}"#, "4294967296"] {
            let error = size(bad).unwrap_err().to_string();
            assert!(error.contains("size: expected"), "{error}");
        }
        let error = size(r#"{"shortest_edge": 768}"#).unwrap_err().to_string();
        assert!(error.contains("aspect ratio"), "{error}");
    }

    #[test]
    fn what_is_not_implemented_is_refused_by_name_and_all_at_once() {
        let keys = refused_keys(
            r#"{"image_processor_type": "OwlViTImageProcessor", "do_center_crop": true,
                "do_pad": true, "resample": 1, "image_std": [1, 0, 1], "sharpen": 3,
                "do_resize": "yes", "rescale_factor": 0}"#,
        );
        let expected = [
            "sharpen",
            "do_resize",
            "do_center_crop",
            "do_pad",
            "resample",
            "rescale_factor",
            "image_std",
        ];
        assert_eq!(keys, expected);
        let keys = refused_keys(
            r#"{"image_processor_type": "Owlv2ImageProcessor", "do_pad": false,
                "do_rescale": false, "resample": 3, "size": [960, 480], "image_mean": [0.5, 0.5]}"#,
        );
        assert_eq!(keys, ["do_pad", "size", "resample", "do_rescale", "image_mean"]);
        assert_eq!(refused_keys("{}"), ["image_processor_type"]);
        assert_eq!(
            refused_keys(r#"{"image_processor_type": "SiglipImageProcessor"}"#),
            ["image_processor_type"]
        );
    }

    #[test]
    fn the_old_flag_for_rescaling_wins() {
        let recipe = read(
            r#"{"image_processor_type": "OwlViTImageProcessor", "rescale": false,
                "do_rescale": true}"#,
        )
        .unwrap();
        assert_eq!(recipe.rescale_factor, None);
    }

    #[test]
    fn a_folder_without_the_file_and_a_file_that_is_no_object_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Recipe::open(folder.path()).unwrap_err();
        assert!(matches!(missing, RecipeError::Missing { .. }), "{missing}");
        assert!(missing.to_string().contains("preprocessor_config.json"));
        std::fs::write(folder.path().join("preprocessor_config.json"), "[1]").unwrap();
        assert!(matches!(Recipe::open(folder.path()), Err(RecipeError::NotJson { .. })));
    }

    #[test]
    fn the_section_of_a_processor_file_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write(
            "preprocessor_config.json",
            r#"{"image_processor_type": "OwlViTImageProcessor", "size": 32}"#,
        );
        write("processor_config.json", r#"{"processor_class": "OwlViTProcessor"}"#);
        assert_eq!(Recipe::open(folder.path()).unwrap().canvas_width, 32);
        write(
            "processor_config.json",
            r#"{"image_processor": {"image_processor_type": "Owlv2ImageProcessor", "size": 64}}"#,
        );
        assert_eq!(Recipe::open(folder.path()).unwrap().canvas_width, 64);
    }
}
