//! Hostile texts: random bytes, and real PTX with bytes, words and lines changed, removed, repeated. Loading never panics,
//! hangs or takes memory without bound, and whatever loads also runs to an end: a result, or a fault.
#![allow(clippy::unwrap_used)] // the lint knows only functions that are marked as tests

use emulator::{Arg, Config, Device, Launch, Module, Options};
use std::time::{Duration, Instant};

/// A small generator, so that every run tries the same texts.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }
}

fn text(file: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/ptx/{file}.ptx", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The header and one kernel of a file, so that a mutation is likely to hit code that runs.
fn kernel(file: &str, number: usize) -> String {
    let whole = text(file);
    let mut parts = whole.split(".visible .entry ");
    let head = parts.next().unwrap();
    let body = parts.nth(number).unwrap();
    let end = body.rfind("\n}\n").map_or(body.len(), |at| at + 3);
    format!("{head}.visible .entry {}", &body[..end])
}

/// Loads and, where that works, runs every kernel with small limits.
fn try_all(text: &str) -> bool {
    let started = Instant::now();
    let loaded = Module::load(text, "fuzz");
    if let Ok(module) = &loaded {
        let options = Options { budget: 3_000, threads: Some(1), ..Options::default() };
        let kernels: Vec<String> = module.kernels().map(String::from).collect();
        for kernel in kernels.iter().take(3) {
            let mut device = Device::new(Config { memory_bytes: 64 << 20, ..Config::default() });
            let (out, input) = (device.alloc(512).unwrap(), device.upload(&[0.5_f32; 128]).unwrap());
            let args: [Arg; 3] = [out.into(), input.into(), 128_i32.into()];
            let _ = device.launch(&Launch {
                grid: [2, 1, 1],
                block: [64, 1, 1],
                options,
                ..Launch::of(module, kernel, &args)
            });
        }
    }
    assert!(started.elapsed() < Duration::from_secs(5), "this took too long:\n{text}");
    loaded.is_ok()
}

#[test]
fn random_bytes_are_refused() {
    let mut random = Random(1);
    for _ in 0..400 {
        let length = random.below(300);
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        try_all(&String::from_utf8_lossy(&bytes));
        let ascii: String = (0..length)
            .map(|_| char::from(b" \n\t{}[];:,.@!%_<>()=+-0123456789abcrdfusx"[random.below(41)]))
            .collect();
        try_all(&format!(".version 8.8\n.target sm_80\n.address_size 64\n.entry k() {{\n{ascii}"));
    }
}

#[test]
fn mutated_texts_load_or_are_refused_and_run_to_an_end() {
    let mut random = Random(7);
    let (mut tried, mut ran) = (0, 0);
    for (file, kernels) in [("barriers", 28), ("warps", 22), ("memory", 42), ("tiles", 16)] {
        for number in 0..kernels {
            let original = kernel(file, number);
            for _ in 0..40 {
                let mutated = mutate(&original, &mut random);
                tried += 1;
                ran += usize::from(try_all(&mutated));
            }
        }
    }
    // If nearly all were refused, or nearly none, the mutations would test little.
    assert!(ran * 20 > tried && ran * 10 < tried * 9, "{ran} of {tried} were accepted");
}

fn mutate(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let first = lines.iter().position(|l| l.contains(".entry")).unwrap_or(0);
    for _ in 0..1 + random.below(3) {
        let at = first + random.below(lines.len() - first);
        let other = first + random.below(lines.len() - first);
        match random.below(8) {
            0 => {
                lines.remove(at);
            }
            1 => lines.swap(at, other),
            2 => {
                let line = lines[other].clone();
                lines.insert(at, line);
            }
            3 => {
                // another number in its place
                let number = [0, 1, 7, 31, 255, 65_535, 4_294_967_295_u64][random.below(7)].to_string();
                let line = &mut lines[at];
                if let Some(start) = line.rfind(|c: char| c.is_ascii_digit()) {
                    line.replace_range(start..=start, &number);
                }
            }
            4 => {
                // a register or a word of another line
                let word = lines[other].split_whitespace().nth(random.below(4)).unwrap_or("").to_string();
                let line = lines[at].clone();
                let mut words: Vec<&str> = line.split_whitespace().collect();
                if !words.is_empty() {
                    let which = random.below(words.len());
                    words[which] = &word;
                    lines[at] = words.join(" ");
                }
            }
            5 => {
                let line = &mut lines[at];
                if line.is_ascii() && !line.is_empty() {
                    let place = random.below(line.len());
                    line.replace_range(place..=place, &char::from(33 + random.below(94) as u8).to_string());
                }
            }
            6 => lines[at] = lines[at].replace("32", "64"),
            _ => lines[at] = lines[at].replace("%r", "%rd"),
        }
        if lines.len() <= first + 1 {
            break;
        }
    }
    lines.join("\n")
}

#[test]
fn sizes_that_a_text_only_claims_take_no_memory() {
    let head = ".version 8.8\n.target sm_80\n.address_size 64\n";
    let registers =
        format!("{head}.entry k() {{\n.reg .b32 %r<4294967295>;\nmov.u32 %r4294967294, 1;\nret;\n}}\n");
    Module::load(&registers, "x").unwrap();
    assert!(Module::load(&format!("{head}.global .b8 x[4294967295];\n"), "x").is_err());
    assert!(
        Module::load(&format!("{head}.global .b64 x[65536][65536][65536][65536][65536];\n"), "x").is_err()
    );
    let local =
        format!("{head}.entry k() {{\n.local .b8 x[268435455];\n.local .b8 y[268435455];\nret;\n}}\n");
    if let Ok(module) = Module::load(&local, "x") {
        let mut device = Device::new(Config::default());
        assert!(device.launch(&Launch { block: [1024, 1, 1], ..Launch::of(&module, "k", &[]) }).is_err());
    }
    let nested = format!("{head}.entry k() {{\n{}", "{".repeat(100_000));
    assert!(Module::load(&nested, "x").is_err());
    let operands = format!("{head}.entry k() {{\nadd.u32 {};\n}}", "{".repeat(100_000));
    assert!(Module::load(&operands, "x").is_err());
}
