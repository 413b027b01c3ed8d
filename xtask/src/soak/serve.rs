//! `cargo xtask soak serve`: the server under everything that can be thrown at it.
//!
//! First clients that nobody here wrote (OpenAI's package, a real browser), where they can be installed. Then a minute of two
//! hundred clients at a time, of whom some hang up, read slowly or talk nonsense (`crowd.rs`). Last, random bytes for the
//! parsers that read what strangers and models write.

use super::crowd::{self, Plan};
use crate::command::{Context, Outcome};
use crate::python::scratch_python;
use crate::steps::{self, Step, Work};
use crate::tools::{cargo, succeed, target_folder};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

/// Expressions and request bodies that the parsers are given.
const EXPRESSIONS: &str = "10000000";
const BODIES: &str = "1000000";

/// The steps.
pub fn run(context: &Context, seconds: u64, streams: usize) -> Outcome {
    let target = target_folder(&context.root);
    let program = target.join("release/nanochat");
    let base = target.join("soak");
    let root = context.root.clone();
    let step = |name, rerun: &str, work| Step { name, rerun: rerun.into(), work };
    let mut build = cargo();
    build.args(["build", "--release", "--package", "nanochat-chat"]).current_dir(&root);
    let client = |package: &'static str, script: &'static str| {
        let (program, base, root, venv) =
            (program.clone(), base.clone(), root.clone(), target.join("clients"));
        match scratch_python(&venv, &[package]) {
            Err(why) => Work::Skip(why),
            Ok(python) => Work::Call(Box::new(move || {
                let server = Server::of_soak(&program, &base, &[])?;
                let mut process = Process::new(python);
                process.arg(root.join("tests/clients").join(script)).arg(&server.url);
                if package == "openai" {
                    process.arg("soak");
                }
                succeed(script, &mut process)?;
                server.end()
            })),
        }
    };
    let load = {
        let (program, base) = (program.clone(), base.clone());
        Box::new(move || load(&program, &base, seconds, streams))
    };
    let train = {
        let (program, base) = (program.clone(), base.clone());
        Box::new(move || train(&program, &base))
    };
    let browser = if crate::tools::has_program("chromium") {
        client("playwright", "page.py")
    } else {
        Work::Skip("there is no chromium".into())
    };
    let fuzz = |package: &str, part: &[&str], count: &str| {
        let mut process = cargo();
        process.args(["test", "--package", package]).args(part).arg("whatever");
        process.current_dir(&root).env("NANOCHAT_FUZZ", count);
        Work::Program(process)
    };
    let rerun = |package: &str, part: &str, count: &str| {
        format!("NANOCHAT_FUZZ={count} cargo test -p {package} {part} whatever")
    };
    let expressions = rerun("nanochat-train", "--lib", EXPRESSIONS);
    let bodies = rerun("nanochat-chat", "--bin nanochat", BODIES);
    steps::run(vec![
        step("build", "cargo build --release", Work::Program(build)),
        step("model", "cargo xtask soak serve", Work::Call(train)),
        step("openai", "cargo xtask soak serve", client("openai", "openai_client.py")),
        step("page", "cargo xtask soak serve", browser),
        step("load", "cargo xtask soak serve", Work::Call(load)),
        step("calculator", &expressions, fuzz("nanochat-train", &["--lib"], EXPRESSIONS)),
        step("requests", &bodies, fuzz("nanochat-chat", &["--bin", "nanochat"], BODIES)),
    ])
}

