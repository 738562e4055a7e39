//! Convolutions over images `[batch, channels, height, width]`.

use tch::{TchError, Tensor};

use super::Scope;

/// Sizes of a [`Conv2d`] with a square kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Channels that it reads.
    pub inputs: i64,
    /// Channels that it gives.
    pub outputs: i64,
    /// Side of the kernel.
    pub side: i64,
    /// Step between two places of the kernel.
    pub stride: i64,
    /// Rows and columns of zeros around the image.
    pub padding: i64,
    /// Groups of channels that do not see each other; divides both numbers of channels.
    pub groups: i64,
}

impl ConvShape {
    /// An odd `side`, and an output of the size of the input.
    #[must_use]
    pub fn same(inputs: i64, outputs: i64, side: i64) -> Self {
        Self { inputs, outputs, side, stride: 1, padding: side / 2, groups: 1 }
    }

    /// As [`same`](Self::same), each channel by itself.
    #[must_use]
    pub fn depthwise(channels: i64, side: i64) -> Self {
        Self { groups: channels, ..Self::same(channels, channels, side) }
    }

    /// With this stride.
    #[must_use]
    pub fn with_stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }
}

/// A convolution.
#[derive(Debug)]
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    shape: ConvShape,
}

impl Conv2d {
    /// Keys `weight` `[outputs, inputs / groups, side, side]` and `bias` `[outputs]`.
    #[must_use]
    pub fn new(scope: &Scope<'_>, shape: ConvShape) -> Self {
        let bias = Some(scope.take("bias", &[shape.outputs]));
        Self { bias, ..Self::without_bias(scope, shape) }
    }

    /// Key `weight` `[outputs, inputs / groups, side, side]`.
    #[must_use]
    pub fn without_bias(scope: &Scope<'_>, shape: ConvShape) -> Self {
        let ConvShape { inputs, outputs, side, groups, .. } = shape;
        let weight = scope.take("weight", &[outputs, inputs / groups.max(1), side, side]);
        Self { weight, bias: None, shape }
    }

    /// `[batch, inputs, H, W]` to `[batch, outputs, H', W']`.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let ConvShape { stride, padding, groups, .. } = self.shape;
        x.f_conv2d(
            &self.weight,
            self.bias.as_ref(),
            [stride, stride],
            [padding, padding],
            [1, 1],
            groups,
        )
    }
}

/// A transposed convolution whose stride is its size: each place becomes a square of its own.
#[derive(Debug)]
pub struct Enlargement {
    weight: Tensor,
    bias: Tensor,
    side: i64,
}

impl Enlargement {
    /// Keys `weight` `[inputs, outputs, side, side]` and `bias` `[outputs]`.
    #[must_use]
    pub fn new(scope: &Scope<'_>, inputs: i64, outputs: i64, side: i64) -> Self {
        Self {
            weight: scope.take("weight", &[inputs, outputs, side, side]),
            bias: scope.take("bias", &[outputs]),
            side,
        }
    }

    /// `[batch, inputs, H, W]` to `[batch, outputs, side * H, side * W]`.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let stride = [self.side, self.side];
        x.f_conv_transpose2d(&self.weight, Some(&self.bias), stride, [0, 0], [0, 0], 1, [1, 1])
    }

    /// Pixels along each side of a place's square.
    #[must_use]
    pub fn side(&self) -> i64 {
        self.side
    }

    /// The same for places as rows of a matrix, with the channels of a place side by side.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn for_rows(&self) -> Result<RowEnlargement, TchError> {
        let (inputs, outputs, _, _) = self.weight.size4()?;
        let squares = self.side * self.side;
        let weight = self.weight.f_permute([0, 2, 3, 1])?.f_reshape([inputs, squares * outputs])?;
        Ok(RowEnlargement { weight, bias: self.bias.f_repeat([squares])?, outputs })
    }
}

/// An [`Enlargement`] as a matrix product.
#[derive(Debug)]
pub struct RowEnlargement {
    /// `[inputs, side * side * outputs]`.
    weight: Tensor,
    /// `[side * side * outputs]`.
    bias: Tensor,
    outputs: i64,
}

impl RowEnlargement {
    /// `[places, inputs]` to `[places * side * side, outputs]`: the pixels of each place's square
    /// row by row, one square after the other.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.bias.f_addmm(x, &self.weight)?.f_view([-1, self.outputs])
    }
}
