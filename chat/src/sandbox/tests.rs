//! Programs that behave and programs that do not.

use super::*;
use std::sync::Arc;
use tokenizer::Content;
use train::tasks::Task;
use train::tasks::human_eval::HumanEval;

fn sandbox(walls: Walls) -> Option<Sandbox> {
    match Sandbox::new(walls, Duration::from_secs(3)) {
        Ok(sandbox) => Some(sandbox),
        Err(error) => {
            crate::output::error(&format!(
                "notice: the sandbox {walls:?} is not tested on this machine: {error:#}"
            ));
            None
        }
    }
}

#[test]
fn a_good_program_runs_and_others_do_not_count() {
    for sandbox in [Walls::Isolated, Walls::Limits].into_iter().filter_map(sandbox) {
        let runs = |program: &str| sandbox.runs(program).unwrap();
        assert!(runs("import math\ndef f(x): return math.sqrt(x)\nassert f(4) == 2"));
        assert!(
            runs("open('note', 'w').write('x')\nassert open('note').read() == 'x'"),
            "scratch is its own"
        );
        assert!(!runs("assert 1 == 2") && !runs("def f(:"));
        assert!(
            !runs("import sys; sys.exit(0)") && !runs("import os; os._exit(0)"),
            "ended before its last line"
        );
        assert!(!runs("print('ran to the end'); import os; os._exit(0)"));
    }
}

#[test]
fn nobody_waits_or_pays_for_a_program_without_end() {
    for sandbox in [Walls::Isolated, Walls::Limits].into_iter().filter_map(sandbox) {
        let begun = Instant::now();
        assert!(!sandbox.runs("while True: pass").unwrap());
        assert!(!sandbox.runs("import time; time.sleep(60)").unwrap());
        assert!(!sandbox.runs("import os, time\nif os.fork(): time.sleep(60)\ntime.sleep(60)").unwrap());
        assert!(!sandbox.runs("x = bytearray(2 << 30)").unwrap(), "memory");
        assert!(!sandbox.runs("open('big', 'wb').write(bytes(100 << 20))").unwrap(), "files");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn behind_walls_there_is_no_network_and_no_file_of_others() {
    let Some(sandbox) = sandbox(Walls::Isolated) else { return };
    let runs = |program: &str| sandbox.runs(program).unwrap();
    let secret = std::env::temp_dir().join(format!("nanochat-secret-{}", unique()));
    fs::write(&secret, "secret").unwrap();
    let path = secret.display().to_string();
    assert!(runs(&format!("import os; assert not os.path.exists({path:?})")));
    assert!(runs("import os; assert not os.path.exists('/etc/passwd') and os.listdir('/outside') == []"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert!(!runs(&format!("import socket; socket.create_connection(('127.0.0.1', {}))", address.port())));
    assert!(!runs("open('/usr/nanochat-was-here', 'w')"));
    assert!(!Path::new("/usr/nanochat-was-here").exists());
    assert!(
        !runs("import subprocess; subprocess.run(['mount', '-o', 'remount,bind,rw', '/usr'], check=True)"),
        "walls cannot be taken down"
    );
    assert!(runs(&format!("import os; assert {} != os.getppid()", std::process::id())));
    fs::remove_file(&secret).unwrap();
}

#[test]
fn the_published_solutions_of_human_eval_pass_and_none_do_not() {
    let Some(file) = std::env::var_os("NANOCHAT_HUMAN_EVAL") else {
        crate::output::error("notice: HumanEval itself is not run: `cargo xtask soak tasks` fetches it");
        return;
    };
    let sandbox = [Walls::Isolated, Walls::Limits].into_iter().find_map(sandbox).unwrap();
    let task = HumanEval::from_file(Path::new(&file), Some(Arc::new(sandbox))).unwrap();
    let score = |policy: &dyn Fn(&str) -> String| {
        let right = |i| {
            let example = task.example(i).unwrap();
            let Content::Text(solution) = &example.conversation.messages[1].content else { return false };
            task.is_right(&example, &policy(solution)).unwrap()
        };
        (0..task.len()).filter(|&i| right(i)).count()
    };
    assert_eq!(task.len(), 164);
    assert_eq!(score(&|solution| format!("```python\n{solution}\n```")), 164);
    assert_eq!(score(&|_| "def nothing():\n    pass".into()), 0);
}
