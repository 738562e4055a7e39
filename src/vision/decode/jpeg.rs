//! What the segments of a JPEG say about it before it is decoded.

use std::borrow::Cow;

const START_OF_IMAGE: [u8; 2] = [0xff, 0xd8];
const HUFFMAN_TABLES: u8 = 0xc4;
const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// An application segment by which the decoder knows motion JPEG, and then takes the standard
/// tables (ITU-T T.81, annex K.3) for those that are missing.
const MOTION_JPEG: &[u8] = b"\xff\xe0\x00\x07AVI1\0";

/// Whether an end-of-image marker follows the first scan. Within coded pixels 0xFF is always
/// followed by 0 or a restart marker, so the marker cannot be met by chance; a thumbnail in front
/// of the first scan has one of its own, which does not count. Bytes after the marker are allowed:
/// some cameras send buffers of a fixed size.
pub(super) fn has_end(data: &[u8]) -> bool {
    // Without a scan the decoder knows better what is wrong than that the end is missing, unless
    // there is no end at all.
    let scan = segments(data).find(|(kind, _)| *kind == START_OF_SCAN).map_or(0, |(_, at)| at);
    data[scan..].windows(2).rev().any(|pair| pair == END_OF_IMAGE)
}

/// The data, announced as motion JPEG where no Huffman tables stand before the first scan: many
/// USB cameras leave them out.
pub(super) fn with_tables(data: &[u8]) -> Cow<'_, [u8]> {
    let mut before_scan = segments(data).take_while(|(kind, _)| *kind != START_OF_SCAN);
    if before_scan.any(|(kind, _)| kind == HUFFMAN_TABLES) {
        return Cow::Borrowed(data);
    }
    let rest = data.strip_prefix(&START_OF_IMAGE).unwrap_or(data);
    Cow::Owned([&START_OF_IMAGE, MOTION_JPEG, rest].concat())
}

/// Kind and position of each segment up to the first scan, or to where the data make no sense.
fn segments(data: &[u8]) -> impl Iterator<Item = (u8, usize)> + '_ {
    let mut next = Some(START_OF_IMAGE.len());
    std::iter::from_fn(move || {
        let mut at = next?;
        loop {
            match *data.get(at..at + 2)? {
                // A marker may have any number of 0xFF in front.
                [0xff, 0xff] => at += 1,
                // Markers without a segment.
                [0xff, 0x01 | 0xd0..=0xd8] => at += 2,
                [0xff, kind] => {
                    let length = data.get(at + 2..at + 4)?;
                    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                    next = (kind != START_OF_SCAN).then_some(at + 2 + length);
                    return Some((kind, at));
                }
                _ => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const THUMBNAIL: &[u8] = b"\xff\xd8\xff\xe1\x00\x06\xff\xd9\x00\x00";
    const SCAN: &[u8] = b"\xff\xda\x00\x02\x12\x34";

    #[test]
    fn the_end_of_a_thumbnail_is_not_that_of_the_image() {
        let cut = [THUMBNAIL, SCAN].concat();
        assert!(!has_end(&cut));
        assert!(has_end(&[&cut[..], b"\xff\xd9"].concat()));
        assert!(has_end(&[&cut[..], b"\xff\xd9\0\0\0\0"].concat()));
        assert!(!has_end(b"\xff\xd8"));
        assert!(!has_end(b"\xff\xd8\xff\xe0\xff\xff"));
        assert!(!has_end(b""));
    }

    #[test]
    fn fill_bytes_and_bare_markers_are_walked_over() {
        let data = [&b"\xff\xd8\xff\xff\xff\xe0\x00\x02\xff\xd0"[..], SCAN].concat();
        assert_eq!(segments(&data).collect::<Vec<_>>(), [(0xe0, 4), (0xda, 10)]);
    }

    #[test]
    fn tables_are_announced_only_where_there_are_none() {
        let with = [b"\xff\xd8\xff\xc4\x00\x02", SCAN].concat();
        assert!(matches!(with_tables(&with), Cow::Borrowed(data) if data == with));
        let without = [&START_OF_IMAGE[..], SCAN].concat();
        assert_eq!(*with_tables(&without), [&START_OF_IMAGE[..], MOTION_JPEG, SCAN].concat());
    }
}
