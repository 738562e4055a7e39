//! The keys of a preprocessor configuration.

use serde_json::{Map, Value};

use super::{Processor, Recipe, RecipeProblem};
use crate::vision::resize::Filter;

/// CLIP's statistics, the default of the OWL processors.
pub(super) const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
pub(super) const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// ImageNet's statistics, the default of SAM.
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];

/// The defaults of a processor.
struct Defaults {
    side: u32,
    /// What [`Recipe::shortest_edge`] is.
    shortest_edge: Option<u32>,
    filter: Filter,
    mean: [f64; 3],
    std: [f64; 3],
}

impl Defaults {
    fn of(processor: Option<Processor>) -> Self {
        let clip = |side, shortest_edge, filter| Self {
            side,
            shortest_edge,
            filter,
            mean: CLIP_MEAN,
            std: CLIP_STD,
        };
        match processor {
            Some(Processor::Owlv2) => clip(960, None, Filter::Bilinear),
            Some(Processor::Vit) => {
                Self { mean: [0.5; 3], std: [0.5; 3], ..clip(224, None, Filter::Bilinear) }
            }
            Some(Processor::Sam) => Self {
                mean: IMAGENET_MEAN,
                std: IMAGENET_STD,
                ..clip(1024, None, Filter::Bilinear)
            },
            Some(Processor::Bit | Processor::Clip) => clip(224, Some(224), Filter::Bicubic),
            // timm's configuration has a reader of its own.
            Some(Processor::OwlVit | Processor::Timm) | None => clip(768, None, Filter::Bicubic),
        }
    }
}

/// Keys that say nothing about pixels: bookkeeping, and where tensors are made.
const WITHOUT_EFFECT: &[&str] = &[
    "_valid_processor_keys",
    "data_format",
    "device",
    "disable_grouping",
    "do_convert_rgb", // the source is RGB already
    "input_data_format",
    "mask_pad_size", // masks that a network is trained with
    "mask_size",
    "processor_class",
    "return_tensors",
    "use_fast",
];

/// Keys that are read; the rest is refused by name.
const READ: &[&str] = &[
    "crop_size", // without effect where a crop is refused
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

/// The recipe that `settings` describe, or every problem with them.
pub(super) fn read(settings: &Map<String, Value>) -> Result<Recipe, Vec<RecipeProblem>> {
    let mut reader = Reader { settings, problems: Vec::new() };
    match reader.recipe() {
        Some(recipe) if reader.problems.is_empty() => Ok(recipe),
        _ => Err(reader.problems),
    }
}

/// A side in pixels.
fn side(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=16_384).contains(n))
}

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
        let sam = processor == Some(Processor::Sam);
        let defaults = Defaults::of(processor);
        self.demand("do_resize", true, true, "without it every image has a canvas of its own");
        let crops = defaults.shortest_edge.is_some();
        let why = match crops {
            false => "what lies outside of the crop is never seen",
            true => "without it every image has a canvas of its own",
        };
        self.demand("do_center_crop", crops, crops, why);
        let pads = owlv2 || sam;
        self.demand("do_pad", pads, pads, "the processor pads in its own way or not at all");
        if self.value("pad_size").is_some() && !sam {
            self.refuse("pad_size", "padding to a given size is not implemented".to_owned());
        }
        let shortest_edge =
            defaults.shortest_edge.map(|default| self.edge("shortest_edge", default));
        let longest_edge = sam.then(|| self.edge("longest_edge", defaults.side));
        let key = match (crops, sam) {
            (true, _) => "crop_size",
            (false, true) => "pad_size",
            (false, false) => "size",
        };
        let (canvas_width, canvas_height) = self.canvas(key, defaults.side)?;
        if sam && canvas_width != canvas_height {
            let reason = format!("expected a square, found {canvas_width}x{canvas_height}");
            self.refuse("pad_size", reason);
        } else if let Some(edge) = longest_edge.filter(|edge| *edge > canvas_width) {
            let reason = format!("expected at most pad_size ({canvas_width}), found {edge}");
            self.refuse("size", reason);
        }
        if owlv2 && canvas_width != canvas_height {
            let reason = format!("expected a square, found {canvas_width}x{canvas_height}");
            self.refuse("size", reason);
        }
        let filter = self.filter(owlv2, defaults.filter);
        // "rescale" is the name in early checkpoints, and there it wins.
        let key = if self.value("rescale").is_some() { "rescale" } else { "do_rescale" };
        let rescale = self.flag(key, true);
        if owlv2 && !rescale {
            self.refuse(key, "expected true: 8-bit values cannot be blurred".to_owned());
        }
        let factor = self.number("rescale_factor", 1.0 / 255.0);
        let normalize = self.flag("do_normalize", true);
        let mean = self.channels("image_mean", defaults.mean);
        let std = self.channels("image_std", defaults.std);
        if std.contains(&0.0) {
            self.refuse("image_std", "a channel would be divided by 0".to_owned());
        }
        Some(Recipe {
            processor: processor?,
            canvas_width,
            canvas_height,
            longest_edge,
            shortest_edge,
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
        let expected = "expected OwlViTImageProcessor, Owlv2ImageProcessor, ViTImageProcessor, \
                        BitImageProcessor, CLIPImageProcessor or SamImageProcessor";
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

    /// `size` of a processor that scales one side and keeps the aspect ratio: `{"shortest_edge": n}`
    /// or `{"longest_edge": n}`, by `key`; or `n` for the former.
    fn edge(&mut self, key: &str, default: u32) -> u32 {
        let Some(value) = self.value("size").cloned() else { return default };
        let is_shortest = key == "shortest_edge";
        let edge = match &value {
            Value::Number(_) if is_shortest && !self.flag("default_to_square", false) => {
                side(&value)
            }
            Value::Object(fields) if fields.len() == 1 => fields.get(key).and_then(side),
            _ => None,
        };
        edge.unwrap_or_else(|| {
            self.refuse("size", format!("expected {{\"{key}\": 1 to 16384}}, found {value}"));
            default
        })
    }

    /// Width and height of the canvas, from the key that holds them.
    fn canvas(&mut self, key: &str, default: u32) -> Option<(u32, u32)> {
        let Some(value) = self.value(key).cloned() else { return Some((default, default)) };
        let is_size = key == "size";
        let keys: Vec<&str> = match &value {
            Value::Object(fields) => fields.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        let size = match &value {
            Value::Number(_) if !is_size || self.flag("default_to_square", true) => {
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
                || (is_size && value.is_number() && !self.flag("default_to_square", true));
            self.refuse(
                key,
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
    fn filter(&mut self, owlv2: bool, default: Filter) -> Filter {
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
