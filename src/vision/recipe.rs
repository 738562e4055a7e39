//! What a checkpoint wants done to an image, read from its own configuration.
//!
//! The reference (transformers 5.23.0) has two variants of each processor, on Pillow and on
//! torchvision. Held here is the torchvision one, which `AutoProcessor` takes by default:
//! OWL-ViT's to the last bit, OWLv2's to rounding in f32.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::canvas::{CanvasGeometry, Placement};
use super::resize::Filter;

/// CLIP's statistics, the default of every processor here.
const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// The two processors that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// Stretch to the canvas with an antialiased 8-bit resize, then normalise.
    OwlVit,
    /// Pad to a square with black, blur and sample in floats, then normalise.
    Owlv2,
}

impl Processor {
    fn from_type_name(name: &str) -> Option<Self> {
        let base = name.strip_suffix("Fast").or(name.strip_suffix("Pil")).unwrap_or(name);
        match base {
            "OwlViTImageProcessor" | "OwlViTFeatureExtractor" => Some(Self::OwlVit),
            "Owlv2ImageProcessor" => Some(Self::Owlv2),
            _ => None,
        }
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwlVit => "OwlViTImageProcessor",
            Self::Owlv2 => "Owlv2ImageProcessor",
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
    /// `preprocessor_config.json`, in the reference's order.
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
        let mut reader = Reader { settings, problems: Vec::new() };
        let recipe = reader.recipe();
        match recipe {
            Some(recipe) if reader.problems.is_empty() => Ok(recipe),
            _ => Err(RecipeError::Refused { path: path.to_owned(), problems: reader.problems }),
        }
    }

    /// Where a source of this size lies on the canvas.
    #[must_use]
    pub fn geometry(&self, source_width: u32, source_height: u32) -> CanvasGeometry {
        let placement = match self.processor {
            Processor::OwlVit => Placement::Stretch,
            Processor::Owlv2 => Placement::PadToSquare,
        };
        CanvasGeometry::new(placement, source_width, source_height)
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

/// Keys that say nothing about pixels: bookkeeping, and where tensors are made.
const WITHOUT_EFFECT: &[&str] = &[
    "_valid_processor_keys",
    "data_format",
    "device",
    "disable_grouping",
    "do_convert_rgb", // the source is RGB already
    "input_data_format",
    "processor_class",
    "return_tensors",
    "use_fast",
];

/// Keys that are read; the rest is refused by name.
const READ: &[&str] = &[
    "crop_size", // without effect, since a crop is refused
    "default_to_square",
    "do_center_crop",
    "do_normalize",
    "do_pad",
    "do_rescale",
    "do_resize",
    "feature_extractor_type",
    "image_mean",
    "image_processor_type",
    "image_std",
    "pad_size",
    "resample",
    "rescale",
    "rescale_factor",
    "size",
];

/// Reads settings and collects every problem. A `null` is a missing key, as in the reference.
struct Reader<'a> {
    settings: &'a Map<String, Value>,
    problems: Vec<RecipeProblem>,
}

impl Reader<'_> {
    fn recipe(&mut self) -> Option<Recipe> {
        for (key, value) in self.settings {
            let known = WITHOUT_EFFECT.contains(&key.as_str()) || READ.contains(&key.as_str());
            if !known && !value.is_null() {
                self.refuse(key, format!("a setting that is not known, found {value}"));
            }
        }
        let processor = self.processor();
        let owlv2 = processor == Some(Processor::Owlv2);
        self.demand("do_resize", true, true, "without it every image has a canvas of its own");
        self.demand("do_center_crop", false, false, "what lies outside of the crop is never seen");
        self.demand("do_pad", owlv2, owlv2, "the processor pads in its own way or not at all");
        if self.value("pad_size").is_some() {
            self.refuse("pad_size", "padding to a given size is not implemented".to_owned());
        }
        let (canvas_width, canvas_height) = self.canvas(if owlv2 { 960 } else { 768 })?;
        if owlv2 && canvas_width != canvas_height {
            let reason = format!("expected a square, found {canvas_width}x{canvas_height}");
            self.refuse("size", reason);
        }
        let filter = self.filter(owlv2);
        // "rescale" is the name in early checkpoints, and there it wins.
        let key = if self.value("rescale").is_some() { "rescale" } else { "do_rescale" };
        let rescale = self.flag(key, true);
        if owlv2 && !rescale {
            self.refuse(key, "expected true: 8-bit values cannot be blurred".to_owned());
        }
        let factor = self.number("rescale_factor", 1.0 / 255.0);
        let normalize = self.flag("do_normalize", true);
        let mean = self.channels("image_mean", CLIP_MEAN);
        let std = self.channels("image_std", CLIP_STD);
        if std.contains(&0.0) {
            self.refuse("image_std", "a channel would be divided by 0".to_owned());
        }
        Some(Recipe {
            processor: processor?,
            canvas_width,
            canvas_height,
            filter,
            rescale_factor: rescale.then_some(factor),
            normalize: normalize.then_some((mean, std)),
        })
    }

