//! The command line of Owlet.

mod app;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::app::args::{
    CheckArgs, ConfigArgs, DetectArgs, InspectArgs, ModelsArgs, NodeArgs, PullArgs,
    RandomModelArgs, ReplayArgs, SegmentArgs,
};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed; the reason is the last line on stderr
  2    the command line, the configuration or the prompts were refused; every reason is listed
  3    done, but something was lost: a bad frame, a picture that could not be read, a cut
       recording, a checkpoint that is damaged
  130  interrupted; what was done is kept and `--resume` goes on from there (`owlet run` runs until
       it is interrupted: that is its end, and its code is 0)
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
    /// Draw masks of the prompts in pictures, with a segmenter (CLIPSeg, GroupViT, SAM).
    #[command(after_help = app::segment::AFTER_HELP)]
    Segment(SegmentArgs),
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
    /// Measure how good a model is on a dataset with true boxes (COCO): AP, thresholds, a report.
    #[command(after_help = app::eval::AFTER_HELP)]
    Eval(Box<app::eval::EvalArgs>),
    /// Run a live node, over zenoh or in ROS 2: camera images in, detections out.
    ///
    /// It runs until SIGINT or SIGTERM, and ends within a second with exit code 0.
    #[command(after_help = "\
Examples:
  owlet run --model owlvit-base-patch32 --prompt 'a mug' --connect tcp/192.168.1.10:7447
  owlet run --transport rmw_zenoh --model owlvit-base-patch32 --prompt 'a mug' \\
        --ros-args -r image:=/camera/image_raw

Topics of the node called owlet in ROS 2 (--node gives it another name and a namespace):
  image, image/compressed       in: sensor_msgs/Image, CompressedImage
  ~/detections                  out: vision_msgs/Detection2DArray for each frame looked at
  ~/overlay/compressed          out: sensor_msgs/CompressedImage, drawn while somebody listens
  ~/vision_info                 out: vision_msgs/VisionInfo, for who comes later, too
  camera_info, depth, /tf       in, for ~/detections_3d: vision_msgs/Detection3DArray in metres
  ~/instances, ~/labels         out, where masks are made
  ~/pick, ~/picks, ~/heightmap, ~/cloud   out, where parameters ask for them
  ~/prompts                     in, out: owlet_msgs/PromptSet
  ~/set_prompts, ~/get_prompts, ~/detect, ~/teach   services of owlet_msgs
  /diagnostics                  out every second: why there is nothing
It is a managed node with parameters (`ros2 lifecycle`, `ros2 param`), which loads its model and
takes images at once unless `autostart` is false. Where the model cannot be loaded it waits to be
configured again.

Keys over plain zenoh:
  owlet/owlet/camera/<camera>/image   in: JPEG, PNG, or raw with a described layout
  owlet/owlet/detections/<camera>     out: JSON for each frame that was looked at
  owlet/owlet/detections_3d/<camera>  out, where there is depth: JSON with places in metres
  owlet/owlet/overlay/<camera>        out: JPEG with the boxes, while somebody subscribes
  owlet/owlet/prompts                 get, put: the prompt set, in the form of a prompts file
  owlet/owlet/detect                  get with an image as payload: JSON detections
  owlet/owlet/teach                   get with a picture and a name: shows a thing
  owlet/owlet/status                  out every second, get: why there is nothing
Frames that the model has no time for are dropped, the newest stays; the status counts them.
Where a router is asked for that cannot be reached, the start fails. TLS, access control and shared
memory are set in a file of zenoh's own: --param zenoh_config=zenoh.json5")]
    Run(NodeArgs),
    /// Show a thing in a picture: from then on a prompts file finds it by its name.
    #[command(after_help = app::teach::AFTER_HELP)]
    Teach(Box<app::teach::TeachArgs>),
    /// Make and change banks of pictures with captions, by which things are named (ASIF).
    #[command(after_help = app::bank::AFTER_HELP)]
    Bank(Box<app::bank::BankArgs>),
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
    chatter.start_logging(match &cli.command {
        Command::Run(args) => app::run::log_level(args),
        _ => None,
    });
    let result = match cli.command {
        Command::Detect(args) => app::detect::run(&args),
        Command::Segment(args) => app::segment::run(&args),
        Command::Replay(args) => app::replay::run(&args, &chatter),
        Command::Eval(args) => app::eval::run(&args, &chatter),
        Command::Run(args) => app::run::run(&args),
        Command::Teach(args) => app::teach::run(&args),
        Command::Bank(args) => app::bank::run(&args, &chatter),
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
        let segment = help("segment");
        for name in ["_mask.png", "_overlay.jpg", "_score_<i>.png", "segments.jsonl"] {
            assert!(segment.contains(name), "{name} is not in\n{segment}");
        }
        for key in ["mask", "overlay", "segments", "prompt", "label", "score", "threshold"]
            .into_iter()
            .chain(["area_px", "box_px", "centroid_px", "rle", "size", "counts"])
        {
            assert!(segment.contains(&format!("\"{key}\"")), "{key} is not in\n{segment}");
        }
        let replay = help("replay");
        for file in ["detections.jsonl", "detections.mcap", "report.html", "run.json"] {
            assert!(replay.contains(file), "{file} is not in\n{replay}");
        }
        let eval = help("eval");
        for file in ["eval.json", "results.json", "prompts.yaml", "report.html"] {
            assert!(eval.contains(file), "{file} is not in\n{eval}");
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
            for option in ["overlay", "threshold", "resume", "calibrate-every"] {
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
        assert!(refused("owlet segment a.png").contains("--out"));
        assert!(refused("owlet replay bag").contains("--out"));
        assert!(refused("owlet replay bag --out o --resume --overwrite").contains("--overwrite"));
        assert!(refused("owlet eval data").contains("--out"));
        assert!(refused("owlet eval data --out o --calibrate-every 1").contains("calibrate-every"));
        assert!(refused("owlet eval data --out o --fail-below 0.1").contains("--against"));
        assert!(refused("owlet eval data --results r.json --model m").contains("--model"));
        assert!(refused("owlet inspect bag -q -v").contains("--quiet"));
        assert!(refused("owlet detect a.png --device tpu").contains("auto, cpu, cuda or cuda:N"));
        assert!(refused("owlet detect a.png --dtype f64").contains("f64"));
        assert!(refused("owlet detect a.png --threshold much").contains("--threshold"));
        assert!(refused("owlet completions tcsh").contains("bash"));
    }
}
