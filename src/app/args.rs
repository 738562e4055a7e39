//! The arguments of each command.

use std::path::PathBuf;

use clap::Args;
use owlet::config::Transport;
use owlet::types::{DeviceChoice, DtypeChoice};

/// What every command that looks for prompts understands.
#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// A text to look for; may be given several times.
    #[arg(short, long = "prompt", value_name = "TEXT")]
    pub(crate) prompts: Vec<String>,
    /// A file of prompts (names, synonyms, thresholds of their own, distractors).
    #[arg(long = "prompts", value_name = "FILE.yaml")]
    pub(crate) prompts_file: Option<PathBuf>,
    /// Lowest score that is reported, from 0 to 1.
    #[arg(short, long, value_name = "SCORE")]
    pub(crate) threshold: Option<f32>,
}

/// Which model, how it runs, and the parameters.
#[derive(Args)]
pub(crate) struct ModelArgs {
    /// A folder in Hugging Face layout, or a name that `owlet models` lists.
    #[arg(short, long, value_name = "DIR_OR_NAME")]
    pub(crate) model: Option<String>,
    /// Where to run: auto, cpu, cuda or cuda:N. A device that is missing is an error.
    #[arg(short, long, value_name = "DEVICE")]
    pub(crate) device: Option<DeviceChoice>,
    /// Number format: auto, f32, f16 or bf16.
    #[arg(long, value_name = "DTYPE")]
    pub(crate) dtype: Option<DtypeChoice>,
    /// A configuration file in ROS parameter form (see config/owlet.yaml).
    #[arg(short, long, value_name = "FILE.yaml")]
    pub(crate) config: Option<PathBuf>,
    /// Set one parameter, as in `--param nms_iou=0.5`; wins over the configuration file.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<String>,
}

#[derive(Args)]
pub(crate) struct DetectArgs {
    /// Pictures (JPEG or PNG).
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Write the picture with its boxes: a file that ends in .png or .jpg, or a folder. Several
    /// pictures go into a folder.
    #[arg(short, long, value_name = "OUT.png")]
    pub(crate) overlay: Option<PathBuf>,
    /// Print one JSON object for each picture instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct SegmentArgs {
    /// Pictures (JPEG or PNG).
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// A box around a thing, in pixels of the picture, for models that take boxes (SAM); may be
    /// given several times.
    #[arg(
        long = "box",
        value_name = "X0,Y0,X1,Y1",
        value_parser = numbers::<4>,
        allow_hyphen_values = true
    )]
    pub(crate) boxes: Vec<[f32; 4]>,
    /// A point on a thing; may be given several times, each for a thing of its own.
    #[arg(
        long = "point",
        value_name = "X,Y",
        value_parser = numbers::<2>,
        allow_hyphen_values = true
    )]
    pub(crate) points: Vec<[f32; 2]>,
    /// Fill holes and drop islands of less pixels than this in masks of boxes and points.
    #[arg(long, value_name = "PIXELS", default_value_t = 0)]
    pub(crate) min_region: u64,
    /// Folder for the results.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Write the scores of each prompt as a picture, too.
    #[arg(long, conflicts_with_all = ["boxes", "points"])]
    pub(crate) score_maps: bool,
    /// Replace the results of an earlier run in the folder of --out.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print one JSON object for each picture instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// So many numbers with commas between them.
pub(crate) fn numbers<const COUNT: usize>(text: &str) -> Result<[f32; COUNT], String> {
    let read: Option<Vec<f32>> = text
        .split(',')
        .map(|part| part.trim().parse().ok().filter(|number: &f32| number.is_finite()))
        .collect();
    read.and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| format!("expected {COUNT} numbers with commas between them"))
}

#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// A rosbag2 folder, or a single .mcap or .db3 file.
    pub(crate) bag: PathBuf,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// An image topic to use; may be given several times. Default: all that can be used.
    #[arg(long = "topic", value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// Folder for the results.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on with an interrupted run in the folder of --out.
    #[arg(long, conflicts_with = "overwrite")]
    pub(crate) resume: bool,
    /// Replace the results of an earlier run in the folder of --out.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Write an overlay picture (JPEG) of every frame into DIR/overlays, too.
    #[arg(long)]
    pub(crate) overlays: bool,
    /// Print a summary as JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct NodeArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// Read the file of --prompts again whenever it changes.
    #[arg(long)]
    pub(crate) watch: bool,
    /// What to speak: zenoh, rmw_zenoh (ROS 2 with no ROS installed) or ros2.
    #[arg(long, value_name = "TRANSPORT")]
    pub(crate) transport: Option<Transport>,
    /// Name of the node, as in `owlet` or `cell/left`; also chooses sections of the configuration.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// An endpoint of zenoh to connect to, as in tcp/192.168.1.10:7447; may be given several times.
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) connect: Vec<String>,
    /// An endpoint of zenoh to listen on; may be given several times.
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) listen: Vec<String>,
    /// What `ros2 run` and `ros2 launch` pass on, up to `--` or the end: -r FROM:=TO,
    /// -p NAME:=VALUE, --params-file FILE.yaml, --log-level LEVEL.
    #[arg(
        long,
        value_name = "ARG",
        num_args = 0..,
        allow_hyphen_values = true,
        value_terminator = "--"
    )]
    pub(crate) ros_args: Vec<String>,
}

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// A rosbag2 folder, or a single .mcap or .db3 file.
    pub(crate) bag: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct PullArgs {
    /// A name that `owlet models` lists, or OWNER/NAME; `@REVISION` pins a branch, tag or commit.
    #[arg(value_name = "NAME[@REVISION]")]
    pub(crate) name: String,
    /// Print JSON instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ModelsArgs {
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Compare every file with its checksum, which takes a second for each gigabyte.
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Args)]
pub(crate) struct RandomModelArgs {
    /// Which configuration: one of the names that `owlet models` lists.
    pub(crate) name: String,
    /// Folder to write; must not exist yet or be empty.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Other seeds give other weights.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Args)]
pub(crate) struct ConfigArgs {
    /// Print a commented configuration file that holds every default.
    #[arg(long)]
    pub(crate) default: bool,
    /// Print the table in Markdown.
    #[arg(long, conflicts_with = "default")]
    pub(crate) markdown: bool,
}

#[derive(Args)]
pub(crate) struct CheckArgs {
    /// A folder in Hugging Face layout, or a name that `owlet models` lists; may be given several
    /// times.
    #[arg(short, long = "model", value_name = "DIR_OR_NAME", required = true)]
    pub(crate) models: Vec<String>,
    /// The device to compare with the CPU: auto, cpu, cuda or cuda:N.
    #[arg(short, long, default_value = "auto")]
    pub(crate) device: DeviceChoice,
    /// Pictures to look at (JPEG or PNG); default: patterns drawn by the program.
    #[arg(long = "image", value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// CPU threads; 0 uses every core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// Timed passes for each figure.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) passes: u32,
    /// Write the result as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}
