//! Decoding: greedy ids and logits through the cache, a prompt in chunks, and the probabilities of sampling.

use super::input::{Tensors, file_name, json, model_config};
use super::kind::Case;
use super::model::{VALUES, full_logits, load};
use super::report::{Checked, Reporter, Stop, Tolerance, fail};
use super::tokenizer::same;
use ::model::generate::{Sampling as Draws, generate, sampling_probabilities};
use ::model::{Gpt, KvCache};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use tensor::{DType, Device, Tensor};

#[derive(Deserialize)]
struct Dump {
    config: Value,
    prompt: Vec<i32>,
    greedy_ids: Vec<u32>,
    naive_generate_ids: Option<Vec<u32>>,
    batch3_first8: Option<Vec<Vec<u32>>>,
    single_token_prompt: Option<Short>,
    chunked_prefill_bounds: Option<Vec<usize>>,
}

#[derive(Deserialize)]
struct Short {
    prompt: Vec<i32>,
    greedy_ids: Vec<u32>,
}

/// `greedy.json` lists the cases, `greedy{i}.safetensors` holds the weights and logits of case i.
pub(super) fn check(case: &Case, report: &mut Reporter<'_>) -> Checked {
    let dumps: Vec<Dump> = json(&case.dir.join("greedy.json"))?;
    let name = |i: usize| format!("greedy{i}.safetensors");
    for (i, dump) in dumps.iter().enumerate() {
        let outcome = one(dump, &case.dir.join(name(i)), &format!("greedy{i}"), report);
        outcome.unwrap_or_else(|stop| report.stop(&name(i), stop));
    }
    let known = |file: &String| file == "greedy.json" || (0..dumps.len()).any(|i| *file == name(i));
    for file in case.files.iter().map(|f| file_name(f)).filter(|f| !known(f)) {
        report.exact(&file, fail("greedy.json has no such case"));
    }
    if dumps.is_empty() { fail("greedy.json is empty") } else { Ok(()) }
}

fn one(dump: &Dump, file: &Path, name: &str, report: &mut Reporter<'_>) -> Checked {
    let config = model_config(&dump.config)?;
    let stored = Tensors::read(file)?;
    let gpt = load(&config, stored.weights(&config, "")?)?;
    let n = dump.greedy_ids.len();
    if dump.prompt.is_empty() || n == 0 {
        return fail("greedy.json: an empty prompt or nothing generated");
    }

    let (ids, logits) = decode(&gpt, &dump.prompt, 1, n)?;
    report.exact(&format!("{name} ids"), ids_agree(&ids[0], &dump.greedy_ids));
    report.tensors(&format!("{name} kv_logits"), &logits, stored.get("expected.kv_logits")?, VALUES);
    let unsigned: Vec<u32> = dump.prompt.iter().map(|&id| id as u32).collect();
    let ids = generate(&gpt, &unsigned, n, Draws::greedy(), |_| true)?;
    report.exact(&format!("{name} ids, generate()"), ids_agree(&ids, &dump.greedy_ids));
    if let Some(theirs) = &dump.naive_generate_ids {
        let ids = without_cache(&gpt, &dump.prompt, theirs.len())?;
        report.exact(&format!("{name} ids, no cache"), ids_agree(&ids, theirs));
    }
    if let Some(theirs) = &dump.batch3_first8 {
        let most = theirs.iter().map(Vec::len).max().unwrap_or(0);
        let (ids, _) = decode(&gpt, &dump.prompt, theirs.len(), most)?;
        let rows = same("ids", &ids, theirs).map(|()| format!("{} rows", theirs.len()));
        report.exact(&format!("{name} ids, several rows"), rows);
    }
    if let Some(short) = &dump.single_token_prompt {
        let (ids, _) = decode(&gpt, &short.prompt, 1, short.greedy_ids.len())?;
        report.exact(&format!("{name} ids, short prompt"), ids_agree(&ids[0], &short.greedy_ids));
    }
    if let Some(bounds) = &dump.chunked_prefill_bounds {
        let ours = in_chunks(&gpt, &dump.prompt, bounds, false)?;
        let whole = full_logits(&gpt, &dump.prompt)?;
        report.tensors(&format!("{name} chunks = whole prompt"), &ours, &whole, VALUES);
        // The original does not smear the first token of a chunk, which then differs from the whole prompt.
        let ours = if gpt.config().parts.smear { in_chunks(&gpt, &dump.prompt, bounds, true)? } else { ours };
        let theirs = stored.get("expected.chunked_prefill_logits")?;
        report.tensors(&format!("{name} chunked_prefill_logits"), &ours, theirs, VALUES);
    }
    Ok(())
}

fn ids_agree(ours: &[u32], theirs: &[u32]) -> Checked<String> {
    same("ids", ours, theirs)?;
    Ok(format!("{} ids", ours.len()))
}

/// The first of the largest.
fn argmax(row: &[f64]) -> u32 {
    let mut best = 0;
    for (i, &v) in row.iter().enumerate() {
        if v > row[best] {
            best = i;
        }
    }
    best as u32
}

fn feed(gpt: &Gpt, cache: &mut KvCache, ids: &[i32]) -> Checked<Tensor> {
    let rows = cache.rows();
    let ids = Tensor::ids(ids, &[rows, ids.len() / rows], Device::Cpu)?;
    Ok(gpt.logits_cached(&ids, cache)?)
}

