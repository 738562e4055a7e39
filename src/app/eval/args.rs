//! The command line of `owlet eval`.

use std::path::PathBuf;

use clap::Args;

use crate::app::args::ModelArgs;

/// Stands below the options.
pub(crate) const AFTER_HELP: &str = "\
Example:
  owlet eval data/kitchen --model owlvit-base-patch32 --out out/kitchen --calibrate-every 4
  owlet detect new.jpg --model owlvit-base-patch32 --prompts out/kitchen/prompts.yaml

DATASET is a folder with annotations.json, and pictures in images/ or beside it, or an annotation
file with --images DIR: COCO's `images`, `categories` and `annotations` with boxes. A category may
have `texts` (synonyms); its `supercategory` is a group whose average is told as well. Every
category is asked on every image, and detections are made as by `owlet detect`, with a low
threshold (--min-score) and max_detections=10000 unless --param says otherwise. The numbers are
those of pycocotools on the same boxes.

With masks (--param segmenter=NAME, or a model that segments by text), and a dataset that has them
(run-length codes or polygons), masks are measured too: AP by their overlap (`segm` of pycocotools),
and at the thresholds in use the mean overlap of objects with what was drawn for them, of their
boundaries (Boundary IoU, 2 % of the diagonal), and of whole classes. Each detection costs a mask,
so max_detections is 100 then.

Written to the folder of --out, at the end:
  eval.json      all numbers, settings, fingerprints of model and dataset, what was skipped
  results.json   the detections in COCO's results format, for --results and pycocotools
  prompts.yaml   prompts with their best thresholds (with --calibrate or --calibrate-every)
  report.html    tables, curves, best and worst pictures; one file, no network

Hits and thresholds are counted at an overlap (IoU) of 0.5. A false detection is a duplicate of a
found object, of the wrong category (on an object of another one), badly placed (IoU of 0.1 to 0.5
with an object), or on nothing.

Refused (2): a file that is not JSON or lacks a part; ids or category names that are not unique; no
usable annotation; prompts that do not name each category once; --against an evaluation of another
dataset or other images. Skipped, counted and named (3): annotations and results of unknown images
or categories, without box, with NaN, annotations without area or outside of their image; missing,
unreadable or differently sized pictures are left out with all that is in them. Masks that are of
another size or damaged are told, and only their boxes are used. Ctrl-C ends it with nothing
written. --fail-below ends with 1, after all is written.";

#[derive(Args)]
pub(crate) struct EvalArgs {
    /// A folder with annotations.json and images/, or an annotation file.
    pub(crate) dataset: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Folder of the pictures, where they are not with the annotations.
    #[arg(long, value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,
    /// Folder for the results.
    #[arg(short, long, value_name = "DIR", required_unless_present = "results")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the results of an earlier run in the folder of --out.
    #[arg(long, requires = "out")]
    pub(crate) overwrite: bool,
    /// Score these detections (COCO results) and run no model.
    #[arg(long, value_name = "RESULTS.json",
        conflicts_with_all = ["model", "device", "dtype", "template", "min_score", "calibrate"])]
    pub(crate) results: Option<PathBuf>,
    /// Give the true boxes to the segmenter (--param segmenter=NAME), or to the bank (--param
    /// bank=FOLDER), and run no detector, so that masks alone are measured, or names.
    #[arg(long, conflicts_with_all = ["results", "calibrate", "calibrate_every", "template"])]
    pub(crate) true_boxes: bool,
    /// The text for a category, with {} for its name; several are synonyms.
    #[arg(
        long = "template",
        id = "template",
        value_name = "TEXT",
        conflicts_with = "prompts_file"
    )]
    pub(crate) templates: Vec<String>,
    /// Prompts with the names of the categories: their texts and thresholds, and distractors.
    #[arg(long = "prompts", value_name = "FILE.yaml")]
    pub(crate) prompts_file: Option<PathBuf>,
    /// The threshold at which hits and false detections are counted; a prompt's own one wins.
    #[arg(short, long, value_name = "SCORE")]
    pub(crate) threshold: Option<f32>,
    /// Score above which detections are evaluated.
    #[arg(long, value_name = "SCORE", default_value_t = 0.001)]
    pub(crate) min_score: f32,
    /// Choose each prompt's threshold on this dataset, of the same categories.
    #[arg(long, value_name = "DATASET", conflicts_with = "calibrate_every")]
    pub(crate) calibrate: Option<PathBuf>,
    /// Folder of the pictures of --calibrate.
    #[arg(long, value_name = "DIR", requires = "calibrate")]
    pub(crate) calibrate_images: Option<PathBuf>,
    /// Set each N-th image (by id) aside, and choose each prompt's threshold on those.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) calibrate_every: Option<u32>,
    /// Write the prompts with the chosen thresholds to this file, too.
    #[arg(long, value_name = "FILE.yaml")]
    pub(crate) prompts_out: Option<PathBuf>,
    /// Tell the differences to an earlier evaluation of the same images.
    #[arg(long, value_name = "EVAL.json")]
    pub(crate) against: Option<PathBuf>,
    /// End with exit code 1 where AP fell by more than this since --against.
    #[arg(long, value_name = "DELTA", requires = "against")]
    pub(crate) fail_below: Option<f64>,
    /// Print eval.json instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}
