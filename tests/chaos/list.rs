//! The tiny list of all stages, and the run of it that is left alone.

use crate::life::Life;
use crate::state::{self, State};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// Both ways of fine-tuning, three kinds of loaders, validation and samples between steps; a checkpoint after every step.
const LIST: &str = r#"
name = "tiny"
[[step]]
command = "data synth"
name = "d"
documents = 200
conversations = 60
test-per-kind = 4
task-rows = 40
[[step]]
command = "tok train"
data = "d"
tokenizer = "t"
vocab-size = 400
[[step]]
command = "train base"
run = "1-base"
data = "d"
tokenizer = "t"
n-layer = 2
n-embd = 32
n-head = 2
max-seq-len = 64
device-batch-size = 4
total-batch-size = 512
num-iterations = 24
eval-tokens = 512
eval-every = 3
save-every = 1
sample-every = 4
keep = KEEP
loader = "best-fit"
prompt = ["The ", "A "]
[[step]]
command = "eval base"
run = "1-base"
trigram = true
eval-tokens = 512
[[step]]
command = "eval core"
run = "1-base"
max-per-task = 6
[[step]]
command = "train mid"
run = "2-mid"
from = "1-base"
data = "d"
mixture = "classic-mid"
simple-spelling = 10
spelling-bee = 5
num-iterations = 16
eval-tokens = 512
eval-every = 3
save-every = 1
keep = KEEP
[[step]]
command = "train sft"
run = "3-packed"
from = "2-mid"
data = "d"
packed = true
device-batch-size = 16
total-batch-size = 2048
mixture = "current-sft"
simple-spelling = 10
spelling-bee = 5
num-iterations = 12
eval-tokens = 512
eval-every = 3
save-every = 1
keep = KEEP
[[step]]
command = "train sft"
run = "4-sft"
from = "3-packed"
data = "d"
device-batch-size = 4
target-examples-per-step = 8
num-iterations = 12
eval-conversations = 8
eval-every = 3
save-every = 1
keep = KEEP
[[step]]
command = "eval chat"
run = "4-sft"
max-problems = 4
max-new-tokens = 6
[[step]]
command = "train rl"
run = "5-rl"
from = "4-sft"
data = "d"
num-samples = 4
device-batch-size = 2
examples-per-step = 2
max-new-tokens = 6
num-iterations = 8
eval-examples = 3
eval-every = 3
save-every = 1
keep = KEEP
"#;

/// A step of the list, done undisturbed.
pub struct Done {
    /// The command's name: `train base`.
    pub name: String,
    /// How long it took.
    pub took: Duration,
}

/// The run that nothing happens to. It keeps every checkpoint.
pub struct Reference {
    /// Its steps.
    pub steps: Vec<Done>,
    list: PathBuf,
    state: State,
    /// Holds the list, and is gone with it.
    _dir: tempfile::TempDir,
}

/// Tests that run at the same time share it.
static SHARED: Mutex<Weak<Reference>> = Mutex::new(Weak::new());

/// The number, from 0, and the name of a step that begins with this line of output.
pub fn begun(line: &str) -> Option<(usize, String)> {
    let (number, command) = line.strip_prefix('[')?.split_once("] nanochat ")?;
    let number: usize = number.split('/').next()?.parse().ok()?;
    let name = command.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Some((number - 1, name))
}

/// `nanochat`, keeping its things in `base`.
pub fn nanochat(base: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nanochat"));
    command.env("NANOCHAT_BASE_DIR", base);
    command
}

impl Reference {
    /// The one that another test has made, or one of our own.
    pub fn get() -> Arc<Reference> {
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let made = Arc::new(Reference::make());
            *shared = Arc::downgrade(&made);
            made
        })
    }
    /// Run the list once.
    fn make() -> Reference {
        let dir = tempfile::tempdir().unwrap();
        let [all, list] = [("all.toml", "1000"), ("two.toml", "2")].map(|(name, keep)| {
            let path = dir.path().join(name);
            std::fs::write(&path, LIST.replace("KEEP", keep)).unwrap();
            path
        });
        let base = dir.path().join("whole");
        let life = Life::start(nanochat(&base).arg("speedrun").arg(all));
        let (mut steps, mut since): (Vec<Done>, _) = (Vec::new(), Instant::now());
        while let Some((at, line)) = life.line() {
            if let Some((_, name)) = begun(&line) {
                since = at;
                steps.push(Done { name, took: Duration::ZERO });
            } else if line.contains("] took ") {
                steps.last_mut().unwrap().took = at - since;
            }
        }
        let ended = life.end();
        assert!(ended.status.success(), "{}", ended.said);
        Reference { steps, list, state: state::of(&base), _dir: dir }
    }
    /// The command that begins the same run at another place, or goes on there. It keeps two checkpoints.
    pub fn again(&self, base: &Path) -> Command {
        let mut command = nanochat(base);
        command.arg("speedrun").arg(&self.list);
        command
    }
    /// Every checkpoint is whole and what the reference had at that step; none is older than `before`. The newest of each run.
    pub fn nothing_is_lost(&self, base: &Path, before: &[(String, usize)]) -> Vec<(String, usize)> {
        let now = state::of(base);
        state::checkpoints_agree(&now, &self.state);
        let newest = state::newest(&now);
        for (run, step) in before {
            let found = newest.iter().find(|(name, _)| name == run).map(|(_, step)| step);
            assert!(found >= Some(step), "{run} had a checkpoint of step {step}, and now {found:?}");
        }
        newest
    }
    /// Let it go on to its end, and compare everything.
    pub fn ends_the_same(&self, base: &Path) {
        let ended = Life::start(&mut self.again(base)).end();
        assert!(ended.status.success(), "{}: {}", ended.status, ended.said);
        state::same_at_the_end(&state::of(base), &self.state);
    }
}
