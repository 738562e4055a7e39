//! Message bytes to pixels at 1920x1080: one raw encoding of each way of decoding, JPEG, and an
//! overlay. Names are `decode/FORM/ENCODING`.
#![allow(missing_docs, reason = "criterion's macros make public functions without docs")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start should say why and stop")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use image::RgbImage;
use owlet::types::PixelBox;
use owlet::vision::decode::{RawImage, decode_compressed, decode_raw};
use owlet::vision::encode::{encode_jpeg, encode_png};
use owlet::vision::overlay::{OverlayItem, draw};

const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;

/// Smooth shapes with some noise, so that a JPEG has about the size of a camera's.
fn picture() -> RgbImage {
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let noise = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 5 & 15;
        let wave = (f64::from(x) / 90.0).sin() * (f64::from(y) / 60.0).cos() * 60.0 + 120.0;
        image::Rgb([wave as u8 + noise as u8, (y / 5 + noise) as u8, (x / 9 + noise) as u8])
    })
}

fn raw(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode/raw");
    group.throughput(Throughput::Elements(1));
    // Bytes of a row for each pixel, and rows for each 2 rows of pixels.
    for (encoding, row_bytes, half_rows) in [
        ("rgb8", 3, 2),
        ("bgr8", 3, 2),
        ("bgra8", 4, 2),
        ("mono8", 1, 2),
        ("mono16", 2, 2),
        ("rgb16", 6, 2),
        ("bayer_rggb8", 1, 2),
        ("bayer_rggb16", 2, 2),
        ("uyvy", 2, 2),
        ("nv12", 1, 3),
        ("16UC1", 2, 2),
        ("32FC1", 4, 2),
    ] {
        let step = WIDTH * row_bytes;
        let data: Vec<u8> = picture().into_raw();
        let length = (step * HEIGHT * half_rows / 2) as usize;
        let data: Vec<u8> = data.iter().copied().cycle().take(length).collect();
        let image = RawImage {
            width: WIDTH,
            height: HEIGHT,
            encoding,
            is_bigendian: false,
            step,
            data: &data,
        };
        group.bench_function(encoding, |bencher| {
            bencher.iter(|| decode_raw(black_box(&image)).unwrap());
        });
    }
    let padded = picture().into_raw();
    let padded: Vec<u8> = padded
        .chunks_exact(WIDTH as usize * 3)
        .flat_map(|row| row.iter().copied().chain([0; 64]))
        .collect();
    let image = RawImage {
        width: WIDTH,
        height: HEIGHT,
        encoding: "rgb8",
        is_bigendian: false,
        step: WIDTH * 3 + 64,
        data: &padded,
    };
    group.bench_function("rgb8_padded", |bencher| {
        bencher.iter(|| decode_raw(black_box(&image)).unwrap());
    });
    group.finish();
}

fn compressed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode/compressed");
    let image = picture();
    for (name, data) in
        [("jpeg_q90", encode_jpeg(&image, 90).unwrap()), ("png", encode_png(&image).unwrap())]
    {
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| decode_compressed("", black_box(&data)).unwrap());
        });
    }
    group.finish();
}

fn overlay(criterion: &mut Criterion) {
    let image = picture();
    let items: Vec<_> = (0..10_u8)
        .map(|i| {
            let at = f32::from(i);
            OverlayItem {
                label: "a remote control",
                score: 0.5,
                finer: None,
                box_in_source_px: PixelBox {
                    x0: 150.0 * at,
                    y0: 90.0 * at,
                    x1: 150.0 * at + 300.0,
                    y1: 90.0 * at + 200.0,
                },
                color_index: usize::from(i),
            }
        })
        .collect();
    criterion.bench_function("overlay/draw/10_boxes", |bencher| {
        bencher.iter(|| draw(black_box(&image), &items));
    });
    criterion.bench_function("overlay/encode/jpeg_q90", |bencher| {
        bencher.iter(|| encode_jpeg(black_box(&image), 90).unwrap());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = raw, compressed, overlay
}
criterion_main!(benches);
