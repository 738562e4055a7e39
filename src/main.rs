//! The command line of Owlet.

mod app;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use owlet::types::{DeviceChoice, DtypeChoice};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed; the reason is the last line on stderr
  2    the command line, the configuration or the prompts were refused; every reason is listed
  3    done, but something was lost: a bad frame, a picture that could not be read, a cut
       recording, a checkpoint that is damaged
  130  interrupted; what was done is kept and `--resume` goes on from there
  141  whoever read stdout has gone, as in `owlet ... | head`";

/// Finds what a text asks for in camera pictures and recordings.
#[derive(Parser)]
#[command(name = "owlet", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more on stderr (-v: debug, -vv: trace). RUST_LOG is honoured and wins.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// Say only warnings and errors on stderr, and draw no progress bar.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Find the prompts in pictures and print a table, or JSON.
    #[command(after_help = "\
Example:
  owlet detect kitchen.jpg --model owlvit-base-patch32 --prompt 'a mug' --prompt 'a sponge' \\
        --overlay found.png

With --json one object is printed for each picture, on a line of its own:
  {\"image\": PATH, \"width\": W, \"height\": H, \"model\": NAME,
   \"detections\": [{\"prompt\": NAME, \"score\": S, \"box_px\": [x0, y0, x1, y1]}]}
sorted by falling score; boxes are in pixels of the picture as it was read. Models with a head for
it (OWLv2) add \"objectness\" to each detection.")]
    Detect(DetectArgs),
    /// Run every frame of a recording (rosbag2: MCAP or sqlite3) through a model.
    #[command(after_help = "\
Example:
  owlet replay my_bag --model owlvit-base-patch32 --prompt 'a mug' --out out/my_bag

Written to the folder of --out:
  detections.jsonl   one line for each frame, in the recording's order; where the model failed on
                     one, `failed` says why
  detections.mcap/   a rosbag2 recording with vision_msgs/Detection2DArray at the recording's
                     stamps, for Foxglove, rviz and `ros2 bag`
  report.html        overlay pictures, counts for each prompt, timings; one file, no network
  run.json           what was run and what was lost, for machines

No frame is dropped, and two runs give the same detections.jsonl and the same messages.")]
    Replay(ReplayArgs),
    /// Say what is in a recording: topics, types, rates, encodings, and which of them can be used.
    #[command(after_help = "\
Examples:
  owlet inspect my_bag
  owlet inspect my_bag/my_bag_0.mcap --json")]
    Inspect(InspectArgs),
    /// Download a checkpoint from the hub (HF_ENDPOINT and HF_TOKEN are honoured).
    ///
    /// It goes to the folder of OWLET_MODELS, or to owlet/models where programs of the user keep
    /// data. A download that was cut goes on where it stopped. Only safetensors is ever taken.
    #[command(after_help = "\
Examples:
  owlet pull owlvit-base-patch32
  owlet pull google/owlv2-base-patch16-ensemble@main")]
    Pull(PullArgs),
    /// List the checkpoints that are here and the ones known by name.
    #[command(after_help = "\
Examples:
  owlet models
  owlet models --verify --json")]
    Models(ModelsArgs),
    /// Write a checkpoint with random weights: full size, right layout, knows nothing.
    ///
    /// For measuring speed and trying out a set-up where nothing can be downloaded. The weights
    /// depend only on the name and the seed, on every machine.
    #[command(after_help = "\
Example:
  owlet random-model owlvit-base-patch32 --out random-b32")]
    RandomModel(RandomModelArgs),
    /// Compare devices and number formats with f32 on the CPU, and time them.
    ///
    /// Runs a model on fixed pictures on the CPU in f32 and on the asked-for device in every number
    /// format it has, and prints how far apart the results are and how long each stage takes.
    #[command(after_help = "\
Example:
  owlet check --model owlvit-base-patch32 --device cuda:0 --json check.json")]
    Check(CheckArgs),
    /// List the parameters that a configuration file may set, with ranges and defaults.
    #[command(after_help = "\
