//! All stages by one command, tiny: every command of the list works, a second call does nothing again, the page is there; and
//! errors of the data commands name the fix.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(base: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanochat"));
    command.env("NANOCHAT_BASE_DIR", base).stdin(Stdio::null());
    command.args(args).output().unwrap()
}

fn succeed(base: &Path, args: &[&str]) -> String {
    let out = run(base, args);
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "nanochat {args:?}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

fn fail(base: &Path, args: &[&str], code: i32, message: &str) {
    let out = run(base, args);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "nanochat {args:?}\n{stderr}");
    assert!(stderr.contains(message), "nanochat {args:?}: {stderr:?} should mention {message:?}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

const LIST: &str = r#"
name = "tiny"
[[step]]
command = "data synth"
name = "{name}-{seed}"
documents = 200
conversations = 60
test-per-kind = 4
task-rows = 40
[[step]]
command = "tok train"
data = "{name}-{seed}"
tokenizer = "{name}-{seed}"
vocab-size = 400
[[step]]
command = "train base"
run = "{name}-{seed}-base"
data = "{name}-{seed}"
tokenizer = "{name}-{seed}"
n-layer = 2
n-embd = 32
n-head = 2
max-seq-len = 96
device-batch-size = 4
num-iterations = 4
eval-tokens = 400
loader = "best-fit"
prompt = "The <b>"
[[step]]
command = "eval base"
run = "{name}-{seed}-base"
trigram = true
device-batch-size = 2
eval-tokens = 400
[[step]]
command = "eval core"
run = "{name}-{seed}-base"
max-per-task = 3
[[step]]
command = "train mid"
run = "{name}-{seed}-mid"
from = "{name}-{seed}-base"
data = "{name}-{seed}"
mixture = "classic-mid"
simple-spelling = 10
spelling-bee = 5
num-iterations = 2
eval-tokens = 400
[[step]]
command = "train sft"
run = "{name}-{seed}-sft"
from = "{name}-{seed}-mid"
data = "{name}-{seed}"
packed = true
mixture = "current-sft"
simple-spelling = 10
spelling-bee = 5
num-iterations = 2
eval-tokens = 400
[[step]]
command = "eval chat"
run = "{name}-{seed}-sft"
max-problems = 2
max-new-tokens = 4
[[step]]
command = "train rl"
run = "{name}-{seed}-rl"
from = "{name}-{seed}-sft"
data = "{name}-{seed}"
skip-problems = 10
num-samples = 2
device-batch-size = 2
examples-per-step = 2
max-new-tokens = 4
num-iterations = 2
eval-examples = 2
updates = 2
clip = 0.2
kl = 0.1
[[step]]
command = "train sft"
run = "{name}-{seed}-control"
from = "{name}-{seed}-sft"
data = "{name}-{seed}"
mixture = "classic-sft"
gsm8k-solved = 10
device-batch-size = 4
flops-of = "{name}-{seed}-rl"
[[step]]
command = "eval chat"
run = "{name}-{seed}-control"
max-problems = 2
max-new-tokens = 4
[[step]]
command = "eval chat"
run = "{name}-{seed}-rl"
max-problems = 2
max-new-tokens = 4
"#;

#[test]
fn a_list_runs_from_nothing_to_a_page_and_does_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("tiny.toml");
    std::fs::write(&list, LIST).unwrap();
    let (base, list) = (dir.path().join("base"), list.display().to_string());
    let said = succeed(&base, &["speedrun", &list, "--seeds", "2", "--seed", "1"]);
    for wanted in [
        "generated world",
        "Trigram bpb",
        "CORE metric",
        "ChatCORE metric",
        "pass@1",
        "± ",
        "Kneser–Ney",
        "control: more sft",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let again = succeed(&base, &["speedrun", &list, "--seed", "1"]);
    assert_eq!(again.matches("] done: ").count(), 12, "{again}");
    let table = succeed(&base, &["speedrun", &list, "--seeds", "2", "--seed", "1", "--json"]);
    let table: serde_json::Value = serde_json::from_str(table.lines().last().unwrap()).unwrap();
    let rows = table["table"].as_array().unwrap();
    let [base_row, .., control] = &rows[..] else { panic!("{table}") };
    assert!(
        base_row["here"]["mean"].as_f64().unwrap() > 0.0
            && base_row["beside"].as_str().unwrap().contains("trigram")
    );
    assert_eq!(control["beside"], "control: more sft");
    for seed in table["seeds"].as_array().unwrap() {
        let [there, here] = [0, 1].map(|i| seed["stages"][2]["flops"][i].as_f64().unwrap());
        assert!(there >= here && here > 0.0, "the control gets at least as much: {seed}");
    }
    let page = std::fs::read_to_string(base.join("runs/tiny-1-rl/report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("tiny-1-base") && page.contains("&lt;b&gt;"));
    assert!(succeed(&base, &["watch", "tiny-1-rl"]).contains("reward"));
    assert!(succeed(&base, &["watch", "tiny-1-rl", "--answers"]).contains("× 0.0 |"));
    fail(&base, &["watch", "tiny-1-sft", "--answers"], 1, "train rl");
    assert_eq!(
        std::fs::read_to_string(base.join("runs/tiny-1-rl/rollouts.jsonl")).unwrap().lines().count(),
        2,
        "two updates learn from one draw"
    );
    fail(&base, &["train", "rl", "--from", "tiny-1-sft", "--clip", "0.2", "--run", "x"], 2, "--updates 2");
    let none = ["train", "rl", "--from", "tiny-1-sft", "--run", "x", "--skip-problems", "40"];
    fail(&base, &none, 2, "no problem to learn from");
    let control = ["train", "sft", "--from", "tiny-1-sft", "--data", "tiny-1", "--run", "x", "--flops-of"];
    fail(&base, &[&control[..], &["nobody"]].concat(), 1, "no run \"nobody\"");
    fail(&base, &["train", "rl", "--from", "tiny-1-sft", "--num-samples", "3", "--run", "x"], 2, "use 8");
    fail(&base, &["train", "mid", "--from", "tiny-1-base", "--run", "tiny-1-base"], 2, "its own name");
    fail(&base, &["eval", "chat", "-i", "tiny-1-sft", "-a", "GSM9K"], 2, "SpellingBee");
    fail(
        &base,
        &["eval", "chat", "-i", "tiny-1-sft", "-a", "HumanEval", "-x", "1", "-m", "2"],
        2,
        "leave the task out",
    );
    let changed = dir.path().join("changed.toml");
    std::fs::write(&changed, LIST.replace("command = \"eval core\"", "command = \"eval sore\"")).unwrap();
    fail(&base, &["speedrun", &changed.display().to_string()], 2, "eval sore");
}

#[test]
fn shards_are_imported_inspected_and_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let (base, text) = (dir.path().join("base"), dir.path().join("t.txt"));
    std::fs::write(&text, (0..300).map(|i| format!("The number {i} is here.\n\n")).collect::<String>())
        .unwrap();
    succeed(&base, &["data", "import", &text.display().to_string(), "--name", "s", "--shards"]);
    succeed(&base, &["tok", "train", "--data", "s", "--vocab-size", "300"]);
    let seen = succeed(&base, &["data", "inspect", "s", "--tokenizer", "default"]);
    assert!(seen.contains("row groups") && seen.contains("bytes per token"), "{seen}");
    let train = "train base --data s --n-layer 1 --n-embd 32 --n-head 1 --max-seq-len 32 --device-batch-size 2 --num-iterations 2 --eval-tokens 64";
    let words: Vec<&str> = train.split(' ').collect();
    assert!(succeed(&base, &words).contains("Validation bpb:"));
    fail(&base, &[&words[..], &["--loader", "shuffled", "--run", "x"]].concat(), 2, "flat or best-fit");
    fail(&base, &["data", "inspect", "nowhere"], 1, "neither a file nor a data set");
    fail(&base, &["data", "download"], 2, "climbmix");
    fail(&base, &["data", "download", "unknown-set"], 2, "--manifest");
    fail(&base, &["eval", "core", "--run", "base"], 1, "eval_bundle");
    fail(&base, &["report", "--run", "nobody"], 1, "nobody");
}
