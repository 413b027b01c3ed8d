//! Section "model scaling analysis": what a depth means in parameters, work and training time.

use super::document::Document;
use model::GptConfig;
use model::scaling::{CLASSIC_BATCH_TOKENS, CLASSIC_PARAM_DATA_RATIO, ClassicLrs, Horizon, HorizonRequest};

/// Depths in the table, besides the traced one.
const DEPTHS: [usize; 8] = [4, 6, 8, 12, 16, 20, 26, 32];

/// Write the section for `config`.
pub fn section(doc: &mut Document, config: &GptConfig) -> anyhow::Result<()> {
    doc.heading(2, "MODEL SCALING ANALYSIS");
    doc.text(&format!(
        "The depth decides everything else: width C = 64·depth, heads of at most 128, and from the number of parameters N \
         the length of the training: {CLASSIC_PARAM_DATA_RATIO} tokens per parameter, {CLASSIC_BATCH_TOKENS} tokens per step. \
         The work per token is 6·(N − V·C) + 12·L·H·D·T operations. Vocabulary {}, sequence length {}.",
        config.vocab_size, config.sequence_len
    ));
    doc.text(&table(config)?);
    let groups = config.params_by_group();
    let lrs = ClassicLrs::default().scaled_to(config.n_embd);
    doc.text(&format!("**Depth {}, in full**", config.n_layer));
    doc.fact("Parameters", &grouped(config.num_params()));
    doc.fact("of these, embedding (wte)", &grouped(groups.wte));
    doc.fact("of these, head (lm_head)", &grouped(groups.lm_head));
    doc.fact("of these, matrices of the blocks", &grouped(groups.transformer_matrices));
    doc.fact("FLOPs per token", &grouped(config.flops_per_token()));
    let rates = format!("{:.6} (wte), {:.6} (lm_head), {:.6} (matrices)", lrs.wte, lrs.lm_head, lrs.matrices);
    doc.fact("Learning rates", &rates);
    doc.end_facts();
    Ok(())
}

fn table(config: &GptConfig) -> anyhow::Result<String> {
    let mut text = String::from(
        "| depth | width | heads | parameters | FLOPs/token | training tokens | iterations | training FLOPs |\n\
         |--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut depths: Vec<usize> = DEPTHS.to_vec();
    depths.push(config.n_layer);
    depths.sort_unstable();
    depths.dedup();
    for depth in depths {
        let Ok(row) = GptConfig::classic_from_depth(depth, config.vocab_size, config.sequence_len) else {
            continue;
        };
        let run = Horizon::classic(&row, &HorizonRequest::default(), CLASSIC_BATCH_TOKENS)?;
        let cells = [
            depth.to_string(),
            row.n_embd.to_string(),
            row.n_head.to_string(),
            grouped(row.num_params()),
            format!("{:.4e}", row.flops_per_token() as f64),
            grouped(run.tokens),
            grouped(run.iterations),
            format!("{:.3e}", run.flops),
        ];
        let mark = if depth == config.n_layer { "**" } else { "" };
        text += &cells.map(|cell| format!("| {mark}{cell}{mark} ")).concat();
        text += "|\n";
    }
    Ok(text.trim_end().to_string())
}

/// `36,700,160`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = (0..digits.len())
        .filter(|i| *i == 0 || (digits.len() - i).is_multiple_of(3))
        .collect::<Vec<_>>()
        .windows(2)
        .map(|w| &digits[w[0]..w[1]])
        .collect();
    let last = groups.iter().map(|g| g.len()).sum::<usize>();
    groups.iter().copied().chain([&digits[last..]]).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [0, 12, 999, 1000, 36_700_160, 123_456].map(grouped).join(" "),
            "0 12 999 1,000 36,700,160 123,456"
        );
    }

    #[test]
    fn depth_twenty_has_its_parameters_and_iterations_in_the_table() {
        let config = GptConfig::classic_from_depth(20, 65_536, 2048).unwrap();
        let mut doc = Document::default();
        section(&mut doc, &config).unwrap();
        assert!(
            doc.text.contains("| **560,988,160** | **3.4918e9** | **11,219,763,200** | **21,400** |"),
            "{}",
            doc.text
        );
        assert!(
            doc.text.contains("| 4 | 256 | 2 | 36,700,160 | 1.4470e8 | 734,003,200 | 1,400 |"),
            "{}",
            doc.text
        );
        assert_eq!(doc.text.matches("\n| 20 ").count() + doc.text.matches("\n| **20** ").count(), 1);
    }
}