Example:
  owlet config --default > my.yaml && owlet detect kitchen.jpg --config my.yaml --prompt 'a mug'")]
    Config(ConfigArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "\
Example:
  owlet completions bash > ~/.local/share/bash-completion/completions/owlet")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What every command that runs a model understands.
#[derive(Args)]
struct RunArgs {
    /// A folder in Hugging Face layout, or a name that `owlet models` lists.
    #[arg(short, long, value_name = "DIR_OR_NAME")]
    model: Option<String>,
    /// A text to look for; may be given several times.
    #[arg(short, long = "prompt", value_name = "TEXT")]
    prompts: Vec<String>,
    /// A file of prompts (names, synonyms, thresholds of their own, distractors).
    #[arg(long = "prompts", value_name = "FILE.yaml")]
    prompts_file: Option<PathBuf>,
    /// Lowest score that is reported, from 0 to 1.
    #[arg(short, long, value_name = "SCORE")]
    threshold: Option<f32>,
    /// Where to run: auto, cpu, cuda or cuda:N. A device that is missing is an error.
    #[arg(short, long, value_name = "DEVICE")]
    device: Option<DeviceChoice>,
    /// Number format: auto, f32, f16 or bf16.
    #[arg(long, value_name = "DTYPE")]
    dtype: Option<DtypeChoice>,
    /// A configuration file in ROS parameter form (see config/owlet.yaml).
    #[arg(short, long, value_name = "FILE.yaml")]
    config: Option<PathBuf>,
    /// Set one parameter, as in `--param nms_iou=0.5`; wins over the configuration file.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
}

#[derive(Args)]
struct DetectArgs {
    /// Pictures (JPEG or PNG).
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
    /// Write the picture with its boxes: a file that ends in .png or .jpg, or a folder. Several
    /// pictures go into a folder.
    #[arg(short, long, value_name = "OUT.png")]
    overlay: Option<PathBuf>,
    /// Print one JSON object for each picture instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ReplayArgs {
    /// A rosbag2 folder, or a single .mcap or .db3 file.
    bag: PathBuf,
    #[command(flatten)]
    run: RunArgs,
    /// An image topic to use; may be given several times. Default: all that can be used.
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Folder for the results.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Go on with an interrupted run in the folder of --out.
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Replace the results of an earlier run in the folder of --out.
    #[arg(long)]
    overwrite: bool,
    /// Write an overlay picture (JPEG) of every frame into DIR/overlays, too.
    #[arg(long)]
    overlays: bool,
    /// Print a summary as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct InspectArgs {
    /// A rosbag2 folder, or a single .mcap or .db3 file.
    bag: PathBuf,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct PullArgs {
    /// A name that `owlet models` lists, or OWNER/NAME; `@REVISION` pins a branch, tag or commit.
    #[arg(value_name = "NAME[@REVISION]")]
    name: String,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ModelsArgs {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Compare every file with its checksum, which takes a second for each gigabyte.
    #[arg(long)]
    verify: bool,
}

#[derive(Args)]
struct RandomModelArgs {
    /// Which configuration: one of the names that `owlet models` lists.
    name: String,
    /// Folder to write; must not exist yet or be empty.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Other seeds give other weights.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Args)]
struct ConfigArgs {
    /// Print a commented configuration file that holds every default.
    #[arg(long)]
    default: bool,
    /// Print the table in Markdown.
    #[arg(long, conflicts_with = "default")]
    markdown: bool,
}

#[derive(Args)]
struct CheckArgs {
    /// A folder in Hugging Face layout, or a name that `owlet models` lists; may be given several
    /// times.
    #[arg(short, long = "model", value_name = "DIR_OR_NAME", required = true)]
    models: Vec<String>,
    /// The device to compare with the CPU: auto, cpu, cuda or cuda:N.
    #[arg(short, long, default_value = "auto")]
    device: DeviceChoice,
    /// Pictures to look at (JPEG or PNG); default: patterns drawn by the program.
    #[arg(long = "image", value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// CPU threads; 0 uses every core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Timed passes for each figure.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    passes: u32,
    /// Write the result as JSON to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The command line; the help of every command ends with the exit codes.
fn command() -> clap::Command {
    Cli::command().mut_subcommands(|subcommand| {
        let help = subcommand.get_after_help().map(|help| format!("{help}\n\n"));
        subcommand.after_help(help.unwrap_or_default() + EXIT_CODES)
    })
}

fn main() -> ExitCode {
    // Before anything else touches libtorch: see there.
    owlet::nn::load_cuda_backend();
    let cli = match Cli::from_arg_matches(&command().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let chatter = app::Chatter::new(cli.verbose, cli.quiet);
    chatter.start_logging();
    let result = match cli.command {
        Command::Detect(args) => app::detect::run(&args),
        Command::Replay(args) => app::replay::run(&args, &chatter),
        Command::Inspect(args) => app::inspect::run(&args),
        Command::Pull(args) => app::models::pull(&args, &chatter),
        Command::Models(args) => app::models::list(&args),
        Command::RandomModel(args) => app::models::write_random(&args),
        Command::Check(args) => app::check::run(&args),
        Command::Config(args) => app::config::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "owlet", &mut script);
            app::print_out(String::from_utf8_lossy(&script))
                .map(|()| app::Finish::Done)
                .map_err(Into::into)
        }
    };
    app::exit_code(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subcommands() -> Vec<clap::Command> {
        let mut all = command();
        all.build();
        all.get_subcommands().filter(|sub| sub.get_name() != "help").cloned().collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_help_has_an_example_and_the_exit_codes() {
        let all = command().render_long_help().to_string();
        assert!(all.contains("Exit codes:"), "{all}");
        for mut subcommand in subcommands() {
            let name = subcommand.get_name().to_owned();
            let help = subcommand.render_long_help().to_string();
            assert!(all.contains(&format!("\n  {name} ")), "{name} is not in\n{all}");
            for text in ["Example", &format!("  owlet {name}"), EXIT_CODES] {
                assert!(help.contains(text), "{text:?} is not in\n{help}");
            }
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{name}: {line}");
            }
        }
    }

    #[test]
    fn what_is_written_is_documented() {
        let help = |name: &str| {
            let mut all = command();
            all.find_subcommand_mut(name).map(|sub| sub.render_long_help().to_string()).unwrap()
        };
        let detect = help("detect");
        for key in ["image", "width", "height", "model", "detections", "prompt", "score", "box_px"]
        {
            assert!(detect.contains(&format!("\"{key}\"")), "{key} is not in\n{detect}");
        }
        let replay = help("replay");
        for file in ["detections.jsonl", "detections.mcap", "report.html", "run.json"] {
            assert!(replay.contains(file), "{file} is not in\n{replay}");
        }
    }

    #[test]
    fn completions_know_every_command_and_its_options() {
        use clap_complete::Shell;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "owlet", &mut script);
            let script = String::from_utf8(script).unwrap();
            for subcommand in subcommands() {
                assert!(script.contains(subcommand.get_name()), "{subcommand} for {shell}");
            }
            for option in ["overlay", "threshold", "resume"] {
                assert!(script.contains(option), "{option} for {shell}");
            }
        }
    }

    #[test]
    fn a_command_line_that_makes_no_sense_says_what_was_expected() {
        let refused = |line: &str| {
            let error = command().try_get_matches_from(line.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert!(refused("owlet detect").contains("<IMAGE>"));
        assert!(refused("owlet replay bag").contains("--out"));
        assert!(refused("owlet replay bag --out o --resume --overwrite").contains("--overwrite"));
        assert!(refused("owlet inspect bag -q -v").contains("--quiet"));
        assert!(refused("owlet detect a.png --device tpu").contains("auto, cpu, cuda or cuda:N"));
        assert!(refused("owlet detect a.png --dtype f64").contains("f64"));
        assert!(refused("owlet detect a.png --threshold much").contains("--threshold"));
        assert!(refused("owlet completions tcsh").contains("bash"));
    }
}
