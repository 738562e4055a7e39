//! One region against 100 prompts by a bank of a million pairs (synthetic embeddings).
//!
//! Measured apart: the product of the region's vector with the matrix of picture vectors; what comes
//! after it, by keeping the best and the inverted index; and the same by a dense product with the
//! text side of all pairs. `OWLET_BENCH_PAIRS` sets another number of pairs. Memory is told on
//! stderr, beside that of the bare embeddings.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use owlet::ground::asif::{Asif, AsifSettings, InvertedIndex, Nearest, Relative};
use owlet::ground::{Bank, EncoderId, NewPair, PairId, PairOrigin};
use tch::{Device, Kind, Tensor};

const IMAGE_DIMENSION: usize = 384;
const TEXT_DIMENSION: usize = 384;
const PROMPTS: usize = 100;

/// As encoders give them.
const PAIRS_PER_STEP: usize = 64;

fn pairs() -> usize {
    std::env::var("OWLET_BENCH_PAIRS").map_or(1_000_000, |pairs| pairs.parse().expect("a number"))
}

/// What the system says of this process, in MB.
fn memory_mb(what: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or("");
    let number = line.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    number.unwrap_or(f64::NAN) / 1024.0
}

fn vectors(count: usize, dimension: usize) -> Vec<Vec<f32>> {
    let all = Tensor::randn([count as i64, dimension as i64], (Kind::Float, Device::Cpu));
    (0..count as i64).map(|row| Vec::try_from(all.get(row)).expect("numbers")).collect()
}

fn synthetic_bank(count: usize) -> Bank {
    let encoder = |name: &str, dimension| EncoderId {
        name: name.to_owned(),
        sha256: "0".repeat(64),
        dimension,
    };
    let settings = AsifSettings::default();
    let encoders = (encoder("image", IMAGE_DIMENSION), encoder("text", TEXT_DIMENSION));
    let mut bank = Bank::new(encoders.0, encoders.1, settings).expect("settings of the paper");
    let mut done = 0;
    while done < count {
        let now = (count - done).min(PAIRS_PER_STEP);
        let sides = vectors(now, IMAGE_DIMENSION).into_iter().zip(vectors(now, TEXT_DIMENSION));
        let pairs = sides.enumerate().map(|(index, (image, text))| NewPair {
            image,
            text,
            origin: PairOrigin {
                caption: format!(
                    "a caption of the length that captions have, number {}",
                    done + index
                ),
                source: format!("images/{:07}.jpg", done + index).into(),
                topic: None,
                stamp: None,
                box_in_source_px: None,
            },
            thumbnail: None,
        });
        bank.add(pairs.collect()).expect("pairs");
        done += now;
    }
    bank
}

fn ground(criterion: &mut Criterion) {
    tch::manual_seed(1);
    let count = pairs();
    let idle_mb = memory_mb("VmRSS:");
    let mut asif = Asif::new(synthetic_bank(count));
    let bank_mb = memory_mb("VmRSS:") - idle_mb;
    asif.set_texts(&vectors(PROMPTS, TEXT_DIMENSION)).expect("vectors");
    let region = vectors(1, IMAGE_DIMENSION);
    let described = asif.describe(&region).expect("a vector").remove(0);
    assert_eq!(asif.scores(&described).len(), PROMPTS);
    let embeddings_mb = (count * (IMAGE_DIMENSION + TEXT_DIMENSION) * 4) as f64 / 1048576.0;
    let peak_mb = memory_mb("VmHWM:") - idle_mb;
    eprintln!(
        "{count} pairs: embeddings {embeddings_mb:.0} MB, bank {bank_mb:.0} MB, with {PROMPTS} \
         prompts in use and a region described at most {peak_mb:.0} MB: {:.3} times the embeddings; \
         {idle_mb:.0} MB before",
        peak_mb / embeddings_mb
    );

    let mut group = criterion.benchmark_group("asif");
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    let regions = vectors(20, IMAGE_DIMENSION);
    group.bench_function("1 region, product and all", |bencher| {
        bencher.iter(|| {
            let described = asif.describe(&region).expect("a vector");
            black_box(asif.scores(&described[0]))
        });
    });
    group.bench_function("20 regions, product and all", |bencher| {
        bencher.iter(|| {
            let described = asif.describe(&regions).expect("vectors");
            black_box(described.iter().map(|one| asif.scores(one)).collect::<Vec<_>>())
        });
    });
    let mut index = 0;
    group.bench_function("add a pair", |bencher| {
        bencher.iter_batched(
            || {
                index += 1;
                NewPair {
                    image: vectors(1, IMAGE_DIMENSION).remove(0),
                    text: vectors(1, TEXT_DIMENSION).remove(0),
                    origin: PairOrigin {
                        caption: format!("taught {index}"),
                        source: "bench".into(),
                        topic: None,
                        stamp: None,
                        box_in_source_px: None,
                    },
                    thumbnail: None,
                }
            },
            |pair| asif.add(vec![pair]).expect("a pair"),
            criterion::BatchSize::SmallInput,
        );
    });
    let mut next = asif.bank().len() as u64;
    group.bench_function("remove a pair", |bencher| {
        bencher.iter(|| {
            next -= 1;
            black_box(asif.remove(&[PairId(next)]).expect("a pair"))
        });
    });
    drop(asif);

    // After the product: the similarities of a region to all pairs are there.
    let settings = AsifSettings::default();
    let ids: Vec<PairId> = (0..count as u64).map(PairId).collect();
    let describe = |cosines: &[f32]| {
        let mut nearest = Nearest::new(settings.k);
        nearest.offer(&ids, cosines);
        Relative::new(&nearest.finish(), &settings)
    };
    // Cosines between random vectors of 384 numbers spread by so much.
    let cosines = |_| -> Vec<f32> {
        let spread = 1.0 / (IMAGE_DIMENSION as f64).sqrt();
        let all = Tensor::randn([count as i64], (Kind::Float, Device::Cpu)) * spread;
        Vec::try_from(all).expect("numbers")
    };
    let texts: Vec<Relative> = (0..PROMPTS).map(cosines).map(|all| describe(&all)).collect();
    let index = InvertedIndex::new(texts.iter());
    let region = cosines(0);
    group.bench_function("after the product: 1 region, 100 prompts", |bencher| {
        bencher.iter(|| black_box(index.scores(&describe(black_box(&region)))));
    });

    // The dense way: a row of all pairs for each text, and one for the region.
    let dense = Tensor::zeros([PROMPTS as i64, count as i64], (Kind::Float, Device::Cpu));
    for (text, relative) in texts.iter().enumerate() {
        let (places, weights): (Vec<i64>, Vec<f32>) =
            relative.weights().iter().map(|(pair, weight)| (pair.0 as i64, *weight)).unzip();
        let mut row = dense.get(text as i64);
        let _ = row.index_copy_(0, &Tensor::from_slice(&places), &Tensor::from_slice(&weights));
    }
    group.bench_function("after the product, dense: 1 region, 100 prompts", |bencher| {
        bencher.iter(|| {
            let cosines = Tensor::from_slice(black_box(&region));
            let (values, places) = cosines.topk(settings.k as i64, 0, true, false);
            let powers = values.pow_tensor_scalar(settings.p);
            let mut row = Tensor::zeros([count as i64], (Kind::Float, Device::Cpu));
            let _ = row.index_copy_(0, &places, &(&powers / powers.norm()));
            black_box(dense.mv(&row))
        });
    });
    group.finish();
}

criterion_group!(benches, ground);
criterion_main!(benches);
