//! Measuring stages of work on a device.

use std::time::{Duration, Instant};

use tch::{Device, TchError, Tensor};

use crate::types::{Stage, StageTimings};

/// Measures stages one after the other. CUDA works behind the host's back, so a stage ends when its
/// result is there.
#[derive(Debug)]
pub struct StageClock {
    device: Device,
    since: Instant,
}

impl StageClock {
    /// Starts the first stage, on this device.
    #[must_use]
    pub fn start(device: Device) -> Self {
        Self { device, since: Instant::now() }
    }

    /// Time since the last stage ended; the next one starts.
    pub fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.since, now)
    }

    /// Waits until `result` is there and books the time. One of its values is fetched: unlike
    /// a call to synchronise, that reports the errors of the device instead of panicking.
    ///
    /// # Errors
    /// What the device reports.
    pub fn stop(
        &mut self,
        stage: Stage,
        result: &Tensor,
        timings: &mut StageTimings,
    ) -> Result<(), TchError> {
        if self.device.is_cuda() {
            let flat = result.f_flatten(0, -1)?;
            let _ = flat.f_narrow(0, 0, 1)?.f_to_device(Device::Cpu)?;
        }
        timings.add(stage, self.lap());
        Ok(())
    }
}
