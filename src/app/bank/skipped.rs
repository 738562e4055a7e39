//! What became no pair: counted by kind, the first ones named.

use std::collections::BTreeMap;

/// Things of one kind that are named; more are only counted.
const MAX_NAMED: usize = 5;

/// Why something became no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    PictureUnreadable,
    PictureWithoutCaption,
    CaptionWithoutPicture,
    CaptionsUnreadable,
    CaptionTooLong,
    CaptionRefused,
    BoxOutside,
    Annotation,
    Frame,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::PictureUnreadable => "pictures skipped, they cannot be read",
            Self::PictureWithoutCaption => "pictures skipped, they have no caption",
            Self::CaptionWithoutPicture => "captions skipped, they have no picture",
            Self::CaptionsUnreadable => "captions skipped, they cannot be read",
            Self::CaptionTooLong => "captions skipped, the text encoder takes no more tokens",
            Self::CaptionRefused => "captions skipped, they say nothing",
            Self::BoxOutside => "boxes skipped, they have no part of their picture",
            Self::Annotation => "annotations left out",
            Self::Frame => "frames skipped, they cannot be used",
        }
    }
}

/// All that became no pair.
#[derive(Debug, Default)]
pub(super) struct Skipped(BTreeMap<Kind, (u64, Vec<String>)>);

impl Skipped {
    pub(super) fn add(&mut self, kind: Kind, name: impl FnOnce() -> String) {
        self.add_many(kind, 1, name);
    }

    pub(super) fn add_many(&mut self, kind: Kind, count: u64, name: impl FnOnce() -> String) {
        let (sum, named) = self.0.entry(kind).or_default();
        *sum += count;
        if named.len() < MAX_NAMED {
            named.push(name());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn count(&self, kind: Kind) -> u64 {
        self.0.get(&kind).map_or(0, |(count, _)| *count)
    }
}

impl Skipped {
    /// One for each kind.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(kind, (count, named))| {
            let dots = if *count > named.len() as u64 { "; ..." } else { "" };
            format!("{}: {count} ({}{dots})", kind.text(), named.join("; "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_named_and_all_are_counted() {
        let mut skipped = Skipped::default();
        assert!(skipped.is_empty());
        for number in 0..7 {
            skipped.add(Kind::PictureWithoutCaption, || format!("{number}.jpg"));
        }
        skipped.add(Kind::BoxOutside, || "a.jpg".to_owned());
        assert_eq!(skipped.count(Kind::PictureWithoutCaption), 7);
        assert_eq!(
            skipped.lines().collect::<Vec<_>>(),
            [
                "pictures skipped, they have no caption: 7 (0.jpg; 1.jpg; 2.jpg; 3.jpg; 4.jpg; ...)",
                "boxes skipped, they have no part of their picture: 1 (a.jpg)",
            ]
        );
    }
}
