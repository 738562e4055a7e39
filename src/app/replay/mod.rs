//! `owlet replay`: every frame of a recording through the pipeline, nothing dropped.
//!
//! A reader thread decodes frames and posts them, the inference thread looks at them, and this
//! thread writes the results. All queues between them are bounded and none of them drops.

mod outputs;
mod run_file;
mod source;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use owlet::pipeline::{Outcome, Pipeline, PipelineOptions, Policy};
use owlet::report::LossSummary;
use owlet::transport::inspect::inspect;
use owlet::transport::records::FrameRecord;
use owlet::transport::rosbag2::BagReader;

use self::outputs::{OutputOptions, Outputs};
use self::run_file::{RunFile, RunIdentity};
use self::source::{Source, SourceReport, Topic};
use super::interrupt::Interrupt;
use super::settings::{Settings, load_detector};
use super::{Chatter, Finish, Refused};
use crate::ReplayArgs;

/// Results that may wait to be written before inference waits.
const RESULTS_CAPACITY: usize = 8;
/// Frames of an earlier run that may wait to be written.
const KNOWN_CAPACITY: usize = 8;

pub(crate) fn run(args: ReplayArgs, chatter: Chatter) -> anyhow::Result<Finish> {
    let settings = Settings::from_args(&args.run)?;
    let mut bag = BagReader::open(&args.bag)?;
    let asked = if args.topics.is_empty() { &settings.config.image_topics } else { &args.topics };
    let recording = inspect(&args.bag)?;
    for note in &recording.notes {
        tracing::warn!("{note}");
    }
    let topics = source::choose_topics(&recording, asked)?;

    let identity = RunIdentity::new(&args, &settings, &bag, &topics);
    let known = prepare_folder(&args, &identity, settings.config.max_batch)?;
    if !known.is_empty() {
        tracing::info!("going on after {} frames that are done", known.len());
    }

    let options = settings.detector_options();
    let (pipeline, mut results) = Pipeline::start(
        PipelineOptions {
            cameras: topics.iter().map(|topic| Arc::clone(&topic.name)).collect(),
            policy: Policy::Block,
            max_batch: settings.config.max_batch,
            results_capacity: RESULTS_CAPACITY,
        },
        move || load_detector(&options),
    )
    .map_err(|error| anyhow!("{error:#}"))?;
    pipeline
        .set_prompts(Arc::clone(&settings.prompts))
        .map_err(|error| Refused(error.to_string()))?;

    let mut outputs = Outputs::create(OutputOptions {
        folder: &args.out,
        settings: &settings,
        topics: &topics,
        model: pipeline.info(),
        bag: bag.info(),
        every_overlay: args.overlays,
        already_recorded: known.len(),
    })?;
    let run_file = RunFile::new(identity, pipeline.info().clone());
    run_file.write(&args.out)?;

    let interrupt = Interrupt::listen()?;
    let progress = progress_bar(&topics, chatter);
    let started = Instant::now();
    let (known_sender, known_frames) = sync_channel(KNOWN_CAPACITY);
    let pipeline = &pipeline;
    let source = Source {
        topics: &topics,
        prompts: &settings.prompts,
        known: VecDeque::from(known),
        known_frames: Some(known_sender),
        pipeline,
        interrupt: &interrupt,
        progress: &progress,
    };
    let read = thread::scope(|scope| -> anyhow::Result<SourceReport> {
        let bag = &mut bag;
        let reader = thread::Builder::new()
            .name("reader".to_owned())
            .spawn_scoped(scope, move || {
                let report = source.run(bag);
                pipeline.close();
                report
            })
            .context("no thread for the reader")?;
        // What an earlier run found comes first; new results wait in their channel meanwhile.
        let written = write_all(&mut outputs, known_frames, &mut results, &progress);
        if written.is_err() {
            // Nobody takes results any more: wakes the reader up.
            results.close();
            while results.try_recv().is_ok() {}
            pipeline.close();
        }
        let report = reader.join().map_err(|_| anyhow!("the reader thread panicked"))?;
        written.and(report)
    })?;
    progress.finish_and_clear();

    for loss in &bag.losses().losses {
        tracing::warn!("{loss}");
        outputs.report.add_loss(LossSummary {
            source: loss.file.clone(),
            reason: loss.to_string(),
            messages: loss.messages,
        });
    }
    for skipped in &read.skipped {
        outputs.report.add_skipped(&skipped.topic, Some(skipped.received), &skipped.reason);
    }
    finish(&args, outputs, run_file, &read, started.elapsed())
}

