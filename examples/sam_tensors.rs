//! The half of `tools/parity_full_size.py` and `benches/compare_sam.py` that runs in Owlet: what a
//! SAM gives for boxes in one picture, as safetensors, and how long it takes.
//!
//! ```text
//! cargo run --example sam_tensors -- FOLDER PICTURE BOXES OUTPUTS
//! cargo run --example sam_tensors -- FOLDER PICTURE BOXES PASSES THREADS COUNT…
//! ```
//!
//! `BOXES` is a safetensors file with `boxes`, f32 `[boxes, 4]` in pixels of the picture, and, in
//! the first form, the reference's `pixel_values`. `OUTPUTS` gets what Owlet's own preprocessing
//! makes of the picture (`pixel_values`); `image_embeddings`, `pred_masks` and `iou_scores`,
//! computed from the *reference's* pixels; and the masks of Owlet as a whole, from the picture on
//! (`masks`, u8 `[boxes, height, width]`). In the second form nothing is written; on standard
//! output there is a line of JSON instead: medians in milliseconds of the image encoder, and of
//! the decoder and a whole frame with the first `COUNT` boxes each.

#![allow(clippy::print_stdout, reason = "its figures are what is asked for")]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use image::RgbImage;
use owlet::models::sam::CanvasPrompt;
use owlet::segment::{SamSegmenter, SegmenterOptions};
use owlet::tasks::{MaskPrompt, PromptableSegmenter};
use owlet::types::{DeviceChoice, DtypeChoice, PixelBox};
use owlet::vision::canvas::fitted_size;
use owlet::vision::decode::decode_file;
use tch::Tensor;

enum Job<'a> {
    Dump(&'a str),
    Time { passes: usize, threads: usize, counts: Vec<usize> },
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, picture, given, job) = match arguments.as_slice() {
        [folder, picture, given, outputs] => (folder, picture, given, Job::Dump(outputs)),
        [folder, picture, given, passes, threads, counts @ ..] => {
            let counts = counts.iter().map(|count| count.parse()).collect::<Result<_, _>>()?;
            let (passes, threads) = (passes.parse()?, threads.parse()?);
            (folder, picture, given, Job::Time { passes, threads, counts })
        }
        _ => bail!("expected: FOLDER PICTURE BOXES and OUTPUTS or PASSES THREADS COUNT…"),
    };
    let mut segmenter = SamSegmenter::load(&SegmenterOptions {
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::F32,
        threads: match job {
            Job::Dump(_) => None,
            Job::Time { threads, .. } => Some(threads),
        },
        ..SegmenterOptions::new(folder, "parity")
    })?;
    let image = Arc::new(decode_file(Path::new(picture))?);
    let given = Tensor::read_safetensors(given)?;
    let take = |name: &str| {
        let found = given.iter().find(|(key, _)| key == name);
        found.map(|(_, tensor)| tensor.shallow_clone()).with_context(|| format!("no {name}"))
    };
    let corners = Vec::<f32>::try_from(take("boxes")?.flatten(0, 1))?;
    let prompts: Vec<MaskPrompt> = corners
        .chunks_exact(4)
        .map(|c| MaskPrompt {
            box_in_source_px: Some(PixelBox::from_corners([c[0], c[1], c[2], c[3]])),
            points: Vec::new(),
        })
        .collect();
    match job {
        Job::Time { passes, counts, .. } => time(&mut segmenter, &image, &prompts, passes, &counts),
        Job::Dump(outputs) => {
            let pixel_values = take("pixel_values")?;
            dump(&mut segmenter, &image, &prompts, &pixel_values, Path::new(outputs))
        }
    }
}

fn on_canvas(
    segmenter: &SamSegmenter,
    image: &RgbImage,
    prompts: &[MaskPrompt],
) -> Vec<CanvasPrompt> {
    let (width, height) = image.dimensions();
    let side = u32::try_from(segmenter.model().config().image_size).unwrap_or(0);
    let (fitted_width, fitted_height) = fitted_size(width, height, side).unwrap_or((1, 1));
    let x = f64::from(fitted_width) / f64::from(width);
    let y = f64::from(fitted_height) / f64::from(height);
    prompts
        .iter()
        .filter_map(|prompt| prompt.box_in_source_px)
        .map(|area| {
            let [x0, y0, x1, y1] = area.corners().map(f64::from);
            CanvasPrompt {
                box_in_canvas_px: Some([x0 * x, y0 * y, x1 * x, y1 * y]),
                points: Vec::new(),
            }
        })
        .collect()
}

