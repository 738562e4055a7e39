//! Colours that can be told apart.

/// First the colours of Okabe and Ito ("Color Universal Design", 2008) without black: seven that
/// people with any colour vision can tell apart. Each further one is the colour that lay farthest
/// (CIEDE2000) from all before it and from black, grey and white, among those that carry legible
/// text; any two are at least 17 apart, where 2 is just noticeable.
const COLORS: [[u8; 3]; 24] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
    [120, 0, 180],
    [150, 15, 45],
    [60, 90, 0],
    [0, 255, 105],
    [0, 255, 255],
    [105, 60, 15],
    [135, 150, 30],
    [255, 165, 150],
    [150, 105, 255],
    [255, 30, 75],
    [195, 180, 255],
    [195, 15, 135],
    [135, 105, 0],
    [90, 90, 150],
    [150, 195, 135],
    [0, 105, 75],
    [255, 0, 240],
];

/// The colour of the prompt with this index: the same in every run, picture and page. After 24
/// prompts the colours come again.
#[must_use]
pub fn color_of(index: usize) -> [u8; 3] {
    COLORS[index % COLORS.len()]
}

/// `dark` or `light`, whichever stands out more against `background`.
pub(super) fn ink_on(background: [u8; 3], dark: [u8; 3], light: [u8; 3]) -> [u8; 3] {
    let contrast = |ink| contrast_ratio(background, ink);
    if contrast(dark) >= contrast(light) { dark } else { light }
}

/// The contrast ratio of WCAG 2, from 1 (the same) to 21 (black and white).
fn contrast_ratio(a: [u8; 3], b: [u8; 3]) -> f64 {
    let luminance = |color: [u8; 3]| {
        let [r, g, b] = color.map(|channel| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.040_45 {
                channel / 12.92
            } else {
                ((channel + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_differ_carry_text_and_come_again() {
        for (i, &a) in COLORS.iter().enumerate() {
            // 4.5 is what WCAG asks of body text.
            let ink = ink_on(a, [16; 3], [255; 3]);
            assert!(contrast_ratio(a, ink) >= 4.5, "{i} {a:?} {}", contrast_ratio(a, ink));
            for (j, &b) in COLORS.iter().enumerate().skip(i + 1) {
                let distance: u32 = a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b))).sum();
                // The nearest pair of the table; a typing error would come closer.
                assert!(distance >= 75, "{i} {a:?} and {j} {b:?}: {distance}");
            }
        }
        assert_eq!(color_of(0), color_of(24));
        assert_ne!(color_of(0), color_of(1));
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((contrast_ratio([0; 3], [255; 3]) - 21.0).abs() < 1e-9);
        assert!((contrast_ratio([119; 3], [255; 3]) - 4.478).abs() < 1e-3);
    }
}