    fn refuse(&mut self, key: &str, reason: String) {
        self.problems.push(RecipeProblem { key: key.to_owned(), reason });
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.settings.get(key).filter(|value| !value.is_null())
    }

    fn processor(&mut self) -> Option<Processor> {
        let key = ["image_processor_type", "feature_extractor_type"]
            .into_iter()
            .find(|key| self.value(key).is_some());
        let expected = "expected OwlViTImageProcessor or Owlv2ImageProcessor";
        let Some(key) = key else {
            self.refuse("image_processor_type", format!("{expected}, found nothing"));
            return None;
        };
        let found = self.value(key).cloned().unwrap_or_default();
        let processor = found.as_str().and_then(Processor::from_type_name);
        if processor.is_none() {
            self.refuse(key, format!("{expected}, found {found}"));
        }
        processor
    }

    fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.value(key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                let reason = format!("expected true or false, found {other}");
                self.refuse(key, reason);
                default
            }
        }
    }

    fn demand(&mut self, key: &str, default: bool, demanded: bool, why: &str) {
        if self.flag(key, default) != demanded {
            self.refuse(key, format!("{} is not implemented: {why}", !demanded));
        }
    }

    fn number(&mut self, key: &str, default: f64) -> f64 {
        match self.value(key).map(|value| (value.as_f64(), value.clone())) {
            None => default,
            Some((Some(number), _)) if number > 0.0 && number.is_finite() => number,
            Some((_, other)) => {
                self.refuse(key, format!("expected a number above 0, found {other}"));
                default
            }
        }
    }

    fn channels(&mut self, key: &str, default: [f64; 3]) -> [f64; 3] {
        let Some(value) = self.value(key).cloned() else { return default };
        let read = match &value {
            Value::Number(number) => number.as_f64().map(|number| [number; 3]),
            Value::Array(items) => {
                let numbers: Option<Vec<f64>> = items.iter().map(Value::as_f64).collect();
                numbers.and_then(|numbers| numbers.try_into().ok())
            }
            _ => None,
        };
        read.unwrap_or_else(|| {
            self.refuse(key, format!("expected a number or three, found {value}"));
            default
        })
    }

    /// Width and height of the canvas.
    fn canvas(&mut self, default: u32) -> Option<(u32, u32)> {
        let Some(value) = self.value("size").cloned() else { return Some((default, default)) };
        let side = |value: &Value| {
            value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=16_384).contains(n))
        };
        let keys: Vec<&str> = match &value {
            Value::Object(fields) => fields.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        let size = match &value {
            Value::Number(_) if self.flag("default_to_square", true) => {
                side(&value).map(|n| (n, n))
            }
            Value::Array(items) if items.len() == 2 => side(&items[1]).zip(side(&items[0])),
            Value::Object(fields) if keys.len() == 2 => {
                fields.get("width").and_then(side).zip(fields.get("height").and_then(side))
            }
            _ => None,
        };
        if size.is_none() {
            let keeps_aspect = keys.iter().any(|key| key.contains("edge") || key.contains("max_"))
                || (value.is_number() && !self.flag("default_to_square", true));
            self.refuse(
                "size",
                if keeps_aspect {
                    format!(
                        "expected a fixed height and width, found {value}: a canvas that keeps \
                         the aspect ratio of each image is not implemented"
                    )
                } else {
                    format!("expected a side, [height, width] or both by name in [1, 16384], found {value}")
                },
            );
        }
        size
    }

    /// Numbers as in Pillow's `Resampling`.
    fn filter(&mut self, owlv2: bool) -> Filter {
        let default = if owlv2 { Filter::Bilinear } else { Filter::Bicubic };
        match (self.value("resample").map(|value| (value.as_u64(), value.clone())), owlv2) {
            (None, _) => default,
            (Some((Some(2), _)), _) => Filter::Bilinear,
            (Some((Some(3), _)), false) => Filter::Bicubic,
            (Some((_, found)), _) => {
                let expected = if owlv2 { "2 (bilinear)" } else { "2 (bilinear) or 3 (bicubic)" };
                self.refuse("resample", format!("expected {expected}, found {found}"));
                default
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
            refused_keys(r#"{"image_processor_type": "CLIPImageProcessor"}"#),
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
