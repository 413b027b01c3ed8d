//! Registry entries of the cache: batches at different positions, pages out of order, shared and unused pages.

use super::{kv_append, paged_attention, work};
use crate::DType;
use crate::attention::AttentionParams;
use crate::registry::{Arg, Cost, Draw, KernelInfo, Layouts, Sample};

/// A batch whose rows are at different positions.
struct Case {
    label: &'static str,
    /// T, H, Hk, D.
    dims: [usize; 4],
    /// Number of pages and their length.
    pages: [usize; 2],
    /// Pages of each row, in order; −1 where none is needed.
    table: &'static [&'static [i32]],
    /// Position of each row's first query; the others follow.
    first: &'static [i32],
    /// Negative: none.
    window: f64,
}

const CASES: &[Case] = &[
    Case {
        label: "first token",
        dims: [1, 1, 1, 2],
        pages: [1, 1],
        table: &[&[0]],
        first: &[0],
        window: -1.0,
    },
    Case {
        label: "rows at different positions, pages out of order",
        dims: [1, 4, 2, 24],
        pages: [7, 5],
        table: &[&[3, 0, 6], &[5, -1, -1], &[2, 4, 1]],
        first: &[12, 0, 9],
        window: -1.0,
    },
    Case {
        label: "chunk of three, 6:1, odd D",
        dims: [3, 6, 1, 7],
        pages: [3, 4],
        table: &[&[2, 0, 1]],
        first: &[6],
        window: -1.0,
    },
    Case { label: "empty batch", dims: [1, 2, 2, 8], pages: [2, 4], table: &[], first: &[], window: -1.0 },
    Case {
        label: "window inside one block",
        dims: [2, 2, 2, 64],
        pages: [2, 100],
        table: &[&[1], &[0]],
        first: &[97, 30],
        window: 9.0,
    },
    Case {
        label: "window that dropped pages",
        dims: [1, 2, 1, 32],
        pages: [3, 64],
        table: &[&[-1, 2, 1, 0]],
        first: &[255],
        window: 150.0,
    },
    Case {
        label: "d4, one long page per row",
        dims: [1, 2, 2, 128],
        pages: [2, 512],
        table: &[&[0], &[1]],
        first: &[511, 300],
        window: 512.0,
    },
];

/// Keys of a d12 conversation: one reply, eight replies at once, and a prompt.
const REAL: &[Case] = &[
    Case {
        label: "d12.decode.b1",
        dims: [1, 6, 6, 128],
        pages: [1, 2048],
        table: &[&[0]],
        first: &[1023],
        window: -1.0,
    },
    Case {
        label: "d12.decode.b8",
        dims: [1, 6, 6, 128],
        pages: [8, 2048],
        table: &[&[0], &[1], &[2], &[3], &[4], &[5], &[6], &[7]],
        first: &[1023; 8],
        window: -1.0,
    },
    Case {
        label: "d12.prefill",
        dims: [512, 6, 6, 128],
        pages: [1, 2048],
        table: &[&[0]],
        first: &[0],
        window: -1.0,
    },
];

impl Case {
    fn positions(&self) -> Draw {
        Draw::Exact(self.first.iter().flat_map(|&p| p..p + self.dims[0] as i32).collect())
    }
    fn table(&self) -> Draw {
        Draw::Exact(self.table.iter().flat_map(|row| row.iter().copied()).collect())
    }
    /// Shapes of x (`heads` of them), positions, page table and a cache.
    fn shapes(&self, heads: usize) -> [Vec<usize>; 4] {
        let ([t, _, kv_heads, d], [n, len], b) = (self.dims, self.pages, self.first.len());
        let max_pages = self.table.first().map_or(1, |row| row.len());
        [vec![b, t, heads, d], vec![b, t], vec![b, max_pages], vec![n, len, kv_heads, d]]
    }
}

fn append_sample(c: &Case) -> Sample {
    let [x, positions, table, pages] = c.shapes(c.dims[2]);
    let args = vec![
        Arg::input("x", &x, Draw::Normal),
        Arg::input("positions", &positions, c.positions()),
        Arg::input("page_table", &table, c.table()),
        Arg::inout("pages", &pages, Draw::Normal),
    ];
    Sample::new(c.label, args)
}

fn attention_sample(c: &Case) -> Sample {
    let [q, positions, table, pages] = c.shapes(c.dims[1]);
    let args = vec![
        Arg::input("q", &q, Draw::Normal),
        Arg::input("k_pages", &pages, Draw::Normal),
        Arg::input("v_pages", &pages, Draw::Normal),
        Arg::input("page_table", &table, c.table()),
        Arg::input("positions", &positions, c.positions()),
        Arg::out("o", &q),
    ];
    Sample::new(c.label, args).with(&[(1.0 / (c.dims[3] as f64).sqrt()) as f32 as f64, c.window])
}

