//! Writes random checkpoints, and the tensors that an OWL-ViT or OWLv2 checkpoint gives for
//! prepared inputs: the half of `tools/parity_full_size.py` that runs in Owlet.
//!
//! ```text
//! cargo run --example owl_tensors -- write NAME FOLDER SEED
//! cargo run --example owl_tensors -- run FOLDER INPUTS.safetensors OUTPUTS.safetensors TEXT…
//! ```
//!
//! `INPUTS` holds `pixel_values`. `OUTPUTS` gets `input_ids`, `text_embeds`, `image_embeds`,
//! `logits`, `pred_boxes` and, for OWLv2, `objectness_logits`, all of `transformers`' names.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use owlet::models::owl::{KNOWN_NAMES, Owl, OwlConfig};
use owlet::models::random::write_checkpoint;
use owlet::tokenize::ClipTokenizer;
use tch::{Device, Kind, Tensor};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["write", name, folder, seed] => {
            let config = OwlConfig::known(name)
                .with_context(|| format!("expected one of {KNOWN_NAMES:?}, found {name:?}"))?;
            Ok(write_checkpoint(Path::new(folder), &config, seed.parse()?)?)
        }
        ["run", folder, inputs, outputs, texts @ ..] if !texts.is_empty() => {
            run(Path::new(folder), Path::new(inputs), Path::new(outputs), texts)
        }
        _ => bail!("expected: write NAME FOLDER SEED | run FOLDER INPUTS OUTPUTS TEXT…"),
    }
}

fn run(folder: &Path, inputs: &Path, outputs: &Path, texts: &[&str]) -> Result<()> {
    let owl = Owl::load(folder, Device::Cpu, Kind::Float)?;
    let tokenizer = ClipTokenizer::open(folder)?;
    let max_tokens = usize::try_from(owl.config().text.max_tokens)?;
    let ids = texts
        .iter()
        .map(|text| Ok(Tensor::from_slice(&tokenizer.encode(text, max_tokens)?)))
        .collect::<Result<Vec<_>>>()?;
    let ids = Tensor::stack(&ids, 0);
    let (_, pixel_values) = Tensor::read_safetensors(inputs)?
        .into_iter()
        .find(|(name, _)| name == "pixel_values")
        .context("the inputs hold no pixel_values")?;

    let start = Instant::now();
    let queries = owl.embed_texts(&ids)?;
    let text_secs = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let tokens = owl.image_tokens(&pixel_values)?;
    let features = owl.feature_map(&tokens)?;
    let tower_secs = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let logits = owl.class_logits(&features, &queries)?;
    let boxes = owl.boxes(&features)?;
    let objectness = owl.objectness(&features)?;
    let heads_secs = start.elapsed().as_secs_f64();
    eprintln!("text {text_secs:.3} s, image tower {tower_secs:.3} s, heads {heads_secs:.3} s");

    let clip_image_embeds = owl.image_embeds(&tokens)?;
    let mut tensors = vec![
        ("input_ids", ids),
        ("text_embeds", queries),
        ("clip_image_embeds", clip_image_embeds),
        ("image_embeds", features),
        ("logits", logits),
        ("pred_boxes", boxes),
    ];
    tensors.extend(objectness.map(|objectness| ("objectness_logits", objectness)));
    Ok(Tensor::write_safetensors(&tensors, outputs)?)
}
