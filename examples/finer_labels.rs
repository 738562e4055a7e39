//! The half of `benches/compare_finer.py` that runs in Owlet: how long finer labels take.
//!
//! ```text
//! cargo run --example finer_labels -- FOLDER PICTURE PASSES THREADS LABELS COUNT…
//! ```
//!
//! FOLDER has a CLIP. For each COUNT so many boxes of the picture get a label out of LABELS: prints
//! a line of JSON with medians in milliseconds of all that this costs beyond the boxes being found
//! (`boxes/COUNT`).

#![allow(clippy::print_stdout, reason = "its figures are what is asked for")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use owlet::ground::ClipClassifier;
use owlet::ground::encode::EncoderOptions;
use owlet::pipeline::ClassifyingDetector;
use owlet::tasks::Classifier;
use owlet::types::{Detection, DeviceChoice, DtypeChoice, FinerLabel, PixelBox, Prompt, PromptSet};
use owlet::vision::decode::decode_file;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, picture, passes, threads, labels, counts @ ..] = arguments.as_slice() else {
        bail!("expected: FOLDER PICTURE PASSES THREADS LABELS COUNT…");
    };
    let (passes, labels): (usize, usize) = (passes.parse()?, labels.parse()?);
    let options = EncoderOptions {
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::F32,
        threads: Some(threads.parse()?),
        ..EncoderOptions::new(folder, "clip")
    };
    let image = decode_file(Path::new(picture))?;
    let mut classifier = ClipClassifier::load(&options, None)?;
    let finer = (0..labels).map(|label| FinerLabel::from_text(&format!("a {label}"))).collect();
    let prompts = vec![Prompt { finer, ..Prompt::from_text("a thing") }];
    let set = PromptSet { version: 1, prompts, default_threshold: 0.0 };
    let labels = classifier.encode_finer(&set)?.remove(0);

    let mut rows = BTreeMap::new();
    for count in counts {
        let count: usize = count.parse()?;
        let boxes: Vec<Detection> = (0..count).map(|number| detection(number, &image)).collect();
        let of_each = vec![labels.as_slice(); count];
        let took_ms = median_ms(passes, || {
            let crop = |found| ClassifyingDetector::crop(&image, found).context("no crop");
            let crops = boxes.iter().map(|found| Ok(Arc::new(crop(found)?)));
            classifier.classify(&crops.collect::<Result<Vec<_>>>()?, &of_each)?;
            Ok(())
        })?;
        rows.insert(format!("boxes/{count}"), took_ms);
    }
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}

/// A box of a sixth to a third of the picture, each at another place.
fn detection(number: usize, image: &image::RgbImage) -> Detection {
    let (width, height) = (image.width() as f32, image.height() as f32);
    let share = |step: usize| (number * step % 100) as f32 / 100.0;
    let (w, h) = (width * (1.0 + share(37)) / 6.0, height * (1.0 + share(53)) / 6.0);
    let (x, y) = (share(29) * (width - w), share(71) * (height - h));
    Detection {
        prompt: 0,
        score: 0.5,
        objectness: None,
        box_in_source_px: PixelBox::from_corners([x, y, x + w, y + h]),
        mask: None,
        finer: Vec::new(),
        explanation: None,
    }
}

fn median_ms(passes: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let mut spent_ms = Vec::with_capacity(passes);
    for _ in 0..passes.max(1) {
        let start = Instant::now();
        work()?;
        spent_ms.push(1e3 * start.elapsed().as_secs_f64());
    }
    spent_ms.sort_by(f64::total_cmp);
    Ok(spent_ms[spent_ms.len() / 2])
}
