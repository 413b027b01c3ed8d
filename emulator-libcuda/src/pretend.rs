//! What the device says it is: an H100 with 4 GiB under a driver of CUDA 12.9, unless `EMULATOR_LIBCUDA_DEVICE` says otherwise. So a test
//! sees what a program does where the driver is old, the GPU too, or there is none, or little memory.
//!
//! `EMULATOR_LIBCUDA_DEVICE=capability=75,driver=11040,memory=1048576,count=0`, any of these.

use std::ffi::c_int;

/// The numbers that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pretended {
    /// Compute capability: 90 is 9.0.
    pub capability: u32,
    /// The newest CUDA of the driver.
    pub driver: c_int,
    /// Bytes of the device.
    pub memory: u64,
    /// Devices: 0 or 1.
    pub count: c_int,
}

impl Pretended {
    /// As the environment says.
    pub fn from_env() -> Pretended {
        Pretended::of(&std::env::var("EMULATOR_LIBCUDA_DEVICE").unwrap_or_default())
    }
    fn of(text: &str) -> Pretended {
        // CUDA 12.9's PTX is the newest that the emulator reads
        let mut all = Pretended { capability: 90, driver: 12090, memory: 4 << 30, count: 1 };
        for (name, value) in text.split(',').filter_map(|part| part.split_once('=')) {
            let Ok(value) = value.trim().parse::<u64>() else { continue };
            match name.trim() {
                "capability" => all.capability = value as u32,
                "driver" => all.driver = value as c_int,
                "memory" => all.memory = value,
                "count" => all.count = value.min(1) as c_int,
                _ => {}
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays_as_it_is() {
        let usual = Pretended::of("");
        assert_eq!((usual.capability, usual.driver, usual.count), (90, 12090, 1));
        let old = Pretended::of("capability=75, memory=1048576,nothing=1,driver=x");
        assert_eq!(old, Pretended { capability: 75, memory: 1 << 20, ..usual });
    }
}
