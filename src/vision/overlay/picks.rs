//! Where things may be taken hold of, over pictures.

use image::RgbImage;

use super::{DARK, LIGHT, Style, canvas};
use crate::types::{FrameDetections, FramePlaces};

/// Draws on `image`, for each detection that has a pick, a small cross at the point, and a line over
/// what the fingers have to span along the way that they close, with the fingers at its ends. The
/// one to be picked first ([`FramePlaces::best_pick`]) is light, the others are dark.
pub(super) fn draw_picks(image: &mut RgbImage, found: &FrameDetections, places: &FramePlaces) {
    let style = Style::for_image(image.width(), image.height());
    let best = places.best_pick(found).map(|(index, _)| index);
    let picks = places.picks.iter().flatten().enumerate();
    let mut marks: Vec<_> = picks
        .filter_map(|(index, pick)| Some((Some(index) == best, pick.as_ref().ok()?)))
        .collect();
    // The best one on top.
    marks.sort_by_key(|(is_best, _)| *is_best);
    for (is_best, pick) in marks {
        let [ink, halo] = if is_best { [LIGHT, DARK] } else { [DARK, LIGHT] };
        let lines = lines(pick.at_px, pick.span_px, &style);
        let wide = style.line + 2 * style.halo;
        for (width, color) in [(wide, halo), (style.line, ink)] {
            lines.iter().for_each(|line| canvas::line(image, *line, width, color));
        }
    }
}

/// Cross, span and fingers.
fn lines([x, y]: [f32; 2], span: Option<[[f32; 2]; 2]>, style: &Style) -> Vec<[[f32; 2]; 2]> {
    let arm = 3.0 * style.line as f32 + 1.0;
    let mut lines = vec![[[x - arm, y], [x + arm, y]], [[x, y - arm], [x, y + arm]]];
    let Some([from, to]) = span else { return lines };
    lines.push([from, to]);
    let [across, down] = [to[0] - from[0], to[1] - from[1]];
    let length = across.hypot(down);
    if length > 0.0 {
        let finger = [-down, across].map(|side| side / length * 1.5 * arm);
        for end in [from, to] {
            let tip = |sign: f32| [end[0] + sign * finger[0], end[1] + sign * finger[1]];
            lines.push([tip(-1.0), tip(1.0)]);
        }
    }
    lines
}
