//! The smallest blocks.

use tch::{Kind, TchError, Tensor};

use super::Scope;

/// `y = x W^T + b`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// With a bias: keys `weight` `[outputs, inputs]` and `bias` `[outputs]`.
    #[must_use]
    pub fn new(scope: &Scope<'_>, inputs: i64, outputs: i64) -> Self {
        Self {
            weight: scope.take("weight", &[outputs, inputs]),
            bias: Some(scope.take("bias", &[outputs])),
        }
    }

    /// Without a bias: key `weight` `[outputs, inputs]`.
    #[must_use]
    pub fn without_bias(scope: &Scope<'_>, inputs: i64, outputs: i64) -> Self {
        Self { weight: scope.take("weight", &[outputs, inputs]), bias: None }
    }

    /// `[outputs, inputs]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `[outputs]`, where it has one.
    #[must_use]
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// `[.., inputs]` to `[.., outputs]`.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, self.bias.as_ref())
    }

    /// The same for tokens as columns of a matrix: `[inputs, tokens]` to `[outputs, tokens]`.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward_columns(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match &self.bias {
            Some(bias) => bias.f_unsqueeze(1)?.f_addmm(&self.weight, x),
            None => self.weight.f_mm(x),
        }
    }
}

/// Normalises the last dimension to mean 0 and variance 1, then scales and shifts.
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    size: i64,
    eps: f64,
}

impl LayerNorm {
    /// Keys `weight` and `bias`, both `[size]`.
    #[must_use]
    pub fn new(scope: &Scope<'_>, size: i64, eps: f64) -> Self {
        Self { weight: scope.take("weight", &[size]), bias: scope.take("bias", &[size]), size, eps }
    }

    /// `[.., size]` to `[.., size]`. libtorch accumulates in f32 for half formats.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_layer_norm([self.size], Some(&self.weight), Some(&self.bias), self.eps, true)
    }

    /// `[batch, size, H, W]` to the same shape: the channels of each place are normalised.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward_channels(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.forward(&x.f_permute([0, 2, 3, 1])?)?.f_permute([0, 3, 1, 2])
    }
}

/// Normalises each channel by the mean and variance that training measured, then scales and shifts.
#[derive(Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
}

impl BatchNorm {
    /// What PyTorch adds to the variance unless something else is asked for.
    const EPS: f64 = 1e-5;

    /// Keys `weight`, `bias`, `running_mean` and `running_var`, all `[size]`. The number of
    /// batches that PyTorch counts in training is not needed.
    #[must_use]
    pub fn new(scope: &Scope<'_>, size: i64) -> Self {
        let take = |name: &str| scope.take(name, &[size]);
        Self {
            weight: take("weight"),
            bias: take("bias"),
            running_mean: take("running_mean"),
            running_var: take("running_var"),
        }
    }

    /// `[rows, size]`, or `[rows, size, ..]`, to the same shape.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        // The momentum has no effect outside of training.
        x.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            false,
            0.0,
            Self::EPS,
            true,
        )
    }
}

/// Rows of a table by index.
#[derive(Debug)]
pub struct Embedding {
    weight: Tensor,
}

impl Embedding {
    /// Key `weight` `[rows, size]`.
    #[must_use]
    pub fn new(scope: &Scope<'_>, rows: i64, size: i64) -> Self {
        Self { weight: scope.take("weight", &[rows, size]) }
    }

    /// `[..]` i64, each in `0..rows`, to `[.., size]`. The caller checks the range: on CUDA an
    /// index outside it makes the device unusable for the rest of the process.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, indices: &Tensor) -> Result<Tensor, TchError> {
        Tensor::f_embedding(&self.weight, indices, -1, false, false)
    }

    /// The first `count` rows, `[count, size]`: what indices `0..count` would give, without a
    /// look-up.
    ///
    /// # Errors
    /// Where the table is shorter.
    pub fn first_rows(&self, count: i64) -> Result<Tensor, TchError> {
        self.weight.f_narrow(0, 0, count)
    }
}

/// Cuts an image into square patches and projects each: a convolution whose stride is its size.
#[derive(Debug)]
pub struct PatchEmbedding {
    weight: Tensor,
    bias: Option<Tensor>,
    patch_size: i64,
}

impl PatchEmbedding {
    /// Key `weight` `[size, 3, patch_size, patch_size]`, no bias, as in CLIP.
    #[must_use]
    pub fn new(scope: &Scope<'_>, patch_size: i64, size: i64) -> Self {
        Self {
            weight: scope.take("weight", &[size, 3, patch_size, patch_size]),
            bias: None,
            patch_size,
        }
    }

    /// As [`new`](Self::new), and key `bias` `[size]`, as in ViT.
    #[must_use]
    pub fn with_bias(scope: &Scope<'_>, patch_size: i64, size: i64) -> Self {
        let without = Self::new(scope, patch_size, size);
        Self { bias: Some(scope.take("bias", &[size])), ..without }
    }

    /// `[batch, 3, H, W]` to `[batch, (H / patch_size) * (W / patch_size), size]`, patches row by
    /// row. Pixels beyond the last whole patch are not seen.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, pixel_values: &Tensor) -> Result<Tensor, TchError> {
        let stride = [self.patch_size, self.patch_size];
        pixel_values
            .f_conv2d(&self.weight, self.bias.as_ref(), stride, [0, 0], [1, 1], 1)?
            .f_flatten(2, -1)?
            .f_transpose(1, 2)
    }
}

/// Scales the rows of the last dimension to length 1, in f32.
///
/// # Errors
/// What libtorch reports.
pub fn unit_length(x: &Tensor) -> Result<Tensor, TchError> {
    let x = x.f_to_kind(Kind::Float)?;
    x.f_div(&x.f_linalg_norm(2.0, [-1].as_slice(), true, None)?)
}
