//! The models, and where they run.

use super::super::{Changes, Parameter, ParameterKind};

pub(super) const MODELS: &[Parameter] = &[
    Parameter {
        name: "model",
        description: "The model: a known name (see `owlet models`) or a folder in Hugging Face \
                      layout.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Text {
            form: "the name of a model or the path of a folder",
            get: |config| config.model.clone(),
            set: |config, text, _| {
                let usable = !text.trim().is_empty();
                if usable {
                    config.model = text.to_owned();
                }
                usable
            },
        },
    },
    Parameter {
        name: "segmenter",
        description: "The model that draws the masks of what was found, by its boxes: a SAM, by \
                      name or folder. Empty for no masks. A `model` that draws masks by itself \
                      (CLIPSeg, GroupViT) needs none.",
        changes: Changes::WhenConfigured,
        example: Some("owlet-nano-seg"),
        kind: ParameterKind::Text {
            form: "the name of a model, the path of a folder, or nothing",
            get: |config| config.segmenter.clone().unwrap_or_default(),
            set: |config, text, _| {
                config.segmenter = (!text.trim().is_empty()).then(|| text.to_owned());
                true
            },
        },
    },
    Parameter {
        name: "classifier",
        description: "The model that says which of the finer labels of a prompt (`finer` in a \
                      prompts file) fits each thing that was found: a CLIP, by name or folder. \
                      Empty for none; prompts with finer labels are refused then.",
        changes: Changes::WhenConfigured,
        example: Some("clip-vit-base-patch16"),
        kind: ParameterKind::Text {
            form: "the name of a model, the path of a folder, or nothing",
            get: |config| config.classifier.clone().unwrap_or_default(),
            set: |config, text, _| {
                config.classifier = (!text.trim().is_empty()).then(|| text.to_owned());
                true
            },
        },
    },
    Parameter {
        name: "device",
        description: "Where the model runs. `auto` takes the first CUDA device where there is one; \
                      a device that is asked for by name and is missing stops the start.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Text {
            form: "auto, cpu, cuda or cuda:N",
            get: |config| config.device.to_string(),
            set: |config, text, _| text.parse().map(|device| config.device = device).is_ok(),
        },
    },
    Parameter {
        name: "dtype",
        description: "The number format of the model. `auto` is f16 on CUDA and f32 on the CPU.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Text {
            form: "auto, f32, f16 or bf16",
            get: |config| config.dtype.to_string(),
            set: |config, text, _| text.parse().map(|dtype| config.dtype = dtype).is_ok(),
        },
    },
    Parameter {
        name: "threads",
        description: "CPU threads of the model; 0 uses every core.",
        changes: Changes::WhenConfigured,
        example: None,
        kind: ParameterKind::Integer {
            min: 0,
            max: 1024,
            get: |config| config.threads as i64,
            set: |config, value| config.threads = value as usize,
        },
    },
];
