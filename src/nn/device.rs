//! From the device and the number format that were asked for to those that are used.

use tch::{Cuda, Device, Kind};

use crate::types::{DeviceChoice, DtypeChoice};

/// Why the device or the number format that was asked for cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceRefused {
    /// The CUDA device is not there.
    #[error("device {asked} is not there: {found}")]
    Missing {
        /// What was asked for.
        asked: DeviceChoice,
        /// What there is.
        found: String,
    },
    /// Half precision on the CPU.
    #[error(
        "dtype {asked} is refused on the CPU: without hardware for it matrix products are about \
         100 times slower than in f32; use f32, or a CUDA device"
    )]
    HalfOnCpu {
        /// What was asked for.
        asked: DtypeChoice,
    },
}

/// The CUDA devices that libtorch sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CudaDevices {
    /// libtorch was loaded without its CUDA library.
    NotLoaded,
    /// So many, at indices from 0.
    Visible(usize),
}

impl CudaDevices {
    fn probe() -> Self {
        if !tch::utils::has_cudart() {
            return Self::NotLoaded;
        }
        let count = if Cuda::is_available() { Cuda::device_count() } else { 0 };
        Self::Visible(usize::try_from(count).unwrap_or(0))
    }

    fn count(self) -> usize {
        match self {
            Self::NotLoaded => 0,
            Self::Visible(count) => count,
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::NotLoaded => "only cpu (libtorch is loaded without CUDA)".to_owned(),
            Self::Visible(0) => {
                "only cpu (libtorch has CUDA and sees no device: check the driver and \
                 CUDA_VISIBLE_DEVICES)"
                    .to_owned()
            }
            Self::Visible(1) => "there are cpu and cuda:0".to_owned(),
            Self::Visible(count) => format!("there are cpu and cuda:0 to cuda:{}", count - 1),
        }
    }
}

/// Picks the device and the number format. What was asked for by name is used or refused, never
/// replaced.
///
/// # Errors
/// A CUDA device that is not there; half precision on the CPU.
pub fn resolve_device(
    device: DeviceChoice,
    dtype: DtypeChoice,
) -> Result<(Device, Kind), DeviceRefused> {
    resolve_among(CudaDevices::probe(), device, dtype)
}

fn resolve_among(
    cuda: CudaDevices,
    asked_device: DeviceChoice,
    asked_dtype: DtypeChoice,
) -> Result<(Device, Kind), DeviceRefused> {
    let device = match asked_device {
        DeviceChoice::Auto if cuda.count() > 0 => Device::Cuda(0),
        DeviceChoice::Auto | DeviceChoice::Cpu => Device::Cpu,
        DeviceChoice::Cuda(index) if index < cuda.count() => Device::Cuda(index),
        DeviceChoice::Cuda(_) => {
            return Err(DeviceRefused::Missing { asked: asked_device, found: cuda.in_words() });
        }
    };
    let kind = match (asked_dtype, device) {
        (DtypeChoice::F32, _) | (DtypeChoice::Auto, Device::Cpu) => Kind::Float,
        (DtypeChoice::F16 | DtypeChoice::Bf16, Device::Cpu) => {
            return Err(DeviceRefused::HalfOnCpu { asked: asked_dtype });
        }
        (DtypeChoice::F16 | DtypeChoice::Auto, _) => Kind::Half,
        (DtypeChoice::Bf16, _) => Kind::BFloat16,
    };
    Ok((device, kind))
}

/// `cpu` or `cuda:N`.
#[must_use]
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        Device::Cpu => "cpu".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// The name of a number format in [`DtypeChoice`]'s words.
#[must_use]
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Half => "f16",
        Kind::BFloat16 => "bf16",
        _ => "f32",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_cuda_with_f16_where_there_is_one_else_the_cpu_with_f32() {
        let auto = |cuda| resolve_among(cuda, DeviceChoice::Auto, DtypeChoice::Auto).unwrap();
        assert_eq!(auto(CudaDevices::Visible(2)), (Device::Cuda(0), Kind::Half));
        assert_eq!(auto(CudaDevices::Visible(0)), (Device::Cpu, Kind::Float));
        assert_eq!(auto(CudaDevices::NotLoaded), (Device::Cpu, Kind::Float));
    }

    #[test]
    fn what_was_asked_for_is_used_or_refused_with_what_there_is() {
        let resolve = |cuda, device| resolve_among(cuda, device, DtypeChoice::F32);
        let two = CudaDevices::Visible(2);
        assert_eq!(resolve(two, DeviceChoice::Cuda(1)).unwrap().0, Device::Cuda(1));
        assert_eq!(resolve(two, DeviceChoice::Cpu).unwrap().0, Device::Cpu);
        let refusals = [
            (two, 2, "there are cpu and cuda:0 to cuda:1"),
            (CudaDevices::Visible(1), 1, "there are cpu and cuda:0"),
            (CudaDevices::Visible(0), 0, "sees no device"),
            (CudaDevices::NotLoaded, 0, "loaded without CUDA"),
        ];
        for (cuda, index, found) in refusals {
            let refused = resolve(cuda, DeviceChoice::Cuda(index)).unwrap_err().to_string();
            assert!(refused.contains(&format!("cuda:{index} is not there")), "{refused}");
            assert!(refused.contains(found), "{refused}");
        }
    }

    #[test]
    fn half_precision_is_for_cuda() {
        for asked in [DtypeChoice::F16, DtypeChoice::Bf16] {
            let refused = resolve_among(CudaDevices::NotLoaded, DeviceChoice::Auto, asked);
            assert_eq!(refused, Err(DeviceRefused::HalfOnCpu { asked }));
        }
        let on_cuda =
            |dtype| resolve_among(CudaDevices::Visible(1), DeviceChoice::Cuda(0), dtype).unwrap().1;
        assert_eq!(on_cuda(DtypeChoice::Bf16), Kind::BFloat16);
        assert_eq!(on_cuda(DtypeChoice::F32), Kind::Float);
        assert_eq!(kind_name(on_cuda(DtypeChoice::F16)), "f16");
    }
}
