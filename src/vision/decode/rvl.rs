//! RVL: run lengths and differences of 16-bit depth in groups of three bits (A. D. Wilson, "Fast
//! Lossless Depth Image Compression", ISS 2017), as `compressed_depth_image_transport` stores it.
//!
//! Width and height as little-endian u32, then little-endian u32 words that hold eight nibbles
//! each, the most significant first. A number is a row of nibbles: three bits each, the least
//! significant group first, the top bit set where another follows. The picture is a row of runs:
//! how many pixels are 0, how many are not, and for each of those the difference to the pixel
//! before that was not 0, zigzag-coded (0, -1, 1, -2 as 0, 1, 2, 3).

use super::{DecodeError, RvlError, check_size};

const SIZE_BYTES: usize = 8;

/// A decoded image of 16-bit pixels.
pub(super) struct Pixels {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) values: Vec<u16>,
}

/// Decodes size and pixels. Data after the last pixel are ignored: encoders pad the last word.
pub(super) fn decode(data: &[u8]) -> Result<Pixels, DecodeError> {
    let no_size = RvlError::NoSize { found: data.len() };
    let (sizes, coded) = data.split_first_chunk::<SIZE_BYTES>().ok_or(no_size)?;
    let [w0, w1, w2, w3, h0, h1, h2, h3] = *sizes;
    let width = u32::from_le_bytes([w0, w1, w2, w3]);
    let height = u32::from_le_bytes([h0, h1, h2, h3]);
    check_size(width, height)?;
    // At most MAX_PIXELS: fits.
    let values = decode_pixels(coded, width as usize * height as usize)?;
    Ok(Pixels { width, height, values })
}

fn decode_pixels(coded: &[u8], expected: usize) -> Result<Vec<u16>, RvlError> {
    let mut numbers = Numbers { words: coded.as_chunks::<4>().0.iter(), word: 0, nibbles_left: 0 };
    let mut pixels: Vec<u16> = Vec::with_capacity(expected);
    let mut previous = 0_u16;
    while pixels.len() < expected {
        let zeros = numbers.next(&pixels, expected)?;
        let zeros = run_that_fits(zeros, &pixels, expected)?;
        pixels.resize(pixels.len() + zeros, 0);
        // The last run of zeros is followed by a run of nothing, which need not be there.
        if pixels.len() == expected {
            break;
        }
        let nonzeros = numbers.next(&pixels, expected)?;
        for _ in 0..run_that_fits(nonzeros, &pixels, expected)? {
            let zigzag = numbers.next(&pixels, expected)?;
            let difference = i64::from(zigzag >> 1) ^ -i64::from(zigzag & 1);
            let value = i64::from(previous) + difference;
            previous = u16::try_from(value)
                .map_err(|_| RvlError::OutOfRange { pixel: pixels.len(), value })?;
            pixels.push(previous);
        }
    }
    Ok(pixels)
}

fn run_that_fits(run: u32, pixels: &[u16], expected: usize) -> Result<usize, RvlError> {
    let left = expected - pixels.len();
    match usize::try_from(run) {
        Ok(run) if run <= left => Ok(run),
        _ => Err(RvlError::RunTooLong { run: u64::from(run), left }),
    }
}

/// Reads numbers, nibble by nibble.
struct Numbers<'a> {
    words: std::slice::Iter<'a, [u8; 4]>,
    word: u32,
    nibbles_left: u8,
}

