//! `owlet replay`: every frame of a recording through the pipeline, nothing dropped.
//!
//! A reader thread decodes frames and posts them, the inference thread looks at them, and this
//! thread writes the results. All queues between them are bounded and none of them drops.

mod coco;
mod folder;
mod identity;
mod known;
mod outputs;
mod run_file;
mod shared_report;
mod source;
mod space;
mod space_topics;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::thread;
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use indicatif::ProgressBar;
use owlet::pipeline::Outcome;
use owlet::report::LossSummary;
use owlet::spatial::SpatialSettings;
use owlet::transport::inspect::inspect;
use owlet::transport::rosbag2::BagReader;
use tokio::sync::mpsc;

use self::folder::OutFolder;
use self::identity::RunIdentity;
use self::outputs::{OutputOptions, Outputs};
use self::run_file::RunFile;
use self::shared_report::SharedReport;
pub(in crate::app) use self::source::choose_topics;
use self::source::{Source, SourceReport};
use self::space::{FrameSpace, SpaceReader};
use self::space_topics::SpaceTopics;
use super::console::{PrintError, in_words, print_out};
use super::interrupt::Interrupt;
use super::running::{CloseOnDrop, frames_bar, start_lossless};
use super::settings::Settings;
use super::{Chatter, Finish, Refused};
use crate::app::args::ReplayArgs;

/// Frames of an earlier run that may wait to be written.
const KNOWN_CAPACITY: usize = 8;

pub(crate) fn run(args: &ReplayArgs, chatter: &Chatter) -> anyhow::Result<Finish> {
    let settings = Settings::from_args(&args.run)?;
    let mut bag = BagReader::open(&args.bag)?;
    let asked = if args.topics.is_empty() { &settings.config.image_topics } else { &args.topics };
    let recording = inspect(&args.bag)?;
    for note in &recording.notes {
        tracing::warn!("{note}");
    }
    let topics = source::choose_topics(&recording, asked)?;
    let space_topics = SpaceTopics::choose(&recording, &topics, &settings.config)?;
    let identity = RunIdentity::new(args, &settings, bag.info(), &topics, &space_topics);
    let folder = OutFolder::claim(args, &identity)?;
    let cameras = topics.iter().map(|topic| Arc::clone(&topic.name)).collect();
    let (pipeline, results) = start_lossless(&settings, cameras)?;

    // Only now, with a model that runs and prompts that it takes, an earlier run is touched.
    let run_file = RunFile::new(identity, &args.bag, pipeline.info());
    let frames_per_pass = settings.config.max_batch.min(pipeline.info().useful_batch);
    let known = folder.prepare(&run_file, frames_per_pass)?;
    if known.left() > 0 {
        tracing::info!("going on after {} frames that are done", known.left());
    }
    let report = SharedReport::new(outputs::report_options(
        &settings,
        &topics,
        pipeline.info(),
        bag.info(),
        known.left(),
    ));
    let outputs = Outputs::create(OutputOptions {
        folder: &args.out,
        settings: &settings,
        topics: &topics,
        space_topics: &space_topics,
        report: &report,
        every_overlay: args.overlays,
        already_recorded: known.left(),
    })?;
    run_file.write(&args.out)?;

    let started = Instant::now();
    let is_resumed = known.left() > 0;
    let progress = frames_bar(topics.iter().map(|topic| topic.messages).sum(), chatter);
    let source = Source {
        topics: &topics,
        space_topics: &space_topics,
        space: SpaceReader::new(&space_topics, SpatialSettings::of(&settings.config)),
        prompts: &settings.prompts,
        known,
        pipeline: &pipeline,
        interrupt: &Interrupt::listen()?,
        report: &report,
        progress: &progress,
    };
    let ended = run_through(source, &mut bag, outputs, results);
    progress.finish_and_clear();
    let (read, outputs) = ended.map_err(|error| match error.is::<Refused>() {
        true => error,
        false => anyhow!(
            "{}; what was done is kept in {}: --resume goes on from there",
            in_words(&error),
            args.out.display()
        ),
    })?;

    for loss in &bag.losses().losses {
        tracing::warn!("{loss}");
        report.with(|report| {
            report.add_loss(LossSummary {
                source: loss.file.clone(),
                reason: loss.to_string(),
                messages: loss.messages,
            });
        });
    }
    report.with(|report| {
        // What an earlier run did took time that nobody knows.
        if !is_resumed {
            report.set_wall_time(started.elapsed());
        }
        if read.interrupted {
            let frames = report.summary().frames;
            report.add_note(&format!(
                "Interrupted after {frames} frames; the rest of the recording was not looked at."
            ));
        }
    });
    finish(args, outputs, run_file, read.interrupted)
}

