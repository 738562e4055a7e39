//! Which depth picture belongs to which image, by their stamps.

use std::collections::VecDeque;

use crate::types::Stamp;

/// How images and depth pictures of one camera are matched, and what is kept for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatchSettings {
    /// Stamps may differ by so much, in seconds; 0 asks for equal ones.
    pub slop_secs: f64,
    /// How long an image waits for what is still to come, in seconds of the clock that
    /// [`Matcher::image`] and [`Matcher::find`] are told.
    pub patience_secs: f64,
    /// How long depth pictures are kept behind the newest one, in seconds.
    pub kept_secs: f64,
    /// A stamp that lies this far behind the newest one means that the clock was set back, as when
    /// a recording starts again; anything less is one that came late. In seconds.
    pub jump_back_secs: f64,
    /// Most depth pictures that are kept.
    pub most_depths: usize,
    /// Most images that wait.
    pub most_images: usize,
}

impl Default for MatchSettings {
    fn default() -> Self {
        Self {
            slop_secs: 0.05,
            patience_secs: 0.5,
            kept_secs: 1.0,
            jump_back_secs: 2.0,
            most_depths: 32,
            most_images: 64,
        }
    }
}

/// What an image was matched with.
#[derive(Clone, Debug, PartialEq)]
pub enum Match<D> {
    /// A depth picture that fits, or fits better, may still come.
    Wait,
    /// The depth picture with the nearest stamp.
    Found(D),
    /// There is none.
    Missing(Missing),
}

/// Why an image has no depth picture.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Missing {
    /// None has come at all.
    #[error("no depth picture has come")]
    Never,
    /// The nearest one is older.
    #[error(
        "the nearest depth picture is {by_secs:.3} s older than the image, more than {slop_secs} s"
    )]
    TooOld {
        /// By so much, in seconds.
        by_secs: f64,
        /// What is allowed, in seconds.
        slop_secs: f64,
    },
    /// The nearest one is newer.
    #[error(
        "the nearest depth picture is {by_secs:.3} s newer than the image, more than {slop_secs} s"
    )]
    TooNew {
        /// By so much, in seconds.
        by_secs: f64,
        /// What is allowed, in seconds.
        slop_secs: f64,
    },
    /// The image was forgotten: too many waited, or newer ones were asked for.
    #[error("the image waited behind too many others")]
    Forgotten,
}

struct Waiting<D> {
    stamp: Stamp,
    until: Stamp,
    /// The nearest depth picture so far, and its stamp.
    nearest: Option<(Stamp, D)>,
}

/// Matches the images of one camera with its depth pictures. Each stream may be late against the
/// other; memory is bounded whatever comes. No clock is read.
pub struct Matcher<D> {
    settings: MatchSettings,
    /// Stamps rising.
    depths: VecDeque<(Stamp, D)>,
    /// In the order in which they came.
    images: VecDeque<Waiting<D>>,
    newest_depth: Option<Stamp>,
    newest_image: Option<Stamp>,
    has_had_depth: bool,
}

/// Of two distances in time, in nanoseconds.
fn apart(one: Stamp, other: Stamp) -> u64 {
    one.0.abs_diff(other.0)
}

impl<D: Clone> Matcher<D> {
    /// With nothing in it.
    #[must_use]
    pub fn new(settings: MatchSettings) -> Self {
        Self {
            settings,
            depths: VecDeque::new(),
            images: VecDeque::new(),
            newest_depth: None,
            newest_image: None,
            has_had_depth: false,
        }
    }

    /// Whether a depth picture has ever come.
    #[must_use]
    pub fn has_had_depth(&self) -> bool {
        self.has_had_depth
    }

