//! What a further prompt costs, at full size: CLIPSeg rd64-refined with random weights.
//!
//! The image tower runs once for each picture, so that 20 prompts should cost far less than 20
//! times one. The checkpoint (0.6 GB) is written to `.cache/models` once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use image::{Rgb, RgbImage};
use owlet::models::clipseg::ClipSegConfig;
use owlet::models::random::write_checkpoint;
use owlet::segment::{ClipSegmenter, SegmenterOptions, masks};
use owlet::tasks::Segmenter;
use owlet::types::{Prompt, PromptSet};

const MODEL: &str = "clipseg-rd64-refined";

fn checkpoint() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/models");
    let folder = root.join(format!("bench-{MODEL}"));
    if !folder.is_dir() {
        let partial = root.join(format!("bench-{MODEL}.partial"));
        std::fs::create_dir_all(&partial).expect("room for the checkpoint");
        let config = ClipSegConfig::known(MODEL).expect("a known name");
        write_checkpoint(&partial, &config, 0).expect("room for the checkpoint");
        std::fs::rename(&partial, &folder).expect("the same folder");
    }
    folder
}

fn prompts(count: usize) -> Arc<PromptSet> {
    let prompts = (0..count).map(|index| Prompt::from_text(&format!("a {index}"))).collect();
    Arc::new(PromptSet { version: 1, prompts, default_threshold: 0.5 })
}

fn segment(criterion: &mut Criterion) {
    let options = SegmenterOptions::new(checkpoint(), MODEL);
    let mut segmenter = ClipSegmenter::load(&options).expect("a checkpoint of our own");
    let image = [Arc::new(RgbImage::from_fn(640, 480, |x, y| {
        Rgb([(x * 255 / 640) as u8, (y * 255 / 480) as u8, (x / 53 * 79 + y / 41 * 47) as u8])
    }))];

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

criterion_group!(benches, segment);
criterion_main!(benches);
