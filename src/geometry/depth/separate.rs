//! Which of the depths in a region are the object's.
//!
//! A box shows its object, what is behind it, and perhaps a little of what stands in front. The
//! depths are sorted into bins that grow with depth, as the noise of depth cameras does; runs of
//! bins that hold something are surfaces, parted by bins that hold nearly nothing. The nearest run
//! that holds enough is the object, as far as its depths keep to the median and the MAD. Both sides
//! of the median have a MAD of their own: the front of an object fills many pixels with few depths,
//! its top few pixels with many. A far part that fills less than a quarter of the object's pixels
//! is cut as if it were the table that the object stands on: depths alone do not tell them apart.
//!
//! A mask shows its object and little else: the run that holds most is the object as a whole.

use std::ops::Range;

/// Width of a bin as a share of the depth.
const BIN_SHARE: f64 = 0.01;

/// A bin that holds less than this share of the mean of all bins that hold something parts two
/// surfaces.
const GAP_SHARE: f64 = 0.1;

/// Depths in a box that lie further from the median than so many standard deviations are not the
/// object's; the standard deviation is that of a normal distribution with the same MAD. An even
/// slope stays whole: its ends lie 1.35 of these deviations from its middle.
const MOST_DEVIATIONS: f64 = 3.5;

/// The standard deviation of a normal distribution whose MAD is 1.
const DEVIATION_PER_MAD: f64 = 1.482_602_218_505_602;

/// A depth and how much it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighed {
    pub(super) depth_m: f64,
    pub(super) weight: f64,
}

/// Which surface is meant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// The nearest that holds at least `share` of the weight, or else the one that holds most; no
    /// deeper than `thickest_share` of its depth.
    Nearest { share: f64, thickest_share: f64 },
    /// The one that holds most.
    Largest,
}

/// The depths of one surface, in metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Surface {
    pub(super) median_m: f64,
    /// Median distance from the median.
    pub(super) mad_m: f64,
    /// Nearest and furthest depth that belong to it.
    pub(super) reach_m: (f64, f64),
}

impl Surface {
    pub(super) fn holds(&self, depth_m: f64) -> bool {
        (self.reach_m.0..=self.reach_m.1).contains(&depth_m)
    }
}

/// The surface that is wanted, out of finite depths above 0. `None` where there are no depths.
pub(super) fn separate(mut depths: Vec<Weighed>, wanted: Wanted) -> Option<Surface> {
    depths.sort_by(|a, b| a.depth_m.total_cmp(&b.depth_m));
    let run = wanted_run(&runs(&depths), wanted)?;
    let Wanted::Nearest { thickest_share, .. } = wanted else {
        let run = &depths[run];
        let (median_m, mad_m) = (weighed_median(run), mad(run, weighed_median(run)));
        let reach_m = (run.first()?.depth_m, run.last()?.depth_m);
        return Some(Surface { median_m, mad_m, reach_m });
    };
    let run = &depths[thinned(&depths, run, thickest_share)];
    let median_m = weighed_median(run);
    // The floor keeps the quantised depths of a flat surface, whose MAD is zero.
    let reach = |side: &[Weighed]| {
        (MOST_DEVIATIONS * DEVIATION_PER_MAD * mad(side, median_m)).max(BIN_SHARE * median_m)
    };
    let nearer = run.partition_point(|depth| depth.depth_m < median_m);
    let no_further = run.partition_point(|depth| depth.depth_m <= median_m);
    // What lies beyond the run is another surface, however wide this one is spread.
    let reach_m = (
        (median_m - reach(&run[..no_further])).max(run.first()?.depth_m),
        (median_m + reach(&run[nearer..])).min(run.last()?.depth_m),
    );
    Some(Surface { median_m, mad_m: mad(run, median_m), reach_m })
}

/// Runs of depths without a gap, as ranges of the sorted depths, with their weights.
fn runs(depths: &[Weighed]) -> Vec<(Range<usize>, f64)> {
    // Weights by bin, near to far; only bins that hold something.
    let bin = |depth: f64| (depth.ln() / BIN_SHARE.ln_1p()).floor();
    let mut bins: Vec<(f64, Range<usize>, f64)> = Vec::new();
    for (index, depth) in depths.iter().enumerate() {
        let number = bin(depth.depth_m);
        match bins.last_mut() {
            Some((last, range, weight)) if *last == number => {
                range.end = index + 1;
                *weight += depth.weight;
            }
            _ => bins.push((number, index..index + 1, depth.weight)),
        }
    }
    let total: f64 = bins.iter().map(|(_, _, weight)| weight).sum();
    let least = GAP_SHARE * total / bins.len().max(1) as f64;
    let mut runs: Vec<(Range<usize>, f64)> = Vec::new();
    let mut last_number = f64::NEG_INFINITY;
    for (number, range, weight) in bins {
        if weight < least {
            continue;
        }
        match runs.last_mut() {
            // One empty bin is no gap: coarse depth leaves some out.
            Some((run, sum)) if number - last_number <= 2.0 => {
                run.end = range.end;
                *sum += weight;
            }
            _ => runs.push((range, weight)),
        }
        last_number = number;
    }
    runs
}

