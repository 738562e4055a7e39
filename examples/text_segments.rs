//! The half of `tools/parity_full_size.py` and `benches/compare_clipseg.py` that runs in Owlet: what
//! a segmenter by text gives for one picture, or how long it takes.
//!
//! ```text
//! cargo run --example text_segments -- FOLDER PICTURE INPUTS OUTPUTS TEXT…
//! cargo run --example text_segments -- FOLDER PICTURE time PASSES THREADS COUNT…
//! ```
//!
//! `INPUTS` holds the reference's `pixel_values`. `OUTPUTS` gets what Owlet's own preprocessing
//! makes of the picture (`pixel_values`), and the tensors of the network, computed from the
//! *reference's* pixels: `input_ids`, `text_embeds` and `logits` of CLIPSeg; of GroupViT also
//! `image_embeds` and `shares`. The second form prints a line of JSON: medians in milliseconds for
//! so many prompts, of the network with its score maps brought to the host (`forward/COUNT`) and of
//! all that is done with a picture (`picture/COUNT`); CLIPSeg only.

#![allow(clippy::print_stdout, reason = "its figures are what is asked for")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use image::RgbImage;
use owlet::segment::{ClipSegmenter, GroupVitSegmenter, SegmenterOptions};
use owlet::tasks::Segmenter;
use owlet::tokenize::ClipTokenizer;
use owlet::types::{DeviceChoice, DtypeChoice, Prompt, PromptSet, Stage};
use owlet::vision::decode::decode_file;
use tch::Tensor;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [folder, picture, rest @ ..] = arguments.as_slice() else {
        bail!("expected: FOLDER PICTURE …");
    };
    let options = SegmenterOptions {
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::F32,
        ..SegmenterOptions::new(folder, "parity")
    };
    let image = Arc::new(decode_file(Path::new(picture))?);
    match rest {
        ["time", passes, threads, counts @ ..] => {
            let options = SegmenterOptions { threads: Some(threads.parse()?), ..options };
            let counts: Vec<usize> =
                counts.iter().map(|count| count.parse()).collect::<Result<_, _>>()?;
            time(&mut ClipSegmenter::load(&options)?, &image, passes.parse()?, &counts)
        }
        [inputs, outputs, texts @ ..] => {
            let (_, pixel_values) = Tensor::read_safetensors(inputs)?
                .into_iter()
                .find(|(name, _)| name == "pixel_values")
                .with_context(|| format!("{inputs} holds no pixel_values"))?;
            let config = std::fs::read_to_string(Path::new(folder).join("config.json"))?;
            let config: serde_json::Value = serde_json::from_str(&config)?;
            let tensors = match config["model_type"].as_str() {
                Some("clipseg") => clipseg(&options, &image, &pixel_values, texts)?,
                Some("groupvit") => groupvit(&options, &image, &pixel_values, texts)?,
                other => bail!("{folder}: expected clipseg or groupvit, found {other:?}"),
            };
            Ok(Tensor::write_safetensors(&tensors, outputs)?)
        }
        _ => bail!("expected: INPUTS OUTPUTS TEXT…, or: time PASSES THREADS COUNT…"),
    }
}

type Tensors = Vec<(&'static str, Tensor)>;

fn ids_of(folder: &Path, texts: &[&str], max_tokens: i64) -> Result<Tensor> {
    let tokenizer = ClipTokenizer::open(folder)?;
    let max_tokens = usize::try_from(max_tokens)?;
    let ids = texts
        .iter()
        .map(|text| Ok(Tensor::from_slice(&tokenizer.encode(text, max_tokens)?)))
        .collect::<Result<Vec<_>>>()?;
    Ok(Tensor::f_stack(&ids, 0)?)
}

fn clipseg(
    options: &SegmenterOptions,
    image: &Arc<RgbImage>,
    pixel_values: &Tensor,
    texts: &[&str],
) -> Result<Tensors> {
    let mut segmenter = ClipSegmenter::load(options)?;
    let own = segmenter.pixel_values(std::slice::from_ref(image))?;
    let model = segmenter.model();
    let ids = ids_of(&options.model_dir, texts, model.config().text.max_tokens)?;
    let embeds = model.embed_texts(&ids)?;
    let input = model.decoder_input(&model.layers(pixel_values)?)?;
    let logits = model.logits(&input, &embeds)?.f_squeeze_dim(0)?;
    Ok(vec![("pixel_values", own), ("input_ids", ids), ("text_embeds", embeds), ("logits", logits)])
}

fn groupvit(
    options: &SegmenterOptions,
    image: &Arc<RgbImage>,
    pixel_values: &Tensor,
    texts: &[&str],
) -> Result<Tensors> {
    let mut segmenter = GroupVitSegmenter::load(options)?;
    let own = segmenter.pixel_values(std::slice::from_ref(image))?;
    let model = segmenter.model();
    let ids = ids_of(&options.model_dir, texts, model.config().text.max_tokens)?;
    let embeds = model.embed_texts(&ids)?;
    let groups = model.groups(pixel_values)?;
    let logits = model.segmentation_logits(&groups, &embeds)?;
    Ok(vec![
        ("pixel_values", own),
        ("input_ids", ids),
        ("text_embeds", embeds),
        ("image_embeds", groups.image_embeds),
        ("shares", groups.shares.f_contiguous()?),
        ("logits", logits),
    ])
}

/// Medians of `passes` pictures for each number of prompts. The numbers take turns, so that a
/// machine whose speed drifts slows all of them.
fn time(
    segmenter: &mut ClipSegmenter,
    image: &Arc<RgbImage>,
    passes: usize,
    counts: &[usize],
) -> Result<()> {
    let images = [Arc::clone(image)];
    let mut spent: Vec<(String, Vec<f64>)> = counts
        .iter()
        .flat_map(|count| ["forward", "picture"].map(|work| (format!("{work}/{count}"), vec![])))
        .collect();
    for pass in 0..=passes {
        for (count, spent) in counts.iter().zip(spent.chunks_exact_mut(2)) {
            let names: Vec<String> = (0..*count).map(|index| format!("a {index}")).collect();
            let prompts = names.iter().map(|text| Prompt::from_text(text)).collect();
            let set = PromptSet { version: 1, prompts, default_threshold: 0.5 };
            segmenter.set_prompts(Arc::new(set)).map_err(|refused| anyhow::anyhow!("{refused}"))?;
            let start = Instant::now();
            let found = segmenter.segment(&images)?;
            let whole = start.elapsed().as_secs_f64();
            let timings = &found.first().context("one image gives one result")?.timings;
            let secs = [Stage::ImageTower, Stage::Heads]
                .map(|stage| timings.get(stage).map_or(0.0, |spent| spent.as_secs_f64()));
            // The first pass warms up.
            if pass > 0 {
                spent[0].1.push(1e3 * (secs[0] + secs[1]));
                spent[1].1.push(1e3 * whole);
            }
        }
    }
    let mut rows = serde_json::Map::new();
    for (name, mut spent) in spent {
        spent.sort_by(f64::total_cmp);
        let median = spent.get(passes / 2).copied().context("at least one pass")?;
        rows.insert(name, median.into());
    }
    println!("{}", serde_json::Value::Object(rows));
    Ok(())
}
