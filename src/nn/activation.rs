//! Activation functions, by the names that configurations use.

use std::str::FromStr;

use tch::{TchError, Tensor};

/// An activation function of a configuration's `hidden_act`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(1.702 x)`: CLIP's stand-in for GELU.
    QuickGelu,
    /// GELU by the error function.
    Gelu,
    /// GELU by its tanh approximation.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// A `hidden_act` that is not known. Guessing one would give plausible and wrong results.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected one of quick_gelu, gelu, gelu_new, gelu_pytorch_tanh, relu as activation, \
     found {found:?}"
)]
pub struct UnknownActivation {
    /// The name that was given.
    pub found: String,
}

impl FromStr for Activation {
    type Err = UnknownActivation;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "quick_gelu" => Ok(Self::QuickGelu),
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Self::GeluTanh),
            "relu" => Ok(Self::Relu),
            other => Err(UnknownActivation { found: other.to_owned() }),
        }
    }
}

impl Activation {
    /// Its name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::QuickGelu => "quick_gelu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_pytorch_tanh",
            Self::Relu => "relu",
        }
    }

    /// Applies it to every element; shape and number format stay.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward(self, x: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::QuickGelu => {
                // One temporary instead of three: at 3072 channels this is memory-bound.
                let mut gate = x.f_mul_scalar(1.702)?;
                let _ = gate.f_sigmoid_()?;
                gate.f_mul_(x)
            }
            Self::Gelu => x.f_gelu("none"),
            Self::GeluTanh => x.f_gelu("tanh"),
            Self::Relu => x.f_relu(),
        }
    }

    /// As [`forward`](Self::forward), for a tensor that nobody needs afterwards: where the function
    /// can, it writes over it, which spares the memory of a second one.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forward_over(self, mut x: Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::QuickGelu => self.forward(&x),
            Self::Gelu => x.f_gelu_("none"),
            Self::GeluTanh => x.f_gelu_("tanh"),
            Self::Relu => x.f_relu_(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the defining formulas at -1 and 2, computed in double precision.
    #[test]
    fn each_name_gives_its_own_function() {
        let x = Tensor::from_slice(&[-1.0_f32, 2.0]);
        for (name, expected) in [
            ("quick_gelu", [-0.154_204_23, 1.935_658_6]),
            ("gelu", [-0.158_655_26, 1.954_499_7]),
            ("gelu_new", [-0.158_808_01, 1.954_597_7]),
            ("gelu_pytorch_tanh", [-0.158_808_01, 1.954_597_7]),
            ("relu", [0.0, 2.0]),
        ] {
            let activation: Activation = name.parse().unwrap();
            assert_eq!(activation.name().parse(), Ok(activation));
            let y = activation.forward(&x).unwrap();
            let y = Vec::<f32>::try_from(y).unwrap();
            for (found, expected) in y.iter().zip(expected) {
                // Two ulp of an f32 near 2.
                assert!((found - expected).abs() < 5e-7, "{name}: {found} is not {expected}");
            }
        }
        // The input is not written to.
        assert_eq!(Vec::<f32>::try_from(&x).unwrap(), [-1.0, 2.0]);
        for activation in
            [Activation::QuickGelu, Activation::Gelu, Activation::GeluTanh, Activation::Relu]
        {
            let over = activation.forward_over(x.copy()).unwrap();
            assert_eq!(over, activation.forward(&x).unwrap(), "{activation:?}: to the last bit");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_what_was_expected() {
        let error = "swish".parse::<Activation>().unwrap_err();
        assert!(
            error.to_string().contains("quick_gelu") && error.to_string().contains("\"swish\"")
        );
    }
}