fn params(s: &[f64]) -> AttentionParams {
    AttentionParams { scale: s[0] as f32, window: (s[1] >= 0.0).then_some(s[1] as usize) }
}

/// Registry entries.
pub const KERNELS: &[KernelInfo] = &[
    KernelInfo {
        name: "kv_append",
        doc: "pages[page_table[b][pos / page_len]][pos % page_len] = x[b, t]",
        samples: || CASES.iter().map(append_sample).collect(),
        bench: || REAL.iter().map(append_sample).collect(),
        run: |b, ins, outs, _| kv_append(b, ins[0], ins[1], ins[2], outs[0].reborrow()),
        scales: &[1.0, 0.0],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 0.0, // a copy
        roundings: 0.0,
        magnitude: None,
        cost: |s, bytes| {
            let indices = s.bytes_of("positions", bytes) + s.bytes_of("page_table", bytes);
            Cost { flops: 0.0, bytes: 2.0 * s.bytes_of("x", bytes) + indices }
        },
    },
    KernelInfo {
        name: "paged_attention",
        doc: "o = softmax(scale·q·Kᵀ)·V over the cached positions pos − window ..= pos",
        samples: || CASES.iter().map(attention_sample).collect(),
        bench: || REAL.iter().map(attention_sample).collect(),
        run: |b, ins, outs, s| {
            paged_attention(b, ins[0], ins[1], ins[2], ins[3], ins[4], params(s), outs[0].reborrow())
        },
        scales: &[1.0, 4.0, 1e-3, 0.0],
        dtypes: &[DType::F32, DType::Bf16],
        layouts: Layouts::Rows,
        tolerance: 12.0, // one key after the other, up to 150 of one sign
        roundings: 0.0,
        magnitude: Some(magnitude),
        cost,
    },
];

/// What [`work`] says, and the small arguments.
fn cost(s: &Sample, bytes: f64) -> Cost {
    let Some(Arg { draw: Draw::Exact(positions), .. }) = s.args.iter().find(|a| a.name == "positions") else {
        return Cost::default();
    };
    let (time, heads, d, kv_heads) = (s.dims("q")[1], s.dims("q")[2], s.dims("q")[3], s.dims("k_pages")[2]);
    let [flops, caches] = work(positions, [time, heads, kv_heads, d], params(&s.scalars), bytes);
    let others: f64 = ["q", "o", "positions", "page_table"].iter().map(|name| s.bytes_of(name, bytes)).sum();
    Cost { flops, bytes: caches + others }
}

/// `Σ p·(1 + e + Σ p·e)·|v|`, `e = scale·Σ|q·k|`: see the bound of [`crate::attention`].
fn magnitude(x: &[Vec<f64>], s: &Sample) -> Vec<Vec<f64>> {
    let (q_dims, pages, max_pages) = (s.dims("q"), s.dims("k_pages"), s.dims("page_table")[1]);
    let (time, heads, d) = (q_dims[1], q_dims[2], q_dims[3]);
    let p = params(&s.scalars);
    let mut out = vec![0.0; x[0].len()];
    for (row, o) in out.chunks_mut(d).enumerate() {
        let (token, kv_head) = (row / heads, row % heads / (heads / pages[2]));
        let q = &x[0][row * d..(row + 1) * d];
        let keys: Vec<(usize, f64, f64)> = p
            .visible(x[4][token] as usize)
            .map(|j| {
                let page = x[3][token / time * max_pages + j / pages[1]] as usize;
                let at = ((page * pages[1] + j % pages[1]) * pages[2] + kv_head) * d;
                let terms = || q.iter().zip(&x[1][at..]).map(|(q, k)| p.scale as f64 * q * k);
                (at, terms().sum(), terms().map(f64::abs).sum())
            })
            .collect();
        let max = keys.iter().fold(f64::NEG_INFINITY, |m, k| m.max(k.1));
        let sum: f64 = keys.iter().map(|k| (k.1 - max).exp()).sum();
        let shared: f64 = keys.iter().map(|k| (k.1 - max).exp() / sum * k.2).sum();
        for (at, score, e) in keys {
            for i in 0..d {
                o[i] += (score - max).exp() / sum * (1.0 + e + shared) * x[2][at + i].abs();
            }
        }
    }
    vec![out]
}
