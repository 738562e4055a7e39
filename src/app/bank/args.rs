//! The command line of `owlet bank`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use owlet::ground::DEFAULT_MARGIN;
use owlet::types::DeviceChoice;

use crate::app::args::RunArgs;

/// Stands below the options.
pub(crate) const AFTER_HELP: &str = "\
Examples:
  owlet bank build photos --out banks/kitchen --image-encoder dinov2-small \\
        --text-encoder all-minilm-l6-v2
  owlet bank add banks/kitchen annotations.json --images pictures
  owlet bank add banks/kitchen my_bag --model owlvit-base-patch32 -p 'a mug' --every 10
  owlet bank remove banks/kitchen --caption 'a mug'
  owlet bank info banks/kitchen --pairs
  owlet bank merge banks/kitchen banks/other
  owlet bank map banks/kitchen table.jpg --text 'a mug' --out map.png

A bank couples pictures with captions, so that an image encoder and a text encoder that never saw
each other can name things together (ASIF). Sources, each told by what it is:
  a folder of pictures   with captions in NAME.txt beside NAME.jpg (or .jpeg, .png), one a line, or
                         in captions.jsonl (metadata.jsonl): {\"image\": FILE, \"caption\": TEXT} on
                         each line, with \"box_px\": [x0, y0, x1, y1] where a part is meant; folders
                         in it are looked into
  COCO annotations       a .json file, or a folder with annotations.json: each box with the name of
                         its category, or with its `texts` in turn
  a recording            rosbag2: what --model finds of the prompts, each with its prompt's text
A pair that the bank has already, with the same caption, picture and box, is not added again.

Refused (2): a bank of other encoders or with another margin, a damaged bank, options that make no sense. Skipped, counted
and named (3): pictures without caption or that cannot be read, captions without picture, empty
captions and such with more tokens than the text encoder takes (never cut), boxes outside of their
picture, frames that cannot be used. Captions may be in any language that the text encoder knows.
Ctrl-C keeps what is encoded by then (130). A bank is replaced in one step at the end of a command.";

#[derive(Args)]
pub(crate) struct BankArgs {
    #[command(subcommand)]
    pub(crate) command: BankCommand,
}

#[derive(Subcommand)]
pub(crate) enum BankCommand {
    /// Make a bank from pictures with captions.
    Build(BuildArgs),
    /// Add pairs to a bank.
    Add(AddArgs),
    /// Remove pairs from a bank.
    Remove(RemoveArgs),
    /// Say what is in a bank.
    Info(InfoArgs),
    /// Take the pairs of other banks of the same encoders over.
    Merge(MergeArgs),
    /// Draw how well each place of a picture fits a text.
    Map(MapArgs),
}

#[derive(Args)]
pub(crate) struct BuildArgs {
    /// Folders of pictures, COCO annotations, recordings.
    #[arg(required_unless_present = "empty", value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,
    /// Make a bank with no pairs: a node that is given it can be taught some.
    #[arg(long, conflicts_with = "sources")]
    pub(crate) empty: bool,
    /// Folder for the bank.
    #[arg(short, long, value_name = "BANK")]
    pub(crate) out: PathBuf,
    /// Replace the bank that is there.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// What encodes pictures: a folder in Hugging Face layout, or a name.
    #[arg(long, value_name = "DIR_OR_NAME")]
    pub(crate) image_encoder: String,
    /// What encodes captions: a folder in Hugging Face layout, or a name.
    #[arg(long, value_name = "DIR_OR_NAME")]
    pub(crate) text_encoder: String,
    /// Pairs that describe a thing, the most similar ones; clipped to the size of the bank.
    #[arg(short, long, default_value_t = 800)]
    pub(crate) k: usize,
    /// The power that similarities are raised to; larger ones let the best pairs weigh more.
    #[arg(long, default_value_t = 8.0)]
    pub(crate) p: f64,
    /// Surroundings of a box that are looked at, times its sides, on each side; in the pictures of
    /// all pairs, and in a node with those of the regions that it names.
    #[arg(long, value_name = "TIMES", default_value_t = DEFAULT_MARGIN)]
    pub(crate) margin: f32,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

#[derive(Args)]
pub(crate) struct AddArgs {
    /// The bank's folder.
    pub(crate) bank: PathBuf,
    /// Folders of pictures, COCO annotations, recordings.
    #[arg(required = true, value_name = "SOURCE")]
    pub(crate) sources: Vec<PathBuf>,
    /// The bank's image encoder, where it is not found by the name that it had.
    #[arg(long, value_name = "DIR_OR_NAME")]
    pub(crate) image_encoder: Option<String>,
    /// The bank's text encoder, where it is not found by the name that it had.
    #[arg(long, value_name = "DIR_OR_NAME")]
    pub(crate) text_encoder: Option<String>,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

/// How pairs are made of sources.
#[derive(Args)]
pub(crate) struct HowArgs {
    /// Folder of the pictures of COCO annotations, where they are not with them.
    #[arg(long, value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,
    /// Keep no small pictures for explanations.
    #[arg(long)]
    pub(crate) no_thumbnails: bool,
    /// Image topics of recordings; default: all with colour images.
    #[arg(long = "topic", value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// Look at each N-th frame of a recording only: neighbours look alike.
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) every: u32,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Args)]
#[group(id = "which", required = true, multiple = true)]
pub(crate) struct WhichArgs {
    /// The pair of this id, as `owlet bank info --pairs` lists it.
    #[arg(long = "id", value_name = "ID", group = "which")]
    pub(crate) ids: Vec<u64>,
    /// All pairs with this caption.
    #[arg(long = "caption", value_name = "TEXT", group = "which")]
    pub(crate) captions: Vec<String>,
    /// All pairs from this picture or recording.
    #[arg(long = "source", value_name = "NAME", group = "which")]
    pub(crate) sources: Vec<String>,
}

#[derive(Args)]
pub(crate) struct RemoveArgs {
    /// The bank's folder.
    pub(crate) bank: PathBuf,
    #[command(flatten)]
    pub(crate) which: WhichArgs,
}

#[derive(Args)]
pub(crate) struct InfoArgs {
    /// The bank's folder.
    pub(crate) bank: PathBuf,
    /// List every pair.
    #[arg(long)]
    pub(crate) pairs: bool,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct MergeArgs {
    /// The bank's folder.
    pub(crate) bank: PathBuf,
    /// The banks that are taken over.
    #[arg(required = true, value_name = "OTHER")]
    pub(crate) others: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct MapArgs {
    /// The bank's folder; its image encoder has to give vectors of patches (ViT, DINO, DINOv2).
    pub(crate) bank: PathBuf,
    /// The picture.
    pub(crate) image: PathBuf,
    /// What is asked for. Pairs are of whole things and patches see little: how much a map tells
    /// depends on the encoder.
    #[arg(long)]
    pub(crate) text: String,
    /// The PNG that is written.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The bank's image encoder, where it is not found by the name that it had.
    #[arg(long, value_name = "DIR_OR_NAME")]
    pub(crate) image_encoder: Option<String>,
    /// The bank's text encoder, where it is not found by the name that it had.
    #[arg(long, value_name = "DIR_OR_NAME")]
    pub(crate) text_encoder: Option<String>,
    /// Where to run: auto, cpu, cuda or cuda:N. A device that is missing is an error.
    #[arg(short, long, value_name = "DEVICE")]
    pub(crate) device: Option<DeviceChoice>,
}