fn dump(
    segmenter: &mut SamSegmenter,
    image: &Arc<RgbImage>,
    prompts: &[MaskPrompt],
    pixel_values: &Tensor,
    outputs: &Path,
) -> Result<()> {
    let model = segmenter.model();
    let start = Instant::now();
    let embedding = model.embed_images(pixel_values)?;
    let encoder_secs = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let tokens = model.embed_prompts(&on_canvas(segmenter, image, prompts))?;
    let decoded = model.decode(&embedding, &tokens)?;
    let (masks, iou) = (decoded.logits()?, decoded.iou.shallow_clone());
    let decoder_secs = start.elapsed().as_secs_f64();
    eprintln!("encoder {encoder_secs:.3} s, decoder {decoder_secs:.3} s");
    let found = segmenter.segment(std::slice::from_ref(image), &[prompts.to_vec()])?;
    let found = found.first().context("one image gives one result")?;
    let pixels: Vec<u8> =
        found.masks.iter().flat_map(|one| one.mask.pixels()).map(u8::from).collect();
    let (width, height) = image.dimensions();
    let shape = [prompts.len() as i64, i64::from(height), i64::from(width)];
    let tensors = [
        ("pixel_values", segmenter.pixel_values(std::slice::from_ref(image))?),
        ("image_embeddings", embedding),
        ("pred_masks", masks),
        ("iou_scores", iou),
        ("masks", Tensor::f_from_slice(&pixels)?.f_view(shape)?),
    ];
    let in_order = |(name, tensor): (&'static str, Tensor)| Ok((name, tensor.f_contiguous()?));
    let tensors = tensors.into_iter().map(in_order).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::write_safetensors(&tensors, outputs)?)
}

/// Boxes beyond those that are there are not counted.
fn time(
    segmenter: &mut SamSegmenter,
    image: &Arc<RgbImage>,
    prompts: &[MaskPrompt],
    passes: usize,
    counts: &[usize],
) -> Result<()> {
    let pixel_values = segmenter.pixel_values(std::slice::from_ref(image))?;
    let embedding = segmenter.model().embed_images(&pixel_values)?;
    let mut spent = serde_json::Map::new();
    let encoder = median_ms(passes, || {
        let _ = segmenter.model().embed_images(&pixel_values)?;
        Ok(())
    })?;
    spent.insert("image encoder".to_owned(), encoder.into());
    for count in counts {
        let prompts: Vec<_> = prompts.iter().take(*count).cloned().collect();
        let canvas = on_canvas(segmenter, image, &prompts);
        let tokens = canvas.first().map_or(1, CanvasPrompt::tokens);
        let per_pass = segmenter.prompts_per_pass(tokens);
        let decoder = median_ms(passes, || {
            for some in canvas.chunks(per_pass) {
                let model = segmenter.model();
                let _ = model.decode(&embedding, &model.embed_prompts(some)?)?.logits()?;
            }
            Ok(())
        })?;
        spent.insert(format!("decoder/{count}"), decoder.into());
        let prompts = [prompts];
        // A new frame each time: of one that it knows it would not encode the image again.
        let whole = median_ms(passes, || {
            let _ = segmenter.segment(&[Arc::new(RgbImage::clone(image))], &prompts)?;
            Ok(())
        })?;
        spent.insert(format!("whole frame/{count}"), whole.into());
    }
    println!("{}", serde_json::Value::Object(spent));
    Ok(())
}

fn median_ms(passes: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let mut spent = Vec::with_capacity(passes);
    for _ in 0..passes {
        let start = Instant::now();
        work()?;
        spent.push(1e3 * start.elapsed().as_secs_f64());
    }
    spent.sort_by(f64::total_cmp);
    spent.get(passes / 2).copied().context("at least one pass")
}
