//! Random values that are the same on every machine: integer hashes, and only those float
//! operations that IEEE 754 rounds exactly.

/// The stream of one tensor: SplitMix64 (Steele, Lea and Flood 2014), started from the seed and
/// the tensor's name.
pub(super) struct Stream {
    state: u64,
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    pub(super) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { state: mixed(seed.wrapping_add(GOLDEN_GAMMA)) ^ mixed(hash) }
    }

    /// Uniform in `[-1, 1)`, with 24 bits: exact in f32.
    pub(super) fn next_unit(&mut self) -> f32 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        let bits = (mixed(self.state) >> 40) as i32;
        (bits - (1 << 23)) as f32 / (1 << 23) as f32
    }
}

/// Where the values of a tensor lie: around `centre`, uniformly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    centre: f32,
    half_width: f32,
}

impl Spread {
    fn exactly(centre: f64) -> Self {
        Self { centre: centre as f32, half_width: 0.0 }
    }

    /// A uniform distribution of this standard deviation.
    fn around(centre: f64, deviation: f64) -> Self {
        Self { centre: centre as f32, half_width: (deviation * 3.0_f64.sqrt()) as f32 }
    }

    /// The value for a number in `[-1, 1)`.
    pub(super) fn place(self, unit: f32) -> f32 {
        self.centre + self.half_width * unit
    }

    /// The spread of the tensor `name`.
    pub(super) fn of(name: &str, shape: &[i64], projection: i64) -> Self {
        let root = (projection as f64).sqrt();
        let fan_in = shape.iter().skip(1).product::<i64>().max(1) as f64;
        let is_bias = name.ends_with(".bias");
        let has = |part: &str| name.contains(part);
        match name {
            // Cosines of random vectors deviate by 1/root: logits then lie around -7 and deviate
            // by about 2, so that a few boxes of a hundred score above 0.1.
            "class_head.logit_scale.bias" => Self::exactly(1.12 * root),
            "class_head.logit_shift.bias" => Self::exactly(-6.5 / root),
            _ if has("class_head.logit_") => Self::around(0.0, 0.1 / fan_in.sqrt()),
            // CLIP's temperature at the start of training: ln(1 / 0.07).
            _ if shape.is_empty() => Self::exactly(2.6592),
            // Kernels that enlarge have their inputs first, and each output sees one place of them.
            _ if has("transposed_convolution") && shape.len() == 4 => {
                let inputs = if shape[3] == 3 { fan_in } else { shape[0] as f64 };
                Self::around(0.0, 2.0 / inputs.sqrt())
            }
            // SAM: kernels that enlarge twofold, tokens, and places.
            _ if has("upscale_conv") && shape.len() == 4 => {
                Self::around(0.0, 2.0 / (shape[0] as f64).sqrt())
            }
            _ if has("iou_token") || has("mask_tokens") || has("positional_embedding") => {
                Self::around(0.0, 1.0)
            }
            _ if has("prompt_encoder") && shape.len() == 2 => Self::around(0.0, 0.7),
            _ if name.ends_with("pos_embed") => Self::around(0.0, 0.5),
            _ if has("rel_pos") || has("attention_biases") => Self::around(0.0, 0.1),
            _ if name.ends_with(".running_mean") => Self::around(0.0, 0.15),
            _ if name.ends_with(".running_var") => Self::around(1.0, 0.15),
            _ if has("group_token") => Self::around(0.0, 1.0),
            _ if has("norm") => Self::around(if is_bias { 0.0 } else { 1.0 }, 0.15),
            // Norms without the word in their names: in a list of layers.
            _ if shape.len() == 1 && name.ends_with(".weight") => Self::around(1.0, 0.15),
            _ if is_bias => Self::around(0.0, if has("encoder") { 0.02 } else { 0.1 }),
            _ if has("position_embedding") => Self::around(0.0, 0.5),
            _ if has("token_embedding") || has("class_embedding") => Self::around(0.0, 1.0),
            _ => Self::around(0.0, gain(name) / fan_in.sqrt()),
        }
    }
}

/// How much a projection enlarges its input. Deep random transformers make all tokens alike: what
/// attention and perceptrons add is kept small beside the tokens themselves, and in texts, whose
/// end token is always the same, attention is made to look at single words.
fn gain(name: &str) -> f64 {
    let in_text = name.contains("text_model");
    match name {
        _ if name.contains("mlp.fc2") || name.contains("mlp.lin2") => 0.35,
        _ if name.contains("attn.proj") => 0.25,
        _ if name.contains("self_attn.out_proj") && !in_text => 0.25,
        _ if name.contains("self_attn.q_proj") && in_text => 2.4,
        _ if name.contains("self_attn.k_proj") && in_text => 2.4,
        "box_head.dense2.weight" => 1.8,
        _ => 1.2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_pinned_and_uniform() {
        let mut stream = Stream::new(42, "layer_norm.weight");
        let first: Vec<f32> = (0..3).map(|_| stream.next_unit()).collect();
        // Written down once: a change would silently change every random checkpoint.
        assert_eq!(first, [0.357_782_24, -0.393_104_08, -0.154_969_93]);
        let many: Vec<f64> = (0..10_000).map(|_| f64::from(stream.next_unit())).collect();
        let mean = many.iter().sum::<f64>() / 1e4;
        let variance = many.iter().map(|value| value * value).sum::<f64>() / 1e4;
        // Five standard errors of 10000 uniform values.
        assert!(mean.abs() < 0.03 && (variance - 1.0 / 3.0).abs() < 0.015);
        assert!(many.iter().all(|value| (-1.0..1.0).contains(value)));
        let other = Stream::new(42, "layer_norm.bias").next_unit();
        assert_ne!(first[0], other);
    }
}