/// The pictures of the page, from the user's own run (or the most recent one), into the book's folder of images.
pub fn pictures(context: &Context, run: Option<&str>) -> Outcome {
    let target = target_folder(&context.root);
    let (program, root, venv) =
        (target.join("release/nanochat"), context.root.clone(), target.join("clients"));
    let mut build = cargo();
    build.args(["build", "--release", "--package", "nanochat-chat"]).current_dir(&root);
    let rerun = || "cargo xtask soak page".to_string();
    let args: Vec<String> = run.into_iter().flat_map(|run| ["--run".into(), run.into()]).collect();
    let work = match scratch_python(&venv, &["playwright"]) {
        Err(why) => Work::Skip(why),
        Ok(_) if !crate::tools::has_program("chromium") => Work::Skip("there is no chromium".into()),
        Ok(python) => Work::Call(Box::new(move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let server = Server::start(Process::new(&program), &args)?;
            let mut process = Process::new(python);
            process.arg(root.join("tests/clients/picture.py")).arg(&server.url);
            succeed("picture.py", process.arg(root.join("book/src/images")))?;
            server.end()
        })),
    };
    steps::run(vec![
        Step { name: "build", rerun: "cargo build --release".into(), work: Work::Program(build) },
        Step { name: "pictures", rerun: rerun(), work },
    ])
}

/// A model of depth 4 that has learned next to nothing: what it says does not matter here.
fn train(program: &Path, base: &Path) -> Result<(), String> {
    if base.join("runs/soak/checkpoints").exists() {
        return Ok(());
    }
    for args in [
        "data synth --documents 2000 --conversations 200 --test-per-kind 20",
        "tok train --vocab-size 2048",
        "train base --run soak --depth 4 --max-seq-len 256 --device-batch-size 2 --num-iterations 4 --eval-tokens 512",
    ] {
        let mut process = Process::new(program);
        process.args(args.split(' ')).env("NANOCHAT_BASE_DIR", base).stdout(Stdio::null());
        succeed(args, &mut process)?;
    }
    Ok(())
}

/// A running server.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Of the model that [`train`] made.
    fn of_soak(program: &Path, base: &Path, more: &[&str]) -> Result<Server, String> {
        let mut process = Process::new(program);
        process.env("NANOCHAT_BASE_DIR", base);
        Server::start(process, &[&["--run", "soak"], more].concat())
    }
    /// Of whatever the arguments say, on any free port.
    fn start(mut program: Process, args: &[&str]) -> Result<Server, String> {
        let mut child = program
            .args(["serve", "--port", "0", "--json"])
            .args(args)
            .env_remove("NANOCHAT_API_KEY")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start the server: {e}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(stdout).read_line(&mut line).map_err(|e| e.to_string())?;
        let url = line.split('"').find(|word| word.starts_with("http://"));
        let url = url.ok_or_else(|| format!("the server said {line:?}"))?.to_string();
        Ok(Server { child, url })
    }
    /// Resident memory, in MB (Linux).
    fn memory(&self) -> Option<f64> {
        let status =
            std::fs::read_to_string(PathBuf::from(format!("/proc/{}/status", self.child.id()))).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
    }
    /// Ctrl-C must end it, with 0.
    fn end(mut self) -> Result<(), String> {
        let pid = self.child.id().to_string();
        if cfg!(unix) {
            succeed("kill -INT", Process::new("kill").args(["-INT", &pid]))?;
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(30) {
                if let Some(status) = self.child.try_wait().map_err(|e| e.to_string())? {
                    return if status.success() {
                        Ok(())
                    } else {
                        Err(format!("the server ended with {status}"))
                    };
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            return Err("the server does not end after Ctrl-C".into());
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn load(program: &Path, base: &Path, seconds: u64, streams: usize) -> Result<(), String> {
    let queue = (streams / 2).max(1).to_string(); // so that some are sent away
    let server = Server::of_soak(program, base, &["--queue", &queue, "--max-batch", "32"])?;
    let address = server.url.trim_start_matches("http://").to_string();
    let half = Duration::from_secs(seconds.div_ceil(2));
    let plan = Plan { address: address.clone(), streams, time: half };
    let first = crowd::run(&plan);
    let warm = server.memory();
    let second = crowd::run(&plan);
    println!("first half:  {first}\nsecond half: {second}");
    for half in [&first, &second] {
        half.verdict()?;
    }
    crowd::settled(&address)?;
    let after = server.memory();
    if let (Some(warm), Some(after)) = (warm, after) {
        println!("memory: {warm:.0} MB after the first half, {after:.0} MB after the second");
        if after > 1.1 * warm + 20.0 {
            return Err(format!("memory grows: {warm:.0} MB, then {after:.0} MB"));
        }
    }
    server.end()
}
