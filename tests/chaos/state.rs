//! What a run leaves behind, for a comparison bit for bit: every file below the base folder, without what says how long
//! something took and without the page about it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Files by their path below the base folder.
pub type State = BTreeMap<String, Vec<u8>>;

/// Figures that depend on the clock.
const TIMES: &[&str] = &["seconds", "data_seconds", "tokens_per_second", "gflops"];

/// Everything below `base`.
pub fn of(base: &Path) -> State {
    let mut state = State::new();
    walk(base, base, &mut state);
    state
}

fn walk(base: &Path, dir: &Path, state: &mut State) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(base).unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            walk(base, &path, state);
        } else if !name.contains("/report.") && !name.starts_with("speedruns/") {
            state.insert(name, comparable(&path));
        }
    }
}

/// The file without times.
fn comparable(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name != "metrics.jsonl" && name != "state.json" {
        return bytes;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let texts: Vec<&str> = if name == "state.json" { vec![&text] } else { text.lines().collect() };
    let without = |text: &&str| match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            without_times(&mut value);
            value.to_string() + "\n"
        }
        Err(_) => format!("{text}\n"), // cut short by a kill
    };
    texts.iter().map(without).collect::<String>().into_bytes()
}

fn without_times(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|name, _| !TIMES.contains(&name.as_str()));
        fields.values_mut().for_each(without_times);
    }
}

/// The folder of a complete checkpoint in which a file is: its run and its step.
fn checkpoint(name: &str) -> Option<(String, usize)> {
    let (run, rest) = name.strip_prefix("runs/")?.split_once("/checkpoints/step_")?;
    Some((run.into(), rest.split('/').next()?.parse().ok()?))
}

/// The newest checkpoint of each run, in the order of their names.
pub fn newest(state: &State) -> Vec<(String, usize)> {
    let all: BTreeMap<String, usize> = state.keys().filter_map(|name| checkpoint(name)).collect();
    all.into_iter().collect()
}

/// Every checkpoint in `state` is in `reference`, the same, with all of its files.
pub fn checkpoints_agree(state: &State, reference: &State) {
    let mut found: BTreeMap<(String, usize), usize> = BTreeMap::new();
    for (name, bytes) in state {
        if let Some(which) = checkpoint(name) {
            assert_eq!(Some(bytes), reference.get(name), "{name} is not as it was in the run left alone");
            *found.entry(which).or_default() += 1;
        }
    }
    assert!(found.values().all(|&files| files == 3), "half checkpoints: {found:?}");
}

/// The same at the end: no file more, and none less except older checkpoints.
pub fn same_at_the_end(state: &State, reference: &State) {
    checkpoints_agree(state, reference);
    assert_eq!(newest(state), newest(reference));
    let others = |state: &State| -> Vec<String> {
        state.keys().filter(|name| checkpoint(name).is_none()).cloned().collect()
    };
    let (ours, theirs) = (others(state), others(reference));
    let missing = |of: &[String], from: &[String]| -> Vec<String> {
        of.iter().filter(|name| !from.contains(name)).cloned().collect()
    };
    assert_eq!(missing(&ours, &theirs), missing(&theirs, &ours), "files too many, and files too few");
    for name in others(state) {
        let [ours, theirs] = [state, reference].map(|s| String::from_utf8_lossy(&s[&name]).into_owned());
        let line = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
        assert!(ours == theirs, "{name} differs: {line:?}, {} and {} bytes", ours.len(), theirs.len());
    }
}
