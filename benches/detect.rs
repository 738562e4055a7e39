//! Where the time of a frame goes, at full size: OWL-ViT B/32 with random weights.
//!
//! Names are `stage/what`. The checkpoint (0.6 GB) is written to `.cache/models` once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use image::{Rgb, RgbImage};
use owlet::detect::{DetectorOptions, OwlDetector};
use owlet::models::owl::OwlConfig;
use owlet::models::random::write_checkpoint;
use owlet::pipeline::{Incoming, Outcome, Pipeline, PipelineOptions, Policy};
use owlet::tasks::Detector;
use owlet::tokenize::ClipTokenizer;
use owlet::transport::frames::frame_from_message;
use owlet::transport::rosbag2::BagReader;
use owlet::types::{Frame, Picture, Prompt, PromptSet, StageTimings, StampSource};

const MODEL: &str = "owlvit-base-patch32";

fn checkpoint() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/models");
    let folder = root.join(format!("bench-{MODEL}"));
    if !folder.is_dir() {
        let partial = root.join(format!("bench-{MODEL}.partial"));
        std::fs::create_dir_all(&partial).expect("room for the checkpoint");
        let config = OwlConfig::known(MODEL).expect("a known name");
        write_checkpoint(&partial, &config, 0).expect("room for the checkpoint");
        std::fs::rename(&partial, &folder).expect("the same folder");
    }
    folder
}

fn detector(folder: &Path) -> OwlDetector {
    OwlDetector::load(&DetectorOptions::new(folder, MODEL)).expect("a checkpoint of our own")
}

fn picture(width: u32, height: u32) -> Arc<RgbImage> {
    Arc::new(RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, (x / 53 * 79 + y / 41 * 47) as u8])
    }))
}

fn prompts(count: usize) -> Arc<PromptSet> {
    let prompts = (0..count).map(|index| Prompt::from_text(&format!("a {index}"))).collect();
    Arc::new(PromptSet { version: 1, prompts, default_threshold: 0.1 })
}

fn parts(criterion: &mut Criterion) {
    let folder = checkpoint();
    let mut detector = detector(&folder);

    let mut group = criterion.benchmark_group("preprocess");
    for (width, height) in [(640, 480), (1920, 1080)] {
        let image = [picture(width, height)];
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{width}x{height}"), |bencher| {
            bencher.iter(|| detector.pixel_values(&image).expect("a picture"));
        });
    }
    group.finish();

    let tokenizer = ClipTokenizer::open(&folder).expect("a tokenizer of our own");
    criterion.bench_function("tokenise/one text", |bencher| {
        bencher.iter(|| tokenizer.encode("a photo of a cup", 16).expect("a short text"));
    });

    let mut group = criterion.benchmark_group("text tower");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for count in [1, 10, 100] {
        let set = prompts(count);
        group.bench_function(BenchmarkId::new("prompts", count), |bencher| {
            bencher.iter(|| detector.set_prompts(Arc::clone(&set)).expect("good prompts"));
        });
    }
    group.finish();

    let pixel_values = detector.pixel_values(&[picture(640, 480)]).expect("a picture");
    let mut group = criterion.benchmark_group("image tower");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("one frame", |bencher| {
        bencher.iter(|| detector.model().image_features(&pixel_values).expect("prepared pixels"));
    });
    group.finish();

    let mut group = criterion.benchmark_group("whole frame");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    let image = [picture(640, 480)];
    for count in [1, 10, 100] {
        detector.set_prompts(prompts(count)).expect("good prompts");
        group.bench_function(BenchmarkId::new("prompts", count), |bencher| {
            bencher.iter(|| detector.detect(&image).expect("a picture"));
        });
    }
    group.finish();
}

/// The whole way of a recording, with a network that costs next to nothing: what Owlet adds.
fn replay(criterion: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tiny = root.join("tests/fixtures/owlvit_tiny");
    let topic = "/camera/image_raw/compressed";
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(10).throughput(Throughput::Elements(24));
    group.bench_function("24 JPEG frames of 640x480, tiny network", |bencher| {
        bencher.iter(|| {
            let options = PipelineOptions {
                cameras: vec![topic.into()],
                policy: Policy::Block,
                max_batch: 1,
                results_capacity: 8,
            };
            let folder = tiny.clone();
            let (pipeline, mut results) = Pipeline::start(options, move || {
                OwlDetector::load(&DetectorOptions::new(folder, "tiny"))
                    .map(|detector| Box::new(detector) as Box<dyn Detector>)
            })
            .expect("a fixture");
            pipeline.set_prompts(prompts(10)).expect("good prompts");
            let camera = pipeline.camera(topic).expect("its own camera");
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut bag = BagReader::open(root.join("samples/gallery")).expect("a sample");
                    for message in bag.messages(Some(&[topic])).expect("its topic") {
                        let message = message.expect("a whole bag");
                        let decoded = frame_from_message(
                            &message.topic,
                            &message.message_type,
                            &message.data,
                        )
                        .expect("a picture");
                        let Picture::Color(image) = decoded.picture else { continue };
                        let frame = Frame {
                            camera: message.topic,
                            header: decoded.header,
                            stamp_from: StampSource::Camera,
                            received: message.log_time,
                            image: Arc::new(image),
                        };
                        pipeline.post(camera, Incoming { frame, timings: StageTimings::default() });
                    }
                    pipeline.close();
                });
                let mut frames = 0;
                while let Some(outcome) = results.blocking_recv() {
                    assert!(matches!(outcome, Outcome::Found { .. }));
                    frames += 1;
                }
                assert_eq!(frames, 24);
            });
        });
    });
    group.finish();
}

criterion_group!(benches, parts, replay);
criterion_main!(benches);
