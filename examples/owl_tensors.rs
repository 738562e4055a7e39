//! The half of `tools/parity_full_size.py` that runs in Owlet: what a checkpoint gives for one
//! picture, as safetensors under the names of `transformers`.
//!
//! ```text
//! cargo run --example owl_tensors -- FOLDER PICTURE THRESHOLD INPUTS OUTPUTS TEXT…
//! ```
//!
//! `INPUTS` holds the reference's `pixel_values`. `OUTPUTS` gets what Owlet's own preprocessing
//! makes of the picture (`pixel_values`); every tensor of the network, computed from the
//! *reference's* pixels, so that it is held by itself; and the detections of Owlet as a whole,
//! from the picture on (`detections.boxes`, `detections.scores`, `detections.labels`).

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use owlet::detect::{DetectorOptions, OwlDetector};
use owlet::tasks::Detector;
use owlet::tokenize::ClipTokenizer;
use owlet::types::{Detection, DeviceChoice, DtypeChoice, Prompt, PromptSet};
use tch::Tensor;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, picture, threshold, inputs, outputs, texts @ ..] = arguments.as_slice() else {
        bail!("expected: FOLDER PICTURE THRESHOLD INPUTS OUTPUTS TEXT…");
    };
    let mut detector = OwlDetector::load(&DetectorOptions {
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::F32,
        max_detections: usize::MAX,
        ..DetectorOptions::new(folder, "parity")
    })?;
    let prompts = texts.iter().map(|text| Prompt::from_text(text)).collect();
    let prompts = PromptSet { version: 1, prompts, default_threshold: threshold.parse()? };
    detector.set_prompts(Arc::new(prompts)).map_err(|refused| anyhow::anyhow!("{refused}"))?;

    let image = Arc::new(image::open(picture)?.into_rgb8());
    let (_, pixel_values) = Tensor::read_safetensors(inputs)?
        .into_iter()
        .find(|(name, _)| name == "pixel_values")
        .with_context(|| format!("{inputs} holds no pixel_values"))?;
    let mut tensors = network(&detector, Path::new(folder), &pixel_values, texts)?;
    tensors.push(("pixel_values", detector.pixel_values(std::slice::from_ref(&image))?));
    let found = detector.detect(&[image])?;
    let found = &found.first().context("one image gives one result")?.detections;
    tensors.extend(detections(found)?);
    Ok(Tensor::write_safetensors(&tensors, outputs)?)
}

/// Every tensor of the network, and on standard error how long its parts took.
fn network(
    detector: &OwlDetector,
    folder: &Path,
    pixel_values: &Tensor,
    texts: &[String],
) -> Result<Vec<(&'static str, Tensor)>> {
    let owl = detector.model();
    let tokenizer = ClipTokenizer::open(folder)?;
    let max_tokens = usize::try_from(owl.config().text.max_tokens)?;
    let ids = texts
        .iter()
        .map(|text| Ok(Tensor::from_slice(&tokenizer.encode(text, max_tokens)?)))
        .collect::<Result<Vec<_>>>()?;
    let ids = Tensor::f_stack(&ids, 0)?;

    let start = Instant::now();
    let queries = owl.embed_texts(&ids)?;
    let text_secs = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let tokens = owl.image_tokens(pixel_values)?;
    let features = owl.feature_map(&tokens)?;
    let tower_secs = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let logits = owl.class_logits(&features, &queries)?;
    let boxes = owl.boxes(&features)?;
    let objectness = owl.objectness(&features)?;
    let heads_secs = start.elapsed().as_secs_f64();
    eprintln!("text {text_secs:.3} s, image tower {tower_secs:.3} s, heads {heads_secs:.3} s");

    let mut tensors = vec![
        ("input_ids", ids),
        ("text_embeds", queries),
        ("clip_image_embeds", owl.image_embeds(&tokens)?),
        ("image_embeds", features),
        ("logits", logits),
        ("pred_boxes", boxes),
    ];
    tensors.extend(objectness.map(|objectness| ("objectness_logits", objectness)));
    Ok(tensors)
}

fn detections(found: &[Detection]) -> Result<Vec<(&'static str, Tensor)>> {
    let corners: Vec<f32> = found.iter().flat_map(|one| one.box_in_source_px.corners()).collect();
    let scores: Vec<f32> = found.iter().map(|one| one.score).collect();
    let labels: Vec<i64> = found.iter().map(|one| one.prompt as i64).collect();
    Ok(vec![
        ("detections.boxes", Tensor::f_from_slice(&corners)?.f_view([-1, 4])?),
        ("detections.scores", Tensor::f_from_slice(&scores)?),
        ("detections.labels", Tensor::f_from_slice(&labels)?),
    ])
}
