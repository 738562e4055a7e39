//! What a further prompt costs, at full size: CLIPSeg rd64-refined and SAM ViT-B with random
//! weights.
//!
//! The image tower runs once for each picture, so that 20 prompts or boxes should cost far less
//! than 20 times one. The checkpoints (0.6 and 0.4 GB) are written to `.cache/models` once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use image::{Rgb, RgbImage};
use owlet::models::clipseg::ClipSegConfig;
use owlet::models::random::{RandomConfig, write_checkpoint};
use owlet::models::sam::SamConfig;
use owlet::segment::{ClipSegmenter, SamSegmenter, SegmenterOptions, masks};
use owlet::tasks::{MaskPrompt, PromptableSegmenter, Segmenter};
use owlet::types::{PixelBox, Prompt, PromptSet};

const MODEL: &str = "clipseg-rd64-refined";
const SAM: &str = "sam-vit-base";

fn checkpoint<'a>(name: &str, config: impl Into<RandomConfig<'a>>) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/models");
    let folder = root.join(format!("bench-{name}"));
    if !folder.is_dir() {
        let partial = root.join(format!("bench-{name}.partial"));
        std::fs::create_dir_all(&partial).expect("room for the checkpoint");
        write_checkpoint(&partial, config, 0).expect("room for the checkpoint");
        std::fs::rename(&partial, &folder).expect("the same folder");
    }
    folder
}

fn prompts(count: usize) -> Arc<PromptSet> {
    let prompts = (0..count).map(|index| Prompt::from_text(&format!("a {index}"))).collect();
    Arc::new(PromptSet { version: 1, prompts, default_threshold: 0.5 })
}

fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let blue = x / 53 * 79 + y / 41 * 47;
        Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, blue as u8])
    })
}

/// A fifth of the sides of the picture each, all over it.
fn boxes(count: usize, (width, height): (u32, u32)) -> Vec<MaskPrompt> {
    (0..count)
        .map(|index| {
            let (width, height) = (width as f32, height as f32);
            let (x, y) = ((index as f32 * 0.37) % 0.8, (index as f32 * 0.23) % 0.8);
            let corners = [x * width, y * height, (x + 0.2) * width, (y + 0.2) * height];
            let area = PixelBox::from_corners(corners);
            MaskPrompt { box_in_source_px: Some(area), points: Vec::new() }
        })
        .collect()
}

/// Boxes in a picture of full HD: image encoder, decoder, masks at the size of the picture.
fn segment_boxes(criterion: &mut Criterion) {
    let config = SamConfig::known(SAM).expect("a known name");
    let options = SegmenterOptions::new(checkpoint(SAM, &config), SAM);
    let mut segmenter = SamSegmenter::load(&options).expect("a checkpoint of our own");
    let image = picture(1920, 1080);
    let mut group = criterion.benchmark_group("segment");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for count in [1, 5, 20, 100] {
        let prompts = [boxes(count, image.dimensions())];
        group.bench_function(BenchmarkId::new("boxes", count), |bencher| {
            // A new frame each time: of one that it knows it would not encode the image again.
            bencher.iter_batched(
                || [Arc::new(image.clone())],
                |frame| segmenter.segment(&frame, &prompts).expect("a picture"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn segment(criterion: &mut Criterion) {
    let config = ClipSegConfig::known(MODEL).expect("a known name");
    let options = SegmenterOptions::new(checkpoint(MODEL, &config), MODEL);
    let mut segmenter = ClipSegmenter::load(&options).expect("a checkpoint of our own");
    let image = [Arc::new(picture(640, 480))];

    let mut group = criterion.benchmark_group("segment");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for count in [1, 5, 20] {
        segmenter.set_prompts(prompts(count)).expect("good prompts");
        group.bench_function(BenchmarkId::new("prompts", count), |bencher| {
            bencher.iter(|| segmenter.segment(&image).expect("a picture"));
        });
    }
    group.finish();

    // The other part of a frame: from score maps to masks and class mask at 640x480.
    let set = prompts(5);
    segmenter.set_prompts(Arc::clone(&set)).expect("good prompts");
    let scores = segmenter.segment(&image).expect("a picture").remove(0);
    let mut group = criterion.benchmark_group("masks");
    group.sample_size(10);
    group.bench_function("5 prompts, 640x480", |bencher| {
        bencher.iter(|| masks(&scores.maps, &set, 640, 480));
    });
    group.bench_function("run-length codes of 5 prompts, 640x480", |bencher| {
        let found = masks(&scores.maps, &set, 640, 480);
        bencher.iter(|| found.masks.iter().map(|found| found.mask.rle()).collect::<Vec<_>>());
    });
    group.finish();
}

criterion_group!(benches, segment, segment_boxes);
criterion_main!(benches);
