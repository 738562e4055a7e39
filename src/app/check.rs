//! `owlet check`: is this machine's device right, and how fast is it?

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use image::{Rgb, RgbImage};
use owlet::detect::{DetectorOptions, Distance, OwlDetector, Profile, ProfileOptions, Quantiles};
use owlet::tasks::{Detector, ModelInfo};
use owlet::types::{DeviceChoice, DtypeChoice};
use owlet::vision::decode::decode_file;
use serde::Serialize;

use super::loading::{Task, find_model, is_text_segmenter};
use super::{Finish, Refused, plain_table, print_out, replace_file};
use crate::app::args::CheckArgs;

/// How many prompts figures are given for.
const PROMPT_COUNTS: [usize; 3] = [1, 10, 100];
/// How many frames in one pass figures are given for.
const BATCH_SIZES: [usize; 2] = [1, 4];
/// Prompts in use while devices are compared.
const COMPARED_PROMPTS: usize = 10;

/// All that was measured.
#[derive(Serialize)]
struct Check {
    owlet: &'static str,
    threads: usize,
    passes: usize,
    images_px: Vec<(u32, u32)>,
    models: Vec<ModelCheck>,
}

#[derive(Serialize)]
struct ModelCheck {
    name: String,
    architecture: String,
    parameters: u64,
    input_size_px: (u32, u32),
    runs: Vec<Run>,
}

/// One device and number format.
#[derive(Serialize)]
struct Run {
    device: String,
    dtype: String,
    /// How far it is from f32 on the CPU; absent for that itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    distance_to_cpu_f32: Option<Distance>,
    timings_ms: Profile,
}

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Finish> {
    let images = images(&args.images)?;
    let passes = usize::try_from(args.passes)?;
    let threads = match args.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let mut check = Check {
        owlet: env!("CARGO_PKG_VERSION"),
        threads,
        passes,
        images_px: images.iter().map(|image| image.dimensions()).collect(),
        models: Vec::new(),
    };
    for name in &args.models {
        let model_dir = find_model(name, Task::Detect)?;
        if let Some(found) = model_dir.architecture().filter(|found| is_text_segmenter(found)) {
            let text = format!("{name} is a segmenter ({found}): expected a detector to measure");
            return Err(Refused(text).into());
        }
        let mut options = DetectorOptions::new(model_dir.path(), name);
        options.threads = Some(threads);
        let profile = ProfileOptions {
            passes,
            prompt_counts: PROMPT_COUNTS.into(),
            batch_sizes: BATCH_SIZES.into(),
        };
        let model = check_model(&options, args.device, &images, &profile)
            .with_context(|| format!("cannot check {name}"))?;
        print_out(in_words(&model))?;
        check.models.push(model);
    }
    if let Some(path) = &args.json {
        let mut text = serde_json::to_vec_pretty(&check)?;
        text.push(b'\n');
        replace_file(path, &text)?;
    }
    Ok(Finish::Done)
}

fn check_model(
    options: &DetectorOptions,
    device: DeviceChoice,
    images: &[Arc<RgbImage>],
    profile: &ProfileOptions,
) -> anyhow::Result<ModelCheck> {
    let on =
        |device, dtype| OwlDetector::load(&DetectorOptions { device, dtype, ..options.clone() });
    // Asked for first: a device that is missing is told before anything else is done.
    let mut asked = on(device, DtypeChoice::F32)?;
    let mut runs = Vec::new();
    let ModelInfo { architecture, parameters, input_size: (height, width), .. } =
        asked.info().clone();
    if asked.info().device == "cpu" {
        runs.push(run_of(&asked.info().clone(), None, asked.profile(images, profile)?));
    } else {
        let mut reference = on(DeviceChoice::Cpu, DtypeChoice::F32)?;
        for dtype in [DtypeChoice::F32, DtypeChoice::F16, DtypeChoice::Bf16] {
            if dtype != DtypeChoice::F32 {
                asked = on(device, dtype)?;
            }
            tracing::info!("{} in {dtype}", asked.info().device);
            let distance = asked.distance_to(&mut reference, images, COMPARED_PROMPTS)?;
            let timings = asked.profile(images, profile)?;
            runs.push(run_of(&asked.info().clone(), Some(distance), timings));
        }
    }
    Ok(ModelCheck {
        name: options.name.clone(),
        architecture,
        parameters,
        input_size_px: (width, height),
        runs,
    })
}

fn run_of(info: &ModelInfo, distance: Option<Distance>, timings_ms: Profile) -> Run {
    Run {
        device: info.device.clone(),
        dtype: info.dtype.clone(),
        distance_to_cpu_f32: distance,
        timings_ms,
    }
}

/// The pictures that were given, or two patterns of camera sizes.
fn images(paths: &[PathBuf]) -> anyhow::Result<Vec<Arc<RgbImage>>> {
    if paths.is_empty() {
        return Ok(vec![Arc::new(pattern(640, 480)), Arc::new(pattern(1280, 720))]);
    }
    paths.iter().map(|path| Ok(Arc::new(decode_file(path)?))).collect()
}

/// Gradients with blocks in them: no two patches alike.
fn pattern(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let block = (x / 53 * 7919 + y / 41 * 104_729) % 251;
        Rgb([(255 * x / width) as u8, (255 * y / height) as u8, block as u8])
    })
}

fn in_words(model: &ModelCheck) -> String {
    let (width, height) = model.input_size_px;
    let parameters = model.parameters as f64 / 1e6;
    let mut text = format!(
        "{}: {}, {width}x{height}, {parameters:.1} M parameters\n",
        model.name, model.architecture
    );
    for run in &model.runs {
        text += &format!("\n{} in {}, milliseconds\n", run.device, run.dtype);
        let mut table = plain_table(["", "fastest", "median", "90 %"], &[1, 2, 3]);
        let timings = &run.timings_ms;
        let mut row = |label: String, times: &Quantiles| {
            let cells = [times.min, times.p50, times.p90].map(|time| format!("{time:.2}"));
            table.add_row([vec![label], cells.into()].concat());
        };
        row("preprocess".to_owned(), &timings.preprocess);
        row("image tower".to_owned(), &timings.image_tower);
        let mut rows = |label: &str, unit: &str, times: &BTreeMap<usize, Quantiles>| {
            for (count, times) in times {
                let s = if *count == 1 { "" } else { "s" };
                row(format!("{label}, {count} {unit}{s}"), times);
            }
        };
        rows("text tower", "prompt", &timings.text_tower);
        rows("heads", "prompt", &timings.heads);
        rows("forward", "prompt", &timings.forward);
        rows("whole frame", "prompt", &timings.whole_frame);
        rows("batch", "frame", &timings.batch);
        text += &format!("{table}\n");
        if let Some(distance) = &run.distance_to_cpu_f32 {
            text += &format!(
                "from f32 on the CPU: logits {:.1e} (mean {:.1e}), scores {:.1e}, boxes {:.1e} of \
                 the canvas; {:.2} % of the patches have the same best prompt\n",
                distance.logit_max,
                distance.logit_mean,
                distance.score_max,
                distance.box_max,
                100.0 * distance.same_best_prompt
            );
        }
    }
    text + "\n"
}