    /// Depth pictures and images that are held.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        (self.depths.len(), self.images.len())
    }

    /// Takes a depth picture. Returns whether its stamp has shown that the clock was set back: the
    /// depth pictures before it are forgotten.
    pub fn depth(&mut self, stamp: Stamp, depth: D) -> bool {
        let settings = &self.settings;
        let was_set_back = self
            .newest_depth
            .is_some_and(|newest| newest.secs_since(stamp) >= settings.jump_back_secs);
        if was_set_back {
            self.depths.clear();
            self.newest_depth = None;
        }
        self.has_had_depth = true;
        let newest = self.newest_depth.map_or(stamp, |newest| newest.max(stamp));
        self.newest_depth = Some(newest);
        for image in &mut self.images {
            image.offer(stamp, &depth);
        }
        let place = self.depths.partition_point(|(known, _)| *known <= stamp);
        self.depths.insert(place, (stamp, depth));
        let is_old = |(known, _): &(Stamp, D)| newest.secs_since(*known) > settings.kept_secs;
        while self.depths.len() > settings.most_depths || self.depths.front().is_some_and(is_old) {
            self.depths.pop_front();
        }
        was_set_back
    }

    /// Takes the stamp of an image that will be asked about; `now` is by any clock that does not
    /// run back. Returns whether the stamp has shown that the clock of the stamps was set back.
    pub fn image(&mut self, stamp: Stamp, now: Stamp) -> bool {
        let jump_back_secs = self.settings.jump_back_secs;
        let was_set_back =
            self.newest_image.is_some_and(|newest| newest.secs_since(stamp) >= jump_back_secs);
        if was_set_back {
            // Those of before the jump; newer ones may have come ahead of the image.
            self.depths.retain(|(known, _)| known.secs_since(stamp) < jump_back_secs);
            self.newest_depth = self.depths.back().map(|(known, _)| *known);
            self.newest_image = None;
        }
        self.newest_image = Some(self.newest_image.map_or(stamp, |newest| newest.max(stamp)));
        let patience_nanos = (self.settings.patience_secs * 1e9) as i64;
        let until = Stamp(now.0.saturating_add(patience_nanos));
        let mut waiting = Waiting { stamp, until, nearest: None };
        for (known, depth) in &self.depths {
            waiting.offer(*known, depth);
        }
        self.images.push_back(waiting);
        while self.images.len() > self.settings.most_images {
            self.images.pop_front();
        }
        was_set_back
    }

    /// The image before the newest one will not be asked about any more.
    pub fn image_replaced(&mut self) {
        if let Some(before) = self.images.len().checked_sub(2) {
            self.images.remove(before);
        }
    }

    /// What belongs to the oldest image with this stamp.
    #[must_use]
    pub fn find(&self, stamp: Stamp, now: Stamp) -> Match<D> {
        let Some(image) = self.images.iter().find(|image| image.stamp == stamp) else {
            return Match::Missing(Missing::Forgotten);
        };
        let exact = image.nearest.as_ref().filter(|(known, _)| *known == stamp);
        // Depth pictures come in the order of their stamps: a newer one is the last that can be
        // nearest.
        let has_come = self.newest_depth.is_some_and(|newest| newest > stamp);
        if exact.is_none() && !has_come && now < image.until {
            return Match::Wait;
        }
        let slop_secs = self.settings.slop_secs;
        match &image.nearest {
            None => Match::Missing(Missing::Never),
            Some((known, depth)) => {
                let newer_by = known.secs_since(stamp);
                if newer_by.abs() <= slop_secs {
                    Match::Found(depth.clone())
                } else if newer_by > 0.0 {
                    Match::Missing(Missing::TooNew { by_secs: newer_by, slop_secs })
                } else {
                    Match::Missing(Missing::TooOld { by_secs: -newer_by, slop_secs })
                }
            }
        }
    }

    /// When the oldest image with this stamp stops waiting, by the clock of `now`.
    #[must_use]
    pub fn waits_until(&self, stamp: Stamp) -> Option<Stamp> {
        self.images.iter().find(|image| image.stamp == stamp).map(|image| image.until)
    }

    /// Forgets the oldest image with this stamp, and all that came before it.
    pub fn done(&mut self, stamp: Stamp) {
        if let Some(place) = self.images.iter().position(|image| image.stamp == stamp) {
            self.images.drain(..=place);
        }
    }
}

