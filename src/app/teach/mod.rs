//! `owlet teach`: a thing is shown once, and found by its name from then on.

mod file;
mod shown;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use owlet::tasks::{DetectionRules, Detector};
use owlet::types::{Detection, Exemplar, PixelBox, Prompt, PromptSet};

use self::file::PromptsFile;
use self::shown::read_picture;
use super::args::{ModelArgs, numbers};
use super::settings::{Settings, load_config_without_prompts};
use super::{Finish, Refused, print_out, visible};

pub(crate) const AFTER_HELP: &str = "\
Examples:
  owlet teach mug.jpg --box 120,80,260,240 --name 'my mug'
  owlet teach my_bag --at 3.5 --box 40,60,90,130 --name 'my gadget' --prompts workshop.yaml
  owlet detect other.jpg --prompts workshop.yaml

The picture is written beside the prompts file, and an exemplar with the box into it: into the prompt
of that name, or a new one. The model looks for the thing in the same picture at once: what it does
not find again there it will not find elsewhere.";

/// Overlap (IoU) of what is found again with what was shown, below which it is doubtful.
const DOUBTFUL_IOU: f32 = 0.5;

/// Detections of one look at the picture.
const MAX_LOOKED_AT: usize = 10_000;

#[derive(Args)]
pub(crate) struct TeachArgs {
    /// A picture (JPEG or PNG) or a recording (rosbag2).
    #[arg(value_name = "IMAGE_OR_BAG")]
    input: PathBuf,
    /// Where the thing is, in pixels; left out, the whole picture shows it.
    #[arg(
        long = "box",
        value_name = "X0,Y0,X1,Y1",
        value_parser = numbers::<4>,
        allow_hyphen_values = true
    )]
    area: Option<[f32; 4]>,
    /// What it is called.
    #[arg(short, long, value_name = "NAME")]
    name: String,
    /// The prompts file, which is made where there is none.
    #[arg(long = "prompts", value_name = "FILE.yaml", default_value = "prompts.yaml")]
    prompts_file: PathBuf,
    /// Of a recording: the topic with the pictures; may be left out where there is only one.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Of a recording: seconds from the first picture of the topic.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    at: f64,
    #[command(flatten)]
    model: ModelArgs,
}

pub(crate) fn run(args: &TeachArgs) -> anyhow::Result<Finish> {
    let mut file = PromptsFile::open(&args.prompts_file)?;
    let picture = read_picture(args)?;
    let exemplar = Exemplar {
        picture: Arc::new(picture),
        box_in_source_px: args.area.map(PixelBox::from_corners),
    };
    let prompt =
        Prompt { name: args.name.clone(), exemplars: vec![exemplar.clone()], ..Prompt::default() };
    let set = PromptSet { version: 1, prompts: vec![prompt], default_threshold: 0.0 };
    set.check().map_err(|refused| Refused(refused.to_string()))?;
    let config = load_config_without_prompts(&args.model, None, None, &[])?;
    let threshold = config.threshold;
    let settings = Settings::new(config, set)?;
    let mut detector = settings.detector_source().load()?;
    detector
        .set_prompts(Arc::clone(&settings.prompts))
        .map_err(|refused| Refused(refused.to_string()))?;
    let again = found_again(&mut *detector, &exemplar)?;

    let written = file.add(&args.name, exemplar.clone())?;
    let (width, height) = exemplar.picture.image.dimensions();
    let [x0, y0, x1, y1] = exemplar.area().corners();
    let mut text = format!(
        "{}: shown in [{x0:.0}, {y0:.0}, {x1:.0}, {y1:.0}] of {width}x{height} pixels\n",
        visible(&args.name)
    );
    text += &again.told(threshold);
    text += &format!(
        "wrote {} and {}: {} exemplars of this name, {} prompts\n",
        visible(&written.picture.display().to_string()),
        visible(&args.prompts_file.display().to_string()),
        written.exemplars,
        written.prompts,
    );
    print_out(text)?;
    Ok(Finish::Done)
}

/// What a look for the thing in its own picture gave.
struct FoundAgain {
    /// The detection that covers it best, with its overlap (IoU).
    best: Option<(Detection, f32)>,
    /// The best score of what is elsewhere: no overlap with it.
    elsewhere: Option<f32>,
    /// Whether something elsewhere scored higher.
    is_first: bool,
}

impl FoundAgain {
    fn told(&self, threshold: f32) -> String {
        let Some((found, iou)) = &self.best else {
            return "warning: the model does not find it again in its own picture\n".to_owned();
        };
        let [x0, y0, x1, y1] = found.box_in_source_px.corners();
        let mut text = format!(
            "  found again with score {:.3} in [{x0:.1}, {y0:.1}, {x1:.1}, {y1:.1}], overlap {iou:.2}\n",
            found.score
        );
        if let Some(score) = self.elsewhere {
            text += &format!("  best score of anything elsewhere in the picture {score:.3}\n");
        }
        if *iou < DOUBTFUL_IOU {
            text += "warning: the box that was found is another one: is the box tight around one \
                     thing?\n";
        }
        if !self.is_first {
            text += "warning: something else in the picture looks more like it: show it from nearer, \
                     or several times\n";
        }
        if found.score <= threshold {
            text += &format!(
                "warning: its score is not above the threshold {threshold}: give the prompt a lower one\n"
            );
        }
        text
    }
}

fn found_again(detector: &mut dyn Detector, exemplar: &Exemplar) -> anyhow::Result<FoundAgain> {
    let rules = DetectionRules {
        nms_iou: None,
        nms_across_prompts: false,
        max_detections: MAX_LOOKED_AT,
        names_per_box: 1,
    };
    detector.set_rules(rules);
    let found = detector.detect(&[Arc::clone(&exemplar.picture.image)])?.pop();
    let found = found.context("the detector gave no result for the picture")?;
    let area = exemplar.area();
    let with_iou: Vec<_> =
        found.detections.iter().map(|found| (found, found.box_in_source_px.iou(&area))).collect();
    // Of those that cover it well the highest score; of none the one that covers it best.
    let well = with_iou.iter().find(|(_, iou)| *iou >= DOUBTFUL_IOU);
    let nearest = with_iou.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let best = well.or(nearest).filter(|(_, iou)| *iou > 0.0);
    let elsewhere = with_iou.iter().filter(|(_, iou)| *iou == 0.0).map(|(found, _)| found.score);
    let elsewhere = elsewhere.reduce(f32::max);
    let is_first = best.is_some_and(|(best, _)| elsewhere.is_none_or(|score| score < best.score));
    Ok(FoundAgain { best: best.map(|(found, iou)| ((*found).clone(), *iou)), elsewhere, is_first })
}