/// `n` greedy ids for each of `rows` equal rows, and the logits (n, V) they were taken from (of the first row).
fn decode(gpt: &Gpt, prompt: &[i32], rows: usize, n: usize) -> Checked<(Vec<Vec<u32>>, Tensor)> {
    if prompt.is_empty() || rows == 0 || n == 0 {
        return fail("greedy.json: nothing to decode");
    }
    let vocab = gpt.config().vocab_size;
    let mut cache = gpt.cache(rows, prompt.len() + n)?;
    let mut logits = feed(gpt, &mut cache, &prompt.repeat(rows))?;
    let (mut ids, mut all) = (vec![Vec::new(); rows], Vec::new());
    for k in 0..n {
        let values = logits.to_f64_vec();
        all.extend_from_slice(&values[..vocab]);
        let column: Vec<i32> = values.chunks(vocab).map(|row| argmax(row) as i32).collect();
        for (row, &id) in ids.iter_mut().zip(&column) {
            row.push(id as u32);
        }
        if k + 1 < n {
            logits = feed(gpt, &mut cache, &column)?;
        }
    }
    Ok((ids, Tensor::from_f64(&all, &[n, vocab], DType::F32, Device::Cpu)?))
}

/// The whole sequence through the model again for each id.
fn without_cache(gpt: &Gpt, prompt: &[i32], n: usize) -> Checked<Vec<u32>> {
    let vocab = gpt.config().vocab_size;
    let mut ids = prompt.to_vec();
    for _ in 0..n {
        let logits = full_logits(gpt, &ids)?.to_f64_vec();
        ids.push(argmax(&logits[logits.len() - vocab..]) as i32);
    }
    Ok(ids[prompt.len()..].iter().map(|&id| id as u32).collect())
}

/// Logits (P, V) of a prompt that enters the cache piece by piece. With `forget`, chunks of several tokens do as the original's
/// do: they know nothing of the embedding before their first.
fn in_chunks(gpt: &Gpt, prompt: &[i32], bounds: &[usize], forget: bool) -> Checked<Tensor> {
    let mut cache = gpt.cache(1, prompt.len())?;
    let mut all = Vec::new();
    for pair in bounds.windows(2) {
        let Some(chunk) = prompt.get(pair[0]..pair[1]).filter(|c| !c.is_empty()) else {
            return fail(format!("greedy.json: the bounds {bounds:?} do not cut the prompt"));
        };
        let ids = Tensor::ids(chunk, &[1, chunk.len()], Device::Cpu)?;
        if forget && chunk.len() > 1 {
            cache.remember(None);
        }
        let hidden = gpt.hidden_cached(&ids, &mut cache)?;
        all.extend(gpt.logits(hidden.value())?.to_f64_vec());
    }
    let vocab = gpt.config().vocab_size;
    Ok(Tensor::from_f64(&all, &[all.len() / vocab, vocab], DType::F32, Device::Cpu)?)
}

#[derive(Deserialize)]
struct Sampling {
    logits: Vec<f32>,
    cases: Vec<Distribution>,
}

#[derive(Deserialize)]
struct Distribution {
    temperature: f64,
    top_k: Option<usize>,
    probs: Vec<f64>,
}

/// How many evenly spaced uniform numbers are drawn with.
const DRAWS: usize = 4096;

/// The probabilities, and that our kernel draws by them: of evenly spaced uniform numbers, token i gets the part pᵢ, up to
/// one number at each end.
pub(super) fn sampling(file: &Path, report: &mut Reporter<'_>) -> Checked {
    let dump: Sampling = json(file)?;
    if dump.cases.is_empty() || dump.logits.is_empty() {
        return fail("no distributions");
    }
    let uniforms: Vec<f32> = (0..DRAWS).map(|i| (i as f32 + 0.5) / DRAWS as f32).collect();
    let greedy = Distribution { temperature: 0.0, top_k: None, probs: Vec::new() };
    for case in dump.cases.iter().chain([&greedy]) {
        let top_k = case.top_k.map_or("all".into(), |k| k.to_string());
        let name = format!("temperature {}, top_k {top_k}", case.temperature);
        let ours = sampling_probabilities(&dump.logits, case.temperature, case.top_k);
        if case.temperature > 0.0 {
            report.numbers(&name, &ours, &case.probs, Tolerance::MaxAbs(1e-6));
        }
        let drawn = frequencies(&dump.logits, &uniforms, case)?;
        report.numbers(&format!("{name}, drawn"), &drawn, &ours, Tolerance::MaxAbs(1.1 / DRAWS as f64));
    }
    Ok(())
}

/// What part of the uniform numbers draws each token.
fn frequencies(logits: &[f32], uniforms: &[f32], case: &Distribution) -> Checked<Vec<f64>> {
    let (n, v) = (uniforms.len(), logits.len());
    let rows = Tensor::from_slice(logits, &[1, v], Device::Cpu)?.expand(&[n, v])?.contiguous()?;
    let uniforms = Tensor::from_slice(uniforms, &[n], Device::Cpu)?;
    let mut ids = Tensor::uninit(&[n], DType::I32, Device::Cpu)?;
    let backend = Device::Cpu.backend();
    let (temperature, top_k) = (case.temperature, case.top_k);
    kernels::sample::sample(backend, rows.view(), uniforms.view(), temperature, top_k, ids.view_mut()?)?;
    let mut counts = vec![0.0; v];
    for id in ids.to_vec::<i32>()? {
        let slot = usize::try_from(id).ok().and_then(|id| counts.get_mut(id));
        *slot.ok_or_else(|| Stop::Fail("the logits have no distribution".into()))? += 1.0 / n as f64;
    }
    Ok(counts)
}
