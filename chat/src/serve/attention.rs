//! What a token looked at: the attention weights of one layer, for the page's pictures.
//!
//! `w[h][j] = softmax_j(q·k_j/√D)` over the positions the layer sees, for one query and every head h; taken from the
//! queries and keys of a forward pass over the whole text.

use autograd::Var;
use model::{Gpt, Observer};
use serde_json::{Value, json};
use tensor::Tensor;

/// Which picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// The text up to the token, and perhaps more.
    pub ids: Vec<u32>,
    /// The layer, from 0.
    pub layer: usize,
    /// The position whose query is meant.
    pub position: usize,
}

/// Weights by head, then position.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// (H, position + 1), each row adds up to 1.
    pub heads: Vec<Vec<f32>>,
    /// Layers there are.
    pub layers: usize,
}

impl Picture {
    /// For the page. Four digits are enough for a colour.
    pub fn json(&self) -> Value {
        let round = |w: &f32| (f64::from(*w) * 1e4).round() / 1e4;
        let heads: Vec<Vec<f64>> = self.heads.iter().map(|head| head.iter().map(round).collect()).collect();
        json!({ "layers": self.layers, "heads": heads })
    }
}

/// Queries and keys of one layer.
struct Eye {
    names: [String; 2],
    seen: [Option<Tensor>; 2],
}

impl Observer for Eye {
    fn see(&mut self, name: &str, value: &Var) {
        for (wanted, seen) in self.names.iter().zip(&mut self.seen) {
            if name == wanted {
                *seen = Some(value.value().clone());
            }
        }
    }
}

/// Runs the model over the text and looks.
pub fn picture(gpt: &Gpt, wish: &Wish) -> Result<Picture, String> {
    let (config, n) = (gpt.config(), wish.position + 1);
    if wish.layer >= config.n_layer {
        return Err(format!("layer {} does not exist: the last one is {}", wish.layer, config.n_layer - 1));
    }
    let Some(ids) = wish.ids.get(..n) else {
        return Err(format!(
            "position {} is behind the end: there are {} tokens",
            wish.position,
            wish.ids.len()
        ));
    };
    if let Some(id) = ids.iter().find(|&&id| id as usize >= config.vocab_size) {
        return Err(format!("token {id} is outside the vocabulary of {}", config.vocab_size));
    }
    let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let ids = Tensor::ids(&ids, &[1, n], gpt.options().device).map_err(|e| e.to_string())?;
    let names = ["q_norm", "k_norm"].map(|what| format!("block{}.{what}", wish.layer));
    let mut eye = Eye { names, seen: [None, None] };
    gpt.hidden(&ids, None, &mut eye).map_err(|e| e.to_string())?;
    let [Some(q), Some(k)] = eye.seen else { return Err("the model shows no queries and keys".into()) };
    let (heads, kv_heads, d) = (config.n_head, config.n_kv_head, config.head_dim());
    let (q, k) = (q.to_f64_vec(), k.to_f64_vec()); // (1, n, H, D), (1, n, Hk, D)
    let first = config.window(wish.layer).map_or(0, |window| (n - 1).saturating_sub(window));
    let head = |h: usize| {
        let q = &q[((n - 1) * heads + h) * d..][..d];
        let score = |j: usize| {
            let k = &k[(j * kv_heads + h / (heads / kv_heads)) * d..][..d];
            q.iter().zip(k).map(|(a, b)| a * b).sum::<f64>() / (d as f64).sqrt()
        };
        let scores: Vec<f64> = (0..n).map(|j| if j < first { f64::NEG_INFINITY } else { score(j) }).collect();
        let max = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
        let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|w| (w / total) as f32).collect()
    };
    Ok(Picture { heads: (0..heads).map(head).collect(), layers: config.n_layer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{GptConfig, GptOptions};

    #[test]
    fn weights_times_values_are_what_the_layer_computed() {
        struct Layer([Vec<f64>; 2]);
        impl Observer for Layer {
            fn see(&mut self, name: &str, value: &Var) {
                for (i, wanted) in ["block1.v", "block1.attn"].iter().enumerate() {
                    if name == *wanted {
                        self.0[i] = value.value().to_f64_vec();
                    }
                }
            }
        }
        let config = GptConfig {
            sequence_len: 16,
            vocab_size: 40,
            n_layer: 2,
            n_head: 4,
            n_kv_head: 2,
            n_embd: 32,
            ..GptConfig::default()
        };
        let mut gpt = Gpt::new(config, 1, GptOptions::default()).unwrap();
        for (i, p) in gpt.params_mut().iter_mut().enumerate() {
            let dims = p.value().dims().to_vec();
            p.set(model::init::normal(1, 70 + i as u64, 0.3, &dims, tensor::Device::Cpu).unwrap());
        }
        let ids: Vec<u32> = (0..12).map(|i| i * 7 % 40).collect();
        let mut layer = Layer([Vec::new(), Vec::new()]);
        let all: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        gpt.hidden(&Tensor::ids(&all, &[1, 12], tensor::Device::Cpu).unwrap(), None, &mut layer).unwrap();
        for position in [0, 5, 11] {
            let picture = picture(&gpt, &Wish { ids: ids.clone(), layer: 1, position }).unwrap();
            assert_eq!((picture.heads.len(), picture.layers), (4, 2));
            for (h, weights) in picture.heads.iter().enumerate() {
                assert_eq!(weights.len(), position + 1);
                assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                for i in 0..8 {
                    let sum: f64 = (0..=position)
                        .map(|j| f64::from(weights[j]) * layer.0[0][(j * 2 + h / 2) * 8 + i])
                        .sum();
                    let want = layer.0[1][(position * 4 + h) * 8 + i];
                    assert!((sum - want).abs() < 1e-4, "position {position}, head {h}: {sum} {want}");
                }
            }
        }
        let windowed = GptConfig {
            sequence_len: 16,
            vocab_size: 40,
            n_layer: 2,
            n_head: 1,
            n_kv_head: 1,
            n_embd: 32,
            ..GptConfig::of(model::Family::Current)
        };
        let windowed = Gpt::new(windowed, 1, GptOptions::default()).unwrap();
        let far = Wish { ids: vec![7; 30], layer: 1, position: 20 };
        let weights = picture(&windowed, &far).unwrap().heads.remove(0);
        assert!(
            weights[..4].iter().all(|&w| w == 0.0) && weights[4..].iter().all(|&w| w > 0.0),
            "{weights:?}"
        );
        for (wish, hint) in [
            (Wish { ids: ids.clone(), layer: 2, position: 0 }, "layer 2"),
            (Wish { ids: ids.clone(), layer: 0, position: 12 }, "12 tokens"),
            (Wish { ids: vec![40], layer: 0, position: 0 }, "vocabulary of 40"),
        ] {
            assert!(picture(&gpt, &wish).unwrap_err().contains(hint));
        }
    }
}
