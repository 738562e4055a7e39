//! A dataset of the size of COCO's validation set: 5000 images, 80 categories, 36 000 objects and
//! 180 000 detections. Names are `eval/WHAT`.
#![allow(missing_docs, reason = "criterion's macros make public functions without docs")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use owlet::eval::{AtThresholds, CocoBox, Evaluation, Found, Truth, best_threshold};

const IMAGES: usize = 5000;
const CATEGORIES: usize = 80;
const OBJECTS: usize = 36_000;
const FOUND: usize = 180_000;

/// Numbers in `[0, 1)` that look random and are the same in every run (Weyl sequences).
fn share(number: usize, of: usize) -> f64 {
    const STEPS: [f64; 6] = [
        0.618_033_988_7,
        0.414_213_562_4,
        0.732_050_807_6,
        0.236_067_977_5,
        0.645_751_311_1,
        0.316_624_790_4,
    ];
    (number as f64 * STEPS[of]).fract()
}

fn place(number: usize) -> (usize, usize, CocoBox) {
    let image = number * 7919 % IMAGES;
    let category = (share(number, 5).powi(2) * CATEGORIES as f64) as usize;
    let side = |of| 8.0 + 200.0 * share(number, of).powi(2);
    let area = [share(number, 0) * 440.0, share(number, 1) * 280.0, side(2), side(3)];
    (image, category, area.into())
}

fn truths() -> Vec<Truth> {
    (0..OBJECTS)
        .map(|number| {
            let (image, category, box_in_source_px) = place(number);
            let area_px = 0.7 * box_in_source_px.area();
            let crowd = number % 100 == 0;
            Truth {
                id: number as i64 + 1,
                image,
                category,
                box_in_source_px,
                area_px,
                crowd,
                mask: None,
            }
        })
        .collect()
}

/// A fifth of them near an object, the others anywhere.
fn found() -> Vec<Found> {
    (0..FOUND)
        .map(|number| {
            let (image, category, mut box_in_source_px) = place(number);
            box_in_source_px.left += 6.0 * share(number, 4);
            Found { image, category, box_in_source_px, score: share(number, 4), mask: None }
        })
        .collect()
}

fn evaluate(criterion: &mut Criterion) {
    let (truths, found) = (truths(), found());
    let mut group = criterion.benchmark_group("eval");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("coco", |bencher| {
        bencher.iter(|| black_box(Evaluation::of(CATEGORIES, &truths, &found).metrics()));
    });
    let evaluation = Evaluation::of(CATEGORIES, &truths, &found);
    group.bench_function("thresholds", |bencher| {
        bencher.iter(|| {
            let chosen: Vec<_> =
                evaluation.categories.iter().map(|one| best_threshold(one, 0.001)).collect();
            let at = AtThresholds::of(&evaluation, &truths, &found, &[0.5; CATEGORIES]);
            black_box((chosen, at.total))
        });
    });
    group.finish();
}

criterion_group!(benches, evaluate);
criterion_main!(benches);
