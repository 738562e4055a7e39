//! Which pictures a report keeps of a run whose length nobody knows in advance.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::types::{Explanation, Stamp};

/// One overlay picture with its caption.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) camera: Arc<str>,
    pub(super) stamp: Stamp,
    /// Size of the source image.
    pub(super) width: u32,
    pub(super) height: u32,
    /// The first detections by prompt: its name and scores, best first.
    pub(super) detections: Vec<(String, Vec<f32>)>,
    /// Detections beyond those.
    pub(super) more_detections: usize,
    /// Why some of them were found, where a bank of pairs says so: name, score and reasons.
    pub(super) explained: Vec<(String, f32, Arc<Explanation>)>,
    pub(super) jpeg: Vec<u8>,
    pub(super) from_above: Option<FromAbove>,
}

/// The scene of a frame from above.
#[derive(Clone, Debug)]
pub struct FromAbove {
    /// Columns of the picture.
    pub width: u32,
    /// Rows of the picture.
    pub height: u32,
    /// The picture.
    pub jpeg: Vec<u8>,
}

/// Keeps at most `limit` pictures that are spread evenly over the run and over its cameras, and the
/// best frame of each prompt (of at most `limit` prompts). Which ones depends only on the frames.
#[derive(Debug)]
pub(super) struct PictureKeeper {
    limit: usize,
    /// Every `stride`-th frame of each camera is kept; doubles when they become too many.
    stride: u64,
    frames_of_camera: HashMap<Arc<str>, u64>,
    /// Frame to its number among the frames of its camera.
    spread: BTreeMap<u64, u64>,
    /// Prompt to its best score and the frame of it.
    best: BTreeMap<usize, (f32, u64)>,
    pictures: BTreeMap<u64, Picture>,
    /// Pictures that were wanted and could not be drawn.
    pub(super) not_drawn: u64,
}

