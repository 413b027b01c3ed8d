//! Shared helpers of the integration tests: small models, batches and documents.

use model::{Gpt, GptConfig, GptOptions};
use tensor::Device;
use train::data::Batch;

/// A classic model of two layers that runs in milliseconds, with grouped key/value heads.
pub fn small_config() -> GptConfig {
    GptConfig {
        sequence_len: 32,
        vocab_size: 300,
        n_layer: 2,
        n_head: 4,
        n_kv_head: 2,
        n_embd: 64,
        ..GptConfig::default()
    }
}

/// A fresh model.
pub fn model(config: GptConfig, seed: u64, options: GptOptions) -> Gpt {
    Gpt::new(config, seed, options).unwrap_or_else(|e| panic!("{e}"))
}

/// A batch of random ids that predicts the next one; every seventh target is ignored.
pub fn random_batch(config: &GptConfig, b: usize, t: usize, seed: u64, device: Device) -> Batch {
    let mut rng = kernels::philox::Philox::new(seed, 77);
    let ids: Vec<i32> = (0..b * t + 1).map(|_| rng.below(config.vocab_size as u32) as i32).collect();
    let targets: Vec<i32> = (1..=b * t).map(|i| if i % 7 == 0 { -1 } else { ids[i] }).collect();
    Batch::new(&ids[..b * t], &targets, b, t, device).unwrap_or_else(|e| panic!("{e}"))
}

/// All weights as bit patterns.
pub fn weight_bits(gpt: &Gpt) -> Vec<u32> {
    let bits = |p: &autograd::Parameter| p.value().to_vec::<f32>().unwrap_or_default();
    gpt.params().iter().flat_map(bits).map(f32::to_bits).collect()
}

/// Fails the test that holds it if a tensor's storage made since by this thread is alive when it is dropped. Make it first.
pub struct LeakCheck {
    before: usize,
}

impl Default for LeakCheck {
    fn default() -> LeakCheck {
        LeakCheck { before: tensor::memory::live_here() }
    }
}

impl Drop for LeakCheck {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let now = tensor::memory::live_here();
            assert_eq!(now, self.before, "storages alive at the end and at the beginning of the test");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tensor::{DType, Tensor};

    #[test]
    #[should_panic(expected = "storages alive")]
    fn a_storage_that_survives_is_found() {
        let survivor;
        {
            let _leaks = LeakCheck::default();
            survivor = Tensor::zeros(&[3], DType::F32, Device::Cpu);
        }
        drop(survivor);
    }
}
