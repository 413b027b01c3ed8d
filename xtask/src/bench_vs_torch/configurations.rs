//! What is compared with PyTorch: a list of models, kinds of work and ways to run PyTorch.
//!
//! A name says it all: `train.d4.v4096.b8.f32.best` is the training step of a depth 4 model with 4096 token ids and 8 rows
//! in f32, against PyTorch at its best.

/// How PyTorch is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// The plain module.
    Eager,
    /// `torch.compile`, everything else as it comes.
    Compiled,
    /// `torch.compile`, its allocator told to keep memory, and products allowed to use what is fastest.
    Best,
}

/// Variables that make the C library's allocator keep what it was given, in large pages: few users set them.
const TUNED: [&str; 4] = [
    "THP_MEM_ALLOC_ENABLE=1",
    "MALLOC_MMAP_MAX_=0",
    "MALLOC_TRIM_THRESHOLD_=34359738368",
    "MALLOC_TOP_PAD_=268435456",
];

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Eager => "eager",
            Mode::Compiled => "compiled",
            Mode::Best => "best",
        }
    }
    /// Variables of PyTorch's side, as `NAME=value` words.
    pub fn environment(self) -> &'static [&'static str] {
        if self == Mode::Best { &TUNED } else { &[] }
    }
    /// Options of PyTorch's side.
    pub fn options(self) -> &'static [&'static str] {
        match self {
            Mode::Eager => &[],
            Mode::Compiled => &["--compile"],
            Mode::Best => &["--compile", "--matmul-precision", "medium"],
        }
    }
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// Unique; the file of its result is called so.
    pub name: String,
    /// What both sides are asked for: `step`, `prefill` or `decode`.
    pub work: &'static str,
    /// Options of both sides: the model, its dtype, the threads where they are not all.
    pub options: Vec<String>,
    /// How PyTorch is run.
    pub mode: Mode,
    /// Pieces of work a side does per round, and before the first round.
    pub pieces: [usize; 2],
}

impl Configuration {
    fn new(name: &str, work: &'static str, options: &str, mode: Mode, pieces: [usize; 2]) -> Self {
        let options = options.split(' ').map(String::from).collect();
        Configuration { name: format!("{name}.{}", mode.name()), work, options, mode, pieces }
    }
}

/// All comparisons, in the order in which they are made.
pub fn all() -> Vec<Configuration> {
    let mut all = Vec::new();
    for dtype in ["f32", "bf16"] {
        for (depth, vocab, batch, steps) in [(4, 4096, 8, 3), (4, 32768, 8, 2), (6, 32768, 32, 1)] {
            let name = format!("train.d{depth}.v{vocab}.b{batch}.{dtype}");
            let options =
                format!("--depth {depth} --vocab {vocab} --batch {batch} --seq-len 512 --dtype {dtype}");
            for mode in [Mode::Compiled, Mode::Best] {
                all.push(Configuration::new(&name, "step", &options, mode, [steps, steps + 1]));
            }
        }
        for (depth, vocab, batch, steps) in [(4, 32768, 8, 2), (6, 32768, 8, 1)] {
            let name = format!("train.current.d{depth}.v{vocab}.b{batch}.{dtype}");
            let options = format!(
                "--generation current --depth {depth} --vocab {vocab} --batch {batch} --seq-len 512 --dtype {dtype}"
            );
            for mode in [Mode::Compiled, Mode::Best] {
                all.push(Configuration::new(&name, "step", &options, mode, [steps, steps + 1]));
            }
        }
        for depth in [4, 12] {
            let model = format!("--depth {depth} --vocab 32768 --dtype {dtype}");
            for mode in [Mode::Eager, Mode::Best] {
                for batch in [1, 8] {
                    let options = format!("{model} --batch {batch} --prompt 256 --new 32");
                    let name = format!("decode.d{depth}.b{batch}.{dtype}");
                    all.push(Configuration::new(&name, "decode", &options, mode, [32, 40]));
                }
                for prompt in [256, 1024] {
                    let name = format!("prefill.d{depth}.p{prompt}.{dtype}");
                    let options = format!("{model} --prompt {prompt} --new 1");
                    all.push(Configuration::new(&name, "prefill", &options, mode, [2, 2]));
                }
            }
        }
    }
    all.extend(scaling());
    all
}

/// How time grows with threads, with the length of rows and with depth, V being small.
fn scaling() -> Vec<Configuration> {
    let one = |name: String, options: &str| {
        let options = format!("--vocab 4096 --dtype f32 {options}");
        Configuration::new(&name, "step", &options, Mode::Compiled, [2, 3])
    };
    let threads = [1, 2].map(|n| {
        one(format!("scaling.threads{n}"), &format!("--depth 4 --batch 8 --seq-len 512 --threads {n}"))
    });
    let lengths = [512, 1024, 2048, 4096]
        .map(|t| one(format!("scaling.t{t}"), &format!("--depth 4 --batch {} --seq-len {t}", 4096 / t)));
    let depths =
        [2, 4, 6, 8].map(|d| one(format!("scaling.d{d}"), &format!("--depth {d} --batch 8 --seq-len 512")));
    threads.into_iter().chain(lengths).chain(depths).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_make_file_names() {
        let names: Vec<String> = all().into_iter().map(|c| c.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.';
        assert!(names.iter().all(|name| name.chars().all(plain)), "{names:?}");
        for name in [
            "train.d6.v32768.b32.bf16.best",
            "train.current.d6.v32768.b8.f32.compiled",
            "decode.d12.b8.f32.eager",
            "scaling.t4096.compiled",
        ] {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
    }

    #[test]
    fn lengths_share_the_number_of_tokens() {
        let tokens = |c: &Configuration| -> usize {
            let after = |name: &str| {
                c.options[c.options.iter().position(|o| o == name).unwrap() + 1].parse::<usize>()
            };
            after("--batch").unwrap() * after("--seq-len").unwrap()
        };
        let lengths: Vec<_> = scaling().into_iter().filter(|c| c.name.starts_with("scaling.t")).collect();
        assert!(lengths.len() >= 4 && lengths.iter().all(|c| tokens(c) == 4096));
    }
}