impl PictureKeeper {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            stride: 1,
            frames_of_camera: HashMap::new(),
            spread: BTreeMap::new(),
            best: BTreeMap::new(),
            pictures: BTreeMap::new(),
            not_drawn: 0,
        }
    }

    /// Offers the frame with number `frame`. `improved` are the prompts with their scores for
    /// which it is the best so far. `draw` is called only where the picture will be kept.
    pub(super) fn offer(
        &mut self,
        frame: u64,
        camera: &Arc<str>,
        improved: &[(usize, f32)],
        draw: impl FnOnce() -> Option<Picture>,
    ) {
        if self.limit == 0 {
            return;
        }
        let of_camera = self.frames_of_camera.entry(Arc::clone(camera)).or_default();
        let number = *of_camera;
        *of_camera += 1;
        let spread = number.is_multiple_of(self.stride) && self.make_room(number);
        let best: Vec<_> = improved
            .iter()
            .copied()
            .filter(|(prompt, score)| self.is_among_best(*prompt, *score))
            .collect();
        if !spread && best.is_empty() {
            return;
        }
        let Some(picture) = draw() else {
            self.not_drawn += 1;
            return;
        };
        if spread {
            self.spread.insert(frame, number);
        }
        for (prompt, score) in best {
            self.best.insert(prompt, (score, frame));
            if self.best.len() > self.limit
                && let Some(weakest) = self.weakest()
            {
                self.best.remove(&weakest);
            }
        }
        self.pictures.insert(frame, picture);
        self.forget_unused();
    }

    /// The pictures in the order of their frames, each with the prompts whose best it is.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Picture, Vec<usize>)> {
        self.pictures.iter().map(|(frame, picture)| {
            let best_of =
                |(prompt, (_, best)): (&usize, &(f32, u64))| (best == frame).then_some(*prompt);
            (*frame, picture, self.best.iter().filter_map(best_of).collect())
        })
    }

    /// The frame that is kept as the best of a prompt.
    pub(super) fn best_frame(&self, prompt: usize) -> Option<u64> {
        self.best.get(&prompt).map(|(_, frame)| *frame)
    }

    pub(super) fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Doubles the stride until one more fits; `false` where the frame with this number in its
    /// camera is then no longer wanted.
    fn make_room(&mut self, number: u64) -> bool {
        while self.spread.len() >= self.limit {
            if self.spread.values().all(|number| *number == 0) {
                // As many cameras as pictures: a further camera shows only in its best frames.
                return false;
            }
            self.stride *= 2;
            let stride = self.stride;
            self.spread.retain(|_, number| number.is_multiple_of(stride));
        }
        number.is_multiple_of(self.stride)
    }

    fn is_among_best(&self, prompt: usize, score: f32) -> bool {
        self.best.len() < self.limit
            || self.best.contains_key(&prompt)
            || self.best.values().any(|(kept, _)| score > *kept)
    }

    /// The prompt whose best is the lowest; of equals the last.
    fn weakest(&self) -> Option<usize> {
        let by_score = |a: &(&usize, &(f32, u64)), b: &(&usize, &(f32, u64))| {
            a.1.0.total_cmp(&b.1.0).then(b.0.cmp(a.0))
        };
        self.best.iter().min_by(by_score).map(|(prompt, _)| *prompt)
    }

    fn forget_unused(&mut self) {
        let Self { spread, best, pictures, .. } = self;
        pictures.retain(|frame, _| {
            spread.contains_key(frame) || best.values().any(|(_, kept)| kept == frame)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture {
            camera: "c".into(),
            stamp: Stamp(0),
            width: 1,
            height: 1,
            detections: Vec::new(),
            more_detections: 0,
            explained: Vec::new(),
            jpeg: vec![0xff, 0xd8],
            from_above: None,
        }
    }

    fn kept(keeper: &PictureKeeper) -> Vec<u64> {
        keeper.iter().map(|(frame, ..)| frame).collect()
    }

    #[test]
    fn frames_are_spread_evenly_whatever_the_length_and_few_are_drawn() {
        for frames in [0_u64, 1, 9, 10, 11, 100, 12_345] {
            let mut keeper = PictureKeeper::new(10);
            let mut drawn = 0;
            for frame in 0..frames {
                keeper.offer(frame, &"c".into(), &[], || {
                    drawn += 1;
                    Some(picture())
                });
                assert!(keeper.len() <= 10);
            }
            let kept = kept(&keeper);
            assert!(kept.len() as u64 >= frames.min(5), "{frames}: {kept:?}");
            let steps: Vec<_> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(steps.windows(2).all(|pair| pair[0] == pair[1]), "{frames}: {steps:?}");
            assert!(drawn <= 10 + 5 * 11, "{frames}: {drawn} were drawn");
        }
    }

    #[test]
    fn cameras_that_take_turns_all_show() {
        let mut keeper = PictureKeeper::new(8);
        for frame in 0..1000 {
            let camera: Arc<str> = ["left", "right"][frame as usize % 2].into();
            keeper.offer(frame, &camera, &[], || Some(picture()));
        }
        let left = kept(&keeper).iter().filter(|frame| *frame % 2 == 0).count();
        assert_eq!(left * 2, keeper.len());
        assert!(keeper.len() >= 4);
    }

    #[test]
    fn more_cameras_than_pictures_stay_bounded() {
        let mut keeper = PictureKeeper::new(3);
        for frame in 0..100_u64 {
            keeper.offer(frame, &format!("camera{}", frame % 10).into(), &[], || Some(picture()));
        }
        assert_eq!(kept(&keeper), [0, 1, 2]);
    }

    #[test]
    fn the_best_frame_of_each_prompt_is_kept_on_top_and_old_bests_go() {
        let mut keeper = PictureKeeper::new(2);
        for (frame, improved) in [
            (0, vec![(0, 0.3)]),
            (1, vec![]),
            (2, vec![]),
            (3, vec![(0, 0.5), (1, 0.2)]),
            (4, vec![]),
        ] {
            keeper.offer(frame, &"c".into(), &improved, || Some(picture()));
        }
        assert_eq!(kept(&keeper), [0, 3, 4]);
        assert_eq!((keeper.best_frame(0), keeper.best_frame(1)), (Some(3), Some(3)));
        keeper.offer(5, &"c".into(), &[(2, 0.4)], || Some(picture()));
        assert_eq!(keeper.best_frame(1), None, "the weakest of three bests goes");
        assert_eq!(keeper.best_frame(2), Some(5));
        keeper.offer(6, &"c".into(), &[(3, 0.1)], || panic!("not wanted, so not drawn"));
    }

    #[test]
    fn no_pictures_asked_for_or_none_drawn() {
        let mut keeper = PictureKeeper::new(0);
        keeper.offer(0, &"c".into(), &[(0, 0.9)], || panic!("not wanted"));
        assert_eq!(keeper.len(), 0);
        let mut keeper = PictureKeeper::new(2);
        keeper.offer(0, &"c".into(), &[(0, 0.9)], || None);
        assert_eq!((keeper.len(), keeper.not_drawn), (0, 1));
    }
}