/// The reader on a thread of its own, the writer on this one, to the end of both.
fn run_through<'a>(
    source: Source<'_>,
    bag: &mut BagReader,
    mut outputs: Outputs<'a>,
    mut results: mpsc::Receiver<Outcome>,
) -> anyhow::Result<(SourceReport, Outputs<'a>)> {
    let pipeline = source.pipeline;
    let progress = source.progress;
    let (known_sender, known_outcomes) = sync_channel(KNOWN_CAPACITY);
    // One for each frame on its way through bounded queues, so that it is bounded, too.
    let (space_sender, spaces) = channel();
    thread::scope(|scope| {
        let _close = CloseOnDrop(pipeline);
        let reader = thread::Builder::new()
            .name("reader".to_owned())
            .spawn_scoped(scope, move || {
                let _close = CloseOnDrop(pipeline);
                source.run(bag, known_sender, space_sender)
            })
            .context("no thread for the reader")?;
        let written = write_all(&mut outputs, known_outcomes, &mut results, &spaces, progress);
        // On an error nobody takes results any more: inference and the reader are woken up.
        drop(results);
        drop(spaces);
        pipeline.close();
        let read = reader.join().map_err(|_| anyhow!("the reader thread panicked"));
        let written = written?;
        let read = read??;
        if written != read.passed_on || !read.taken {
            bail!(
                "the inference thread ended early: {written} of {} frames came back",
                read.passed_on
            );
        }
        Ok((read, outputs))
    })
}

/// Writes everything that comes, in order, until both channels end: how many frames that was.
fn write_all(
    outputs: &mut Outputs<'_>,
    known_outcomes: Receiver<Outcome>,
    results: &mut mpsc::Receiver<Outcome>,
    spaces: &Receiver<Option<FrameSpace>>,
    progress: &ProgressBar,
) -> anyhow::Result<u64> {
    let mut written = 0;
    // Sent before its frame, and frames come back in their order.
    let space = || spaces.recv().ok().flatten();
    // What an earlier run found comes first; new results wait in their channel meanwhile.
    for outcome in known_outcomes {
        outputs.add(outcome, space())?;
        progress.inc(1);
        written += 1;
    }
    // The rate of what is only copied says nothing of the rest.
    progress.reset_eta();
    while let Some(outcome) = results.blocking_recv() {
        outputs.add(outcome, space())?;
        progress.inc(1);
        written += 1;
    }
    Ok(written)
}

fn finish(
    args: &ReplayArgs,
    outputs: Outputs<'_>,
    mut run_file: RunFile,
    interrupted: bool,
) -> anyhow::Result<Finish> {
    let (summary, places) = outputs.finish()?;
    let lost = summary.skipped > 0 || !summary.losses.is_empty();
    run_file.finish(interrupted, &summary, &places);
    run_file.write(&args.out)?;
    let text = match args.json {
        true => run_file.to_text()?,
        false => {
            let files = outputs::list_files(&args.out, args.overlays);
            let places: String =
                places.to_sentences().iter().map(|line| format!("{line}\n")).collect();
            format!("{summary}\n{places}{files}")
        }
    };
    match print_out(text) {
        // All is done and written: that nobody reads the summary takes nothing away.
        Ok(()) | Err(PrintError::NobodyReads) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(match (interrupted, lost) {
        (true, _) => Finish::Interrupted,
        (false, true) => Finish::DataLost,
        (false, false) => Finish::Done,
    })
}
