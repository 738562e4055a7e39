//! Where and in which number format a network is to run: choices made at run time.

use std::fmt;
use std::str::FromStr;

/// The device that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first CUDA device where there is one, else the CPU. What was taken is reported.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device with this index. Where it is missing that is an error.
    Cuda(usize),
}

/// The number format that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtypeChoice {
    /// `f16` on CUDA, `f32` on the CPU.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// IEEE half precision; CUDA only.
    F16,
    /// bfloat16; CUDA only.
    Bf16,
}

/// A device or number format that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct ParseChoiceError {
    /// The forms that are understood.
    pub expected: &'static str,
    /// What was given.
    pub found: String,
}

impl FromStr for DeviceChoice {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused =
            || ParseChoiceError { expected: "auto, cpu, cuda or cuda:N", found: text.to_owned() };
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => {
                let index = other.strip_prefix("cuda:").ok_or_else(refused)?;
                index.parse().map(Self::Cuda).map_err(|_| refused())
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for DtypeChoice {
    type Err = ParseChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            other => Err(ParseChoiceError {
                expected: "auto, f32, f16 or bf16",
                found: other.to_owned(),
            }),
        }
    }
}

impl fmt::Display for DtypeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_dtypes_round_trip_and_unknown_ones_say_what_is_expected() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "CPU"] {
            let error = text.parse::<DeviceChoice>().unwrap_err();
            assert_eq!(error.found, text);
        }
        assert!("fp16".parse::<DtypeChoice>().is_err());
    }
}