/// Writes everything that comes, in order, until both channels end.
fn write_all(
    outputs: &mut Outputs,
    known_frames: std::sync::mpsc::Receiver<source::KnownFrame>,
    results: &mut tokio::sync::mpsc::Receiver<Outcome>,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    for source::KnownFrame { detections, frame } in known_frames {
        outputs.add(&detections, &frame)?;
        progress.inc(1);
    }
    while let Some(outcome) = results.blocking_recv() {
        match outcome {
            Outcome::Found { detections, frame } => outputs.add(&detections, &frame)?,
            Outcome::Failed(failure) => {
                let header = &failure.frame.header;
                tracing::warn!("{} {}: {}", failure.frame.camera, header.stamp, failure.reason);
                let stamp = Some(header.stamp);
                outputs.report.add_skipped(&failure.frame.camera, stamp, &failure.reason);
            }
        }
        progress.inc(1);
    }
    Ok(())
}

/// What an earlier run left: its frames with `--resume`, nothing with `--overwrite`.
fn prepare_folder(
    args: &ReplayArgs,
    identity: &RunIdentity,
    max_batch: usize,
) -> anyhow::Result<Vec<FrameRecord>> {
    if !RunFile::exists(&args.out) {
        return Ok(Vec::new());
    }
    if args.overwrite {
        outputs::remove(&args.out)?;
        return Ok(Vec::new());
    }
    if !args.resume {
        return Err(Refused(format!(
            "{} holds the results of an earlier run: --resume goes on with it, --overwrite \
             replaces it",
            args.out.display()
        ))
        .into());
    }
    RunFile::read(&args.out)?.must_match(identity)?;
    outputs::recover(&args.out, max_batch)
}

fn progress_bar(topics: &[Topic], chatter: Chatter) -> ProgressBar {
    if !chatter.progress() {
        return ProgressBar::hidden();
    }
    let frames = topics.iter().map(|topic| topic.messages).sum();
    let bar = ProgressBar::new(frames);
    let form = "{bar:40} {pos}/{len} frames, {per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(form).expect("the template is a constant"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn finish(
    args: &ReplayArgs,
    mut outputs: Outputs,
    mut run_file: RunFile,
    read: &SourceReport,
    wall: Duration,
) -> anyhow::Result<Finish> {
    outputs.report.set_wall_time(wall);
    if read.interrupted {
        outputs.report.add_note(&format!(
            "Interrupted after {} frames; the rest of the recording was not looked at.",
            outputs.report.summary().frames
        ));
    }
    let summary = outputs.finish()?;
    let lost = summary.skipped > 0 || !summary.losses.is_empty();
    run_file.finish(read.interrupted, &summary);
    run_file.write(&args.out)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&run_file)?);
    } else {
        println!("{summary}");
        print_files(&args.out, args.overlays);
    }
    Ok(match (read.interrupted, lost) {
        (true, _) => Finish::Interrupted,
        (false, true) => Finish::DataLost,
        (false, false) => Finish::Done,
    })
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn print_files(out: &Path, overlays: bool) {
    println!("{}", out.join(outputs::REPORT).display());
    println!("{}", out.join(outputs::BAG).display());
    println!("{}", out.join(outputs::JSONL).display());
    if overlays {
        println!("{}", out.join(outputs::OVERLAYS).display());
    }
}