fn wanted_run(runs: &[(Range<usize>, f64)], wanted: Wanted) -> Option<Range<usize>> {
    let total: f64 = runs.iter().map(|(_, weight)| weight).sum();
    let largest = runs.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let found = match wanted {
        Wanted::Largest => largest,
        Wanted::Nearest { share, .. } => {
            runs.iter().find(|(_, weight)| *weight >= share * total).or(largest)
        }
    };
    found.map(|(range, _)| range.clone())
}

/// The part of a run that one object can fill: of all stretches of the greatest thickness the one
/// that holds most, and of nearly equal ones the nearest.
fn thinned(depths: &[Weighed], run: Range<usize>, thickest_share: f64) -> Range<usize> {
    let thickest_m = thickest_share * depths[run.start].depth_m;
    let mut best = (run.start..run.start, 0.0);
    let (mut end, mut weight) = (run.start, 0.0);
    for start in run.clone() {
        while end < run.end && depths[end].depth_m <= depths[start].depth_m + thickest_m {
            weight += depths[end].weight;
            end += 1;
        }
        if weight > 1.1 * best.1 {
            best = (start..end, weight);
        }
        weight -= depths[start].weight;
    }
    best.0
}

/// Median distance from a depth, by weight.
fn mad(depths: &[Weighed], from_m: f64) -> f64 {
    let mut distances: Vec<_> = depths
        .iter()
        .map(|depth| Weighed { depth_m: (depth.depth_m - from_m).abs(), ..*depth })
        .collect();
    distances.sort_by(|a, b| a.depth_m.total_cmp(&b.depth_m));
    weighed_median(&distances)
}

/// Of depths that are sorted.
fn weighed_median(sorted: &[Weighed]) -> f64 {
    let half = 0.5 * sorted.iter().map(|value| value.weight).sum::<f64>();
    let mut sum = 0.0;
    let middle = sorted.iter().find(|value| {
        sum += value.weight;
        sum >= half
    });
    middle.or(sorted.last()).map_or(0.0, |value| value.depth_m)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(depth_m: f64, count: usize) -> impl Iterator<Item = Weighed> {
        // Two centimetres thick, evenly.
        (0..count).map(move |index| Weighed {
            depth_m: depth_m + 0.02 * (index as f64 / count as f64),
            weight: 1.0,
        })
    }

    const NEAR: Wanted = Wanted::Nearest { share: 0.2, thickest_share: 0.3 };

    fn of(parts: impl Iterator<Item = Weighed>, wanted: Wanted) -> Surface {
        separate(parts.collect(), wanted).unwrap()
    }

    #[test]
    fn the_near_surface_wins_where_it_holds_enough() {
        let scene = |object, wall| flat(1.0, object).chain(flat(1.5, wall));
        assert!((of(scene(30, 70), NEAR).median_m - 1.01).abs() < 0.002);
        // A few points in front are no object.
        assert!((of(scene(10, 90), NEAR).median_m - 1.51).abs() < 0.002);
        assert!((of(scene(40, 60), Wanted::Largest).median_m - 1.51).abs() < 0.002);
        assert_eq!(separate(Vec::new(), NEAR), None);
    }

    fn slope(from_m: f64, length: f64, count: u32) -> impl Iterator<Item = Weighed> {
        (0..count).map(move |index| Weighed {
            depth_m: from_m + length * f64::from(index) / f64::from(count),
            weight: 1.0,
        })
    }

    #[test]
    fn a_slope_stays_whole_and_a_long_one_is_cut_to_what_an_object_can_be() {
        for wanted in [NEAR, Wanted::Largest] {
            let whole = of(slope(1.0, 0.2, 1000), wanted);
            assert!((whole.median_m - 1.1).abs() < 1e-3);
            assert!(whole.holds(1.0) && whole.holds(1.199));
        }
        let cut = of(slope(1.0, 2.0, 1000), NEAR);
        assert!((cut.median_m - 1.15).abs() < 0.01, "{cut:?}");
    }

    #[test]
    fn a_front_with_a_long_top_keeps_both_and_a_table_it_touches_is_left_out() {
        // The front fills as many pixels as all that lies behind it.
        let object = of(flat(1.0, 500).chain(slope(1.02, 0.25, 500)), NEAR);
        assert!(object.holds(1.0) && object.holds(1.26), "{object:?}");
        let on_table = of(flat(1.0, 800).chain(slope(1.02, 0.28, 200)), NEAR);
        assert!(on_table.holds(1.015) && !on_table.holds(1.15), "{on_table:?}");
    }

    #[test]
    fn a_surface_of_one_depth_keeps_its_neighbours() {
        // Most depths are the same, so that the MAD is zero.
        let flat = [2.0; 9].into_iter().chain([1.99, 2.01]);
        let surface = of(flat.map(|depth_m| Weighed { depth_m, weight: 1.0 }), NEAR);
        assert_eq!((surface.median_m, surface.mad_m), (2.0, 0.0));
        assert_eq!(surface.reach_m, (1.99, 2.01));
    }
}
