//! Shapes, counts and stored forms.

use super::*;

fn d4() -> GptConfig {
    GptConfig::classic_from_depth(4, 65536, 2048).unwrap()
}

#[test]
fn depth_decides_width_and_heads() {
    let config = d4();
    assert_eq!((config.n_layer, config.n_embd, config.n_head, config.head_dim()), (4, 256, 2, 128));
    let odd = GptConfig::classic_from_depth(3, 65536, 2048).unwrap();
    assert_eq!((odd.n_embd, odd.n_head, odd.head_dim()), (192, 2, 96));
    let message = GptConfig::classic_from_depth(5, 65536, 2048).unwrap_err().to_string();
    assert!(message.contains("depth 4 or 6"), "{message}");
    assert!(GptConfig::classic_from_depth(0, 65536, 2048).is_err());
    assert!(GptConfig::classic_from_depth(usize::MAX, 65536, 2048).is_err());
}

#[test]
fn impossible_shapes_are_refused_with_the_fix() {
    let message = |change: fn(&mut GptConfig)| {
        let mut config = d4();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    assert!(message(|c| c.n_embd = 0).contains("n_embd is 0"));
    assert!(message(|c| c.n_head = 0).contains("n_head is 0"));
    assert!(message(|c| (c.n_embd, c.n_head, c.n_kv_head) = (250, 4, 4)).contains("use n_embd 252"));
    assert!(message(|c| (c.n_head, c.n_kv_head) = (8, 3)).contains("use n_kv_head 2"));
    assert!(message(|c| (c.n_head, c.n_kv_head) = (2, 4)).contains("use n_kv_head 2"));
    assert!(message(|c| (c.n_embd, c.n_head, c.n_kv_head) = (6, 2, 2)).contains("use n_embd 8"));
    assert!(message(|c| c.vocab_size = usize::MAX).contains("largest supported"));
    assert!(message(|c| c.softcap = f32::NAN).contains("softcap"));
}

#[test]
fn counts_agree_with_the_list_of_tensors() {
    let grouped = GptConfig { n_kv_head: 1, ..d4() };
    for config in [d4(), grouped] {
        let shapes = config.param_shapes();
        let total: u64 = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>() as u64).sum();
        assert_eq!(total, config.num_params());
        let blocks = shapes.iter().filter(|(name, _)| name.starts_with("transformer.h."));
        let matrices: u64 = blocks.map(|(_, shape)| shape.iter().product::<usize>() as u64).sum();
        assert_eq!(matrices, config.params_by_group().transformer_matrices);
    }
    assert_eq!(d4().num_params(), 36_700_160);
    assert_eq!(d4().flops_per_token(), 144_703_488);
}

#[test]
fn tensors_come_in_state_dict_order() {
    let config = GptConfig { n_layer: 2, n_kv_head: 1, ..d4() };
    let shapes = config.param_shapes();
    assert_eq!(shapes.len(), 14);
    assert_eq!(shapes[0], ("transformer.wte.weight".to_string(), vec![65536, 256]));
    assert_eq!(shapes[2], ("transformer.h.0.attn.c_k.weight".to_string(), vec![128, 256]));
    assert_eq!(shapes[5], ("transformer.h.0.mlp.c_fc.weight".to_string(), vec![1024, 256]));
    assert_eq!(shapes[12], ("transformer.h.1.mlp.c_proj.weight".to_string(), vec![256, 1024]));
    assert_eq!(shapes[13], ("lm_head.weight".to_string(), vec![65536, 256]));
}

#[test]
fn nanochats_json_is_read_and_ours_comes_back_unchanged() {
    let theirs = r#"{"sequence_len": 2048, "vocab_size": 65536, "n_layer": 4,
        "n_head": 2, "n_kv_head": 2, "n_embd": 256}"#;
    assert_eq!(serde_json::from_str::<GptConfig>(theirs).unwrap(), d4());
    let ours = GptConfig { rope_base: 500.0, norm_eps: 1e-5, ..d4() };
    let json = serde_json::to_string(&ours).unwrap();
    assert_eq!(serde_json::from_str::<GptConfig>(&json).unwrap(), ours);
}

#[test]
fn stored_configs_of_other_architectures_are_refused() {
    let read = |json: &str| serde_json::from_str::<GptConfig>(json).unwrap_err().to_string();
    let sizes = r#""sequence_len": 64, "vocab_size": 50, "n_layer": 1, "n_embd": 8"#;
    assert!(read(&format!(r#"{{{sizes}, "n_head": 2, "n_experts": 4}}"#)).contains("n_experts"));
    assert!(read(&format!(r#"{{{sizes}, "n_head": 2, "window_pattern": "SSSL"}}"#)).contains("24 channels"));
    assert!(read(&format!("{{{sizes}}}")).contains("no n_head"));
    assert!(read(&format!(r#"{{{sizes}, "n_head": 3}}"#)).contains("not divisible"));
    assert!(read(&format!(r#"{{{sizes}, "n_head": 2, "family": "other"}}"#)).contains("classic"));
}