impl<D: Clone> Waiting<D> {
    fn offer(&mut self, stamp: Stamp, depth: &D) {
        // Of two that are as near the one that came first.
        let is_nearer = self
            .nearest
            .as_ref()
            .is_none_or(|(known, _)| apart(stamp, self.stamp) < apart(*known, self.stamp));
        if is_nearer {
            self.nearest = Some((stamp, depth.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: i64 = 1_000_000;

    fn matcher(slop_ms: i64) -> Matcher<i64> {
        let slop_secs = slop_ms as f64 / 1e3;
        Matcher::new(MatchSettings { slop_secs, ..MatchSettings::default() })
    }

    fn at(ms: i64) -> Stamp {
        Stamp(ms * MS)
    }

    #[test]
    fn an_equal_stamp_needs_no_wait_and_a_near_one_waits_for_a_nearer_one() {
        let mut matcher = matcher(50);
        matcher.image(at(100), at(0));
        assert_eq!(matcher.find(at(100), at(1)), Match::Wait);
        matcher.depth(at(70), 70);
        assert_eq!(matcher.find(at(100), at(2)), Match::Wait);
        matcher.depth(at(110), 110);
        assert_eq!(matcher.find(at(100), at(3)), Match::Found(110));
        matcher.done(at(100));

        matcher.image(at(200), at(4));
        matcher.depth(at(200), 200);
        assert_eq!(matcher.find(at(200), at(4)), Match::Found(200));
        // Depth that came first is kept for the image.
        matcher.depth(at(233), 233);
        matcher.image(at(233), at(5));
        assert_eq!(matcher.find(at(233), at(5)), Match::Found(233));
    }

    #[test]
    fn patience_ends_with_the_best_or_with_a_reason() {
        let mut matcher = matcher(50);
        matcher.image(at(100), at(0));
        assert_eq!(matcher.find(at(100), at(499)), Match::Wait);
        assert_eq!(matcher.find(at(100), at(500)), Match::Missing(Missing::Never));
        matcher.depth(at(60), 60);
        assert_eq!(matcher.find(at(100), at(500)), Match::Found(60));
        matcher.image(at(300), at(600));
        let Match::Missing(old) = matcher.find(at(300), at(1100)) else { panic!("old") };
        assert_eq!(
            old.to_string(),
            "the nearest depth picture is 0.240 s older than the image, more than 0.05 s"
        );
        matcher.depth(at(500), 500);
        let Match::Missing(new) = matcher.find(at(300), at(700)) else { panic!("new") };
        assert!(matches!(new, Missing::TooNew { .. }), "{new}");
        matcher.done(at(300));
        assert_eq!(matcher.find(at(300), at(700)), Match::Missing(Missing::Forgotten));
        assert_eq!(matcher.find(at(100), at(700)), Match::Missing(Missing::Forgotten));
    }

    #[test]
    fn a_clock_that_is_set_back_starts_anew_whichever_stream_tells_first() {
        let mut matcher = matcher(50);
        matcher.depth(at(90_000), 1);
        matcher.image(at(90_000), at(0));
        assert!(matcher.image(at(100), at(1)));
        // What is known is of the time before the jump, and says nothing.
        assert_eq!(matcher.find(at(100), at(1)), Match::Wait);
        assert!(!matcher.depth(at(100), 2));
        assert_eq!(matcher.find(at(100), at(1)), Match::Found(2));

        matcher.depth(at(80_000), 3);
        matcher.image(at(80_000), at(2));
        assert!(matcher.depth(at(100), 4));
        assert!(matcher.image(at(100), at(3)));
        matcher.done(at(80_000));
        assert_eq!(matcher.find(at(100), at(3)), Match::Found(4));
    }

    #[test]
    fn a_frame_that_was_dropped_is_forgotten() {
        let mut matcher = matcher(50);
        for stamp in [1, 2, 3] {
            matcher.image(at(stamp), at(0));
        }
        matcher.image_replaced();
        assert_eq!(matcher.find(at(2), at(0)), Match::Missing(Missing::Forgotten));
        assert_eq!(matcher.held().1, 2);
    }

    proptest! {
        /// Two streams, each in order, mixed in any way: once all has come, every image has the
        /// nearest depth of all, or none where that is too far away.
        #[test]
        fn every_image_gets_the_nearest_depth_whatever_comes_first(
            depth_gaps_ms in prop::collection::vec(1..80_i64, 0..12),
            image_gaps_ms in prop::collection::vec(1..80_i64, 1..12),
            order in prop::collection::vec(any::<bool>(), 24),
            slop_ms in 0..60_i64,
        ) {
            let stamps = |gaps: &[i64]| -> Vec<i64> {
                gaps.iter().scan(0, |sum, gap| { *sum += gap; Some(*sum) }).collect()
            };
            let (depths, images) = (stamps(&depth_gaps_ms), stamps(&image_gaps_ms));
            let mut matcher = matcher(slop_ms);
            let (mut next_depth, mut next_image) = (depths.iter(), images.iter());
            for is_depth in order.into_iter().chain([true; 12]).chain([false; 12]) {
                if is_depth {
                    next_depth.next().map(|stamp| matcher.depth(at(*stamp), *stamp));
                } else {
                    next_image.next().map(|stamp| matcher.image(at(*stamp), at(0)));
                }
            }
            for image in images {
                let nearest = depths.iter().map(|depth| (depth - image).abs()).min();
                match matcher.find(at(image), at(500)) {
                    Match::Found(depth) => {
                        prop_assert_eq!(Some((depth - image).abs()), nearest);
                        prop_assert!((depth - image).abs() <= slop_ms);
                    }
                    Match::Missing(Missing::Never) => prop_assert_eq!(nearest, None),
                    Match::Missing(Missing::TooOld { by_secs, .. } | Missing::TooNew { by_secs, .. }) => {
                        prop_assert_eq!(Some((by_secs * 1e3).round() as i64), nearest);
                        prop_assert!(nearest > Some(slop_ms));
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }

        /// What was answered before all had come is what is answered afterwards.
        #[test]
        fn an_answer_stays_what_it_was(
            depths_ms in prop::collection::btree_set(0..400_i64, 1..20),
            image_ms in 0..400_i64,
        ) {
            let mut matcher = matcher(30);
            matcher.image(at(image_ms), at(0));
            let mut answered = None;
            for depth in depths_ms {
                matcher.depth(at(depth), depth);
                let now = matcher.find(at(image_ms), at(1));
                match &answered {
                    Some(before) => prop_assert_eq!(before, &now),
                    None if now != Match::Wait => answered = Some(now),
                    None => {}
                }
            }
        }

        /// Stamps of any kind and in any order cost no more than the bounds, and panic nobody.
        #[test]
        fn memory_is_bounded_whatever_comes(
            events in prop::collection::vec((any::<bool>(), any::<i64>(), any::<i64>()), 0..300),
            crowd in 0..200_i64,
        ) {
            let mut matcher = matcher(30);
            for (is_depth, stamp, now) in events {
                if is_depth {
                    matcher.depth(Stamp(stamp), 0);
                } else {
                    matcher.image(Stamp(stamp), Stamp(now));
                    let _ = matcher.find(Stamp(stamp), Stamp(now));
                }
            }
            for stamp in 0..crowd {
                matcher.depth(Stamp(stamp), 0);
                matcher.image(Stamp(stamp), Stamp(0));
            }
            let settings = MatchSettings::default();
            prop_assert!(matcher.held().0 <= settings.most_depths);
            prop_assert!(matcher.held().1 <= settings.most_images);
        }
    }
}