impl Numbers<'_> {
    /// The next number; `pixels` and `expected` say how far decoding has come, for errors.
    fn next(&mut self, pixels: &[u16], expected: usize) -> Result<u32, RvlError> {
        let mut number = 0_u32;
        let mut shift = 0_u32;
        loop {
            if self.nibbles_left == 0 {
                let cut_off = || RvlError::CutOff { decoded: pixels.len(), expected };
                self.word = u32::from_le_bytes(*self.words.next().ok_or_else(cut_off)?);
                self.nibbles_left = 8;
            }
            let nibble = self.word >> 28;
            self.word <<= 4;
            self.nibbles_left -= 1;

            let group = nibble & 0b0111;
            let placed = group.checked_shl(shift).filter(|placed| placed >> shift == group);
            number |= placed.ok_or(RvlError::NumberTooLong { pixel: pixels.len() })?;
            if nibble & 0b1000 == 0 {
                return Ok(number);
            }
            shift += 3;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The counterpart, kept with the tests: Owlet writes no RVL.
    fn encode(width: u32, height: u32, pixels: &[u16]) -> Vec<u8> {
        fn push(nibbles: &mut Vec<u32>, mut number: u32) {
            loop {
                let group = number & 7;
                number >>= 3;
                nibbles.push(if number == 0 { group } else { group | 8 });
                if number == 0 {
                    return;
                }
            }
        }
        let mut nibbles = Vec::new();
        let (mut at, mut previous) = (0, 0_i32);
        while at < pixels.len() {
            let zeros = pixels[at..].iter().take_while(|&&pixel| pixel == 0).count();
            push(&mut nibbles, zeros as u32);
            at += zeros;
            let nonzeros = pixels[at..].iter().take_while(|&&pixel| pixel != 0).count();
            push(&mut nibbles, nonzeros as u32);
            for &pixel in &pixels[at..at + nonzeros] {
                let difference = i32::from(pixel) - previous;
                push(&mut nibbles, ((difference << 1) ^ (difference >> 31)) as u32);
                previous = i32::from(pixel);
            }
            at += nonzeros;
        }
        let mut bytes = [width.to_le_bytes(), height.to_le_bytes()].concat();
        for eight in nibbles.chunks(8) {
            let word = eight.iter().enumerate().fold(0, |word, (i, n)| word | n << (28 - 4 * i));
            bytes.extend(word.to_le_bytes());
        }
        bytes
    }

    /// 3x2 pixels 0 0 5 / 4 0 70, coded by hand:
    /// two zeros: 2; two others: 2; +5 -> zigzag 10 = 0b1_010 -> 0xA (010, more), 0x1; -1 -> 1;
    /// one zero: 1; one other: 1; +66 -> zigzag 132 = 0b10_000_100 -> 0xC, 0x8, 0x2.
    /// Nibbles 2 2 A 1 1 1 1 C | 8 2 and six of padding.
    #[test]
    fn a_vector_coded_by_hand() {
        let mut data = vec![3, 0, 0, 0, 2, 0, 0, 0];
        data.extend(0x22A1_111C_u32.to_le_bytes());
        data.extend(0x8200_0000_u32.to_le_bytes());
        let decoded = decode(&data).unwrap();
        assert_eq!((decoded.width, decoded.height), (3, 2));
        assert_eq!(decoded.values, [0, 0, 5, 4, 0, 70]);
        assert_eq!(encode(3, 2, &decoded.values), data);
    }

    #[test]
    fn a_cut_stream_says_how_far_it_came() {
        let pixels: Vec<u16> = (1..=40).map(|i| i * 1500).collect();
        let mut data = encode(8, 5, &pixels);
        data.truncate(data.len() - 8);
        match decode(&data) {
            Err(DecodeError::Rvl(RvlError::CutOff { decoded, expected: 40 })) => {
                assert!((30..40).contains(&decoded), "{decoded}");
            }
            other => panic!("{:?}", other.map(|pixels| pixels.values)),
        }
        let refused = decode(&[1, 0, 0]).map(|pixels| pixels.values);
        assert!(matches!(refused, Err(DecodeError::Rvl(RvlError::NoSize { found: 3 }))));
    }

    #[test]
    fn contradictions_are_refused() {
        let refuse = |width: u32, words: &[u32]| {
            let mut data = [width.to_le_bytes(), 1_u32.to_le_bytes()].concat();
            data.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            match decode(&data) {
                Err(DecodeError::Rvl(error)) => error,
                other => panic!("{:?}", other.map(|pixels| pixels.values)),
            }
        };
        // Five zeros in four pixels.
        assert_eq!(refuse(4, &[0x5000_0000]), RvlError::RunTooLong { run: 5, left: 4 });
        // No zeros, one other, the difference -1 from 0.
        assert_eq!(refuse(4, &[0x0110_0000]), RvlError::OutOfRange { pixel: 0, value: -1 });
        // A number that never ends.
        assert_eq!(refuse(4, &[u32::MAX; 4]), RvlError::NumberTooLong { pixel: 0 });
        // Runs of nothing until the data end: no endless loop.
        assert_eq!(refuse(4, &[0, 0]), RvlError::CutOff { decoded: 0, expected: 4 });
    }

    #[test]
    fn a_huge_size_is_refused_before_memory_is_asked_for() {
        let data = [u32::MAX.to_le_bytes(), u32::MAX.to_le_bytes()].concat();
        assert!(matches!(decode(&data), Err(DecodeError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(
            pixels in proptest::collection::vec(prop_oneof![Just(0_u16), any::<u16>()], 1..300),
        ) {
            let data = encode(pixels.len() as u32, 1, &pixels);
            prop_assert_eq!(decode(&data).unwrap().values, pixels);
        }

        #[test]
        fn no_bytes_panic(
            width in 1_u32..64,
            coded in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let data = [&width.to_le_bytes()[..], &[7, 0, 0, 0], &coded].concat();
            if let Ok(decoded) = decode(&data) {
                prop_assert_eq!(decoded.values.len(), width as usize * 7);
            }
        }
    }
}
