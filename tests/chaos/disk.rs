//! A disk that is full: a typed error, nothing lost beyond the last checkpoint, and the run goes on when there is room.
//!
//! The real thing needs a small file system, which `mount` makes where that is allowed (root, Linux). A limit on the size of
//! files works everywhere and fails the same writes in the same places, only with another word for it.

use crate::life::Life;
use crate::list::{Reference, begun};
use crate::{into, spread, wanted};
use kernels::philox::Philox;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file system of its own in memory; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, megabytes: usize) -> Option<SmallDisk> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).stderr(Stdio::null());
        mount.status().is_ok_and(|s| s.success()).then(|| SmallDisk(at.into()))
    }
    fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.0).unwrap();
        found.f_bavail * found.f_frsize
    }
    /// Something else takes all but so many bytes.
    fn leave(&self, bytes: u64) {
        let taken = self.0.join("taken");
        let _ = std::fs::remove_file(&taken);
        std::fs::write(taken, vec![1; self.free().saturating_sub(bytes) as usize]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_it_ends_with_an_error_and_goes_on_when_there_is_room() {
    let (wanted, seed) = wanted(4);
    let rounds = wanted.min(12);
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk"), 64) else {
        println!(
            "notice: no small file system can be mounted here (that needs root on Linux); only the limit of file sizes is tried"
        );
        return;
    };
    println!("a file system of 64 MB in memory");
    let reference = Reference::get();
    let (base, mut rng) = (disk.0.join("base"), Philox::new(seed, 3));
    let (mut newest, mut full) = (Vec::new(), 0);
    for round in 0..rounds {
        let room = match round {
            0 => 10_000, // not even for the data
            _ => 150_000 + u64::from(rng.below(900_000)),
        };
        disk.leave(room);
        let mut life = Life::start(&mut reference.again(&base));
        let mut at = String::new();
        while let Some((_, line)) = life.line() {
            at = begun(&line).map_or(at, |(_, name)| name);
        }
        let ended = life.end();
        if ended.status.success() {
            println!("{room:7} bytes free: it came to its end, and another begins");
            reference.ends_the_same(&base);
            std::fs::remove_dir_all(&base).unwrap();
            newest.clear();
            continue;
        }
        let error = ended.refused(&["No space left on device", &base.display().to_string()]);
        full += 1;
        newest = reference.nothing_is_lost(&base, &newest);
        println!("{room:7} bytes free: in {at:10}: {}", error.replace(&base.display().to_string(), ""));
        // A little room, and on to some other place.
        disk.leave(u64::MAX);
        life = Life::start(&mut reference.again(&base));
        into(&mut life, &reference, spread(&reference, rounds)[round], &mut rng);
        life.kill();
        newest = reference.nothing_is_lost(&base, &newest);
    }
    std::fs::remove_file(disk.0.join("taken")).unwrap();
    reference.ends_the_same(&base);
    println!("seed {seed}: full {full} times; all bits equal");
    assert!(2 * full >= rounds, "there was room too often");
}

#[test]
fn where_a_file_cannot_grow_it_ends_with_an_error_and_goes_on_when_it_can() {
    let (wanted, seed) = wanted(3);
    let rounds = wanted.min(8);
    let dir = tempfile::tempdir().unwrap();
    let reference = Reference::get();
    let (base, mut rng) = (dir.path().join("limited"), Philox::new(seed, 4));
    let mut newest = Vec::new();
    println!("a limit of file sizes (ulimit -f), no root needed");
    for aim in spread(&reference, rounds) {
        let mut life = Life::start(&mut reference.again(&base));
        into(&mut life, &reference, aim, &mut rng);
        life.kill();
        let blocks = (1 + rng.below(500)).to_string();
        let whole = reference.again(&base);
        let mut limited = Command::new("sh");
        limited
            .args(["-c", "trap '' XFSZ; ulimit -f $0; exec \"$@\"", &blocks])
            .env("NANOCHAT_BASE_DIR", &base);
        limited.arg(whole.get_program()).args(whole.get_args());
        let error = Life::start(&mut limited).end().refused(&["File too large", &base.display().to_string()]);
        println!("{blocks:>3} blocks at most: {}", error.replace(&base.display().to_string(), ""));
        newest = reference.nothing_is_lost(&base, &newest);
    }
    reference.ends_the_same(&base);
    println!("seed {seed}: limited {rounds} times; all bits equal");
}
