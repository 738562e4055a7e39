//! Where a thing can be taken hold of, and what a table looks like from above.

use image::{GrayImage, RgbImage};

use super::FrameHeader;

/// Where and how a gripper may take hold of a thing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pick {
    /// The point on the visible surface, `x, y, z` in metres: the middle of its largest part that is
    /// even and wholly seen.
    pub position_m: [f64; 3],
    /// The gripper's axes there, as a quaternion `x, y, z, w`: z is the way in, against the normal
    /// of the surface; y is the way that the fingers close, across the thing where it is narrowest;
    /// x lies along the thing.
    pub orientation_xyzw: [f64; 4],
    /// The normal of the surface, of length 1, out of the thing.
    pub normal: [f64; 3],
    /// What the fingers have to span: how wide the visible part of the thing is at that point along
    /// y, in metres.
    pub width_m: f64,
    /// How long the visible part of the thing is along x, in metres.
    pub length_m: f64,
    /// Radius of the largest disc of even surface around the point, in metres.
    pub room_m: f64,
    /// In `[0, 1]`: the share of the patch under the gripper that was measured and lies in its
    /// plane, times the cosine of the angle at which the camera sees it, times the part of the
    /// radius asked for that there is room for. 1 is a flat patch of that size, seen straight on;
    /// it is no probability that a grasp holds.
    pub score: f64,
    /// Where the image shows the point, `[x, y]` in pixels of the source image.
    pub at_px: [f32; 2],
    /// Where the image shows the two ends of what the fingers span, half of `width_m` to either
    /// side of the point along y; `None` where the camera does not see them.
    pub span_px: Option<[[f32; 2]; 2]>,
}

/// Numbers that the score maps of all prompts have at most: 64 MiB.
pub const MOST_PROMPT_SCORES: usize = 1 << 24;

/// What was seen, from straight above: an orthographic picture in the form of CLIPort (Shridhar et
/// al. 2021). Columns count along x of its frame, rows along y, both rising; all lists are row by
/// row.
#[derive(Clone, Debug, PartialEq)]
pub struct Heightmap {
    /// Stamp of the source image, and the frame that heights are in.
    pub header: FrameHeader,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Of the highest point seen in each cell, in metres above the lower bound; NaN where none was.
    pub heights_m: Vec<f32>,
    /// The best score of a detection whose mask holds that point, in `[0, 1]`; 0 where none does.
    pub scores: Vec<f32>,
    /// The same for each prompt of the set by itself, whatever `pick_prompt` asks for: of a cell
    /// one score for each, in the order of the set, then those of the next cell. `None` where they
    /// would be more than [`MOST_PROMPT_SCORES`].
    pub prompt_scores: Option<Vec<f32>>,
    /// How many prompts the set has.
    pub prompts: u32,
    /// The prompt of that detection: its place in the set, from 1; 0 for none.
    pub labels: GrayImage,
    /// The colour of that point; black where none was seen.
    pub colours: RgbImage,
}
