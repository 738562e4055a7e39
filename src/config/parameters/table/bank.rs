//! The bank of pairs.

use std::path::{Path, PathBuf};

use super::super::super::RegionSource;
use super::super::{Changes, Parameter, ParameterKind};

pub(super) const BANK: &[Parameter] = &[
    Parameter {
        name: "bank",
        description: "The folder of a bank of pairs (`owlet bank build`) in which prompts with \
                      `asif: true` are looked up, relative to the file that names it. Empty for \
                      none; such prompts are refused then.",
        changes: Changes::WhenConfigured,
        example: Some("banks/kitchen"),
        kind: ParameterKind::Text {
            form: "the path of a folder, or nothing",
            get: |config| config.bank.as_deref().map_or("".into(), Path::to_string_lossy).into(),
            set: |config, text, folder| {
                config.bank = (!text.is_empty()).then(|| folder.join(PathBuf::from(text)));
                true
            },
        },
    },
    Parameter {
        name: "bank_image_encoder",
        description: "The image encoder of the bank, by name or folder, where it is not found by \
                      the name that it had when the bank was built. It must be the same one: \
                      checksums are compared.",
        changes: Changes::WhenConfigured,
        example: Some("dinov2-small"),
        kind: ParameterKind::Text {
            form: "the name of a model, the path of a folder, or nothing",
            get: |config| config.bank_image_encoder.clone().unwrap_or_default(),
            set: |config, text, _| {
                config.bank_image_encoder = (!text.trim().is_empty()).then(|| text.to_owned());
                true
            },
        },
    },
    Parameter {
        name: "bank_text_encoder",
        description: "The text encoder of the bank, as `bank_image_encoder`.",
        changes: Changes::WhenConfigured,
        example: Some("all-minilm-l6-v2"),
        kind: ParameterKind::Text {
            form: "the name of a model, the path of a folder, or nothing",
            get: |config| config.bank_text_encoder.clone().unwrap_or_default(),
            set: |config, text, _| {
                config.bank_text_encoder = (!text.trim().is_empty()).then(|| text.to_owned());
                true
            },
        },
    },
    Parameter {
        name: "bank_regions",
        description: "The most regions of an image that are looked up in the bank, those that look \
                      most like things. Each costs a pass of the bank's image encoder.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Integer {
            min: 1,
            max: 1000,
            get: |config| config.bank_regions as i64,
            set: |config, value| config.bank_regions = value as usize,
        },
    },
    Parameter {
        name: "bank_regions_by",
        description: "What proposes those regions: the detector, in the pass that finds its own \
                      prompts, or the segmenter, which is asked at the points of a grid as SAM's \
                      generator of masks does. That sees what no detector takes for a thing, and \
                      costs a pass of the segmenter.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Text {
            form: "detector or segmenter",
            get: |config| match config.bank_regions_by {
                RegionSource::Detector => "detector".to_owned(),
                RegionSource::Segmenter => "segmenter".to_owned(),
            },
            set: |config, text, _| {
                let known = match text {
                    "detector" => Some(RegionSource::Detector),
                    "segmenter" => Some(RegionSource::Segmenter),
                    _ => None,
                };
                known.map(|source| config.bank_regions_by = source).is_some()
            },
        },
    },
];
