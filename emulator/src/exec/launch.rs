//! A launch: limits, arguments, blocks on all cores, and what comes of it.
//!
//! Workers take block numbers from one counter. If a block breaks a rule, later ones are not begun, and of all faults the
//! one of the lowest block is reported, which does not depend on the number of workers.

use super::block::{Block, Random, Shape};
use super::context::{Context, Mode};
use super::options::Options;
use super::report::Report;
use super::request::{Arg, Launch};
use super::simd::{Level, Portable};
use super::trace::Step;
use crate::check::{self, GlobalLog, Trap};
use crate::code::Program;
use crate::count::{Counters, PcCount};
use crate::error::{Fault, FaultKind, Party, Place};
use crate::memory::{Device, GlobalMemory};
use crate::module::Module;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What one worker brings home.
struct Harvest {
    counts: Vec<PcCount>,
    runs: Vec<check::Run>,
    complete: bool,
    instructions: u64,
    trap: Option<Box<Trap>>,
}

/// All that the workers share.
struct Job<'a> {
    program: &'a Program,
    shape: Shape,
    memory: GlobalMemory<'a>,
    params: &'a [u8],
    variables: &'a [u64],
    shared_bytes: u64,
    dynamic: (u64, u64),
    options: &'a Options,
    order: Option<Vec<u32>>,
    next: AtomicU64,
    /// The lowest block that has broken a rule.
    stop: AtomicU64,
}

/// Runs a kernel.
pub(crate) fn launch(
    device: &mut Device,
    launch: &Launch,
    observer: Option<&mut dyn FnMut(&Step)>,
) -> Result<Report, Box<Fault>> {
    let Launch { module, kernel, grid, block, shared_bytes: dynamic_bytes, args, .. } = *launch;
    let (shape, options) = (Shape { grid, block }, &launch.options);
    let refuse = |kind, message| Box::new(Fault::of_launch(kind, kernel, message));
    let program = module.program(kernel).ok_or_else(|| {
        let names: Vec<&str> = module.kernels().collect();
        refuse(FaultKind::Arguments, format!("there is no such kernel; the module has {}", names.join(", ")))
    })?;
    let offset = program.shared_bytes.next_multiple_of(program.dynamic_align);
    let shared_bytes = if dynamic_bytes == 0 { program.shared_bytes } else { offset + dynamic_bytes };
    limits(device, launch, program, shared_bytes).map_err(|(kind, message)| refuse(kind, message))?;
    let params = parameters(program, args).map_err(|message| refuse(FaultKind::Arguments, message))?;
    let variables = module.place(device).map_err(|e| refuse(FaultKind::LaunchLimit, e.to_string()))?;
    let blocks: u64 = shape.grid.iter().map(|&n| u64::from(n)).product();
    let order = options.order.filter(|_| blocks <= 1 << 24).map(|seed| {
        let mut random = Random::new(!seed);
        let mut order: Vec<u32> = (0..blocks as u32).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i as u64 + 1) as usize);
        }
        order
    });
    let job = Job {
        program,
        shape,
        memory: GlobalMemory { allocations: &device.allocations },
        params: &params,
        variables: &variables,
        shared_bytes,
        dynamic: (offset, dynamic_bytes),
        options,
        order,
        next: AtomicU64::new(0),
        stop: AtomicU64::new(u64::MAX),
    };
    let watch = options.checks.any() || options.counters || observer.is_some();
    let harvests = match (observer, watch) {
        (Some(observer), _) => vec![with_level::<true>(&job, blocks, Some(observer))],
        (None, true) => on_workers::<true>(&job, blocks),
        (None, false) => on_workers::<false>(&job, blocks),
    };
    gather(&job, module, blocks, harvests)
}

fn limits(
    device: &Device,
    launch: &Launch,
    program: &Program,
    shared_bytes: u64,
) -> Result<(), (FaultKind, String)> {
    let Launch { module, grid, block, shared_bytes: dynamic_bytes, options, .. } = *launch;
    let limit = |message: String| Err((FaultKind::LaunchLimit, message));
    let [bx, by, bz] = block.map(u64::from);
    let threads = bx.saturating_mul(by).saturating_mul(bz);
    if threads == 0 || threads > 1024 || bz > 64 {
        return limit(format!("a block of {bx} × {by} × {bz} threads: 1 to 1024 in all, at most 64 in z"));
    }
    let [gx, gy, gz] = grid.map(u64::from);
    if gx == 0 || gy == 0 || gz == 0 || gx > (1 << 31) - 1 || gy > 65535 || gz > 65535 {
        return limit(format!(
            "a grid of {gx} × {gy} × {gz} blocks: at least 1, at most 2³¹-1, 65535, 65535"
        ));
    }
    if program.max_threads.is_some_and(|most| threads > most) {
        let most = program.max_threads.unwrap_or(0);
        return limit(format!(
            "{threads} threads, but the kernel was compiled for at most {most} (__launch_bounds__)"
        ));
    }
    if program.exact_threads.is_some_and(|exact| exact != [bx, by, bz]) {
        return limit("the block does not have the shape that the kernel requires".into());
    }
    if let Some(registers) = options.registers {
        let per_warp = u64::from(registers * 32).next_multiple_of(256);
        if registers > 255 || threads.div_ceil(32) * per_warp > 65536 {
            return limit(format!("{threads} threads of {registers} registers do not fit into 65536"));
        }
    }
    if dynamic_bytes > (48 << 10) - program.shared_bytes.min(48 << 10) && !options.large_shared {
        return limit(format!(
            "{shared_bytes} bytes of shared memory: above 48 KiB the kernel's attribute must be set"
        ));
    }
    let most = device.config.shared_bytes_per_block;
    if shared_bytes > most {
        return limit(format!("{shared_bytes} bytes of shared memory, of {most}"));
    }
    let local = program.local_bytes;
    if local > 512 << 10 || local.saturating_mul(threads) > device.config.memory_bytes {
        return limit(format!(
            "{local} bytes of local memory for each of {threads} threads: at most 512 KiB each"
        ));
    }
    if module.target() > device.config.compute_capability {
        let message = format!("the module is for sm_{}, the device is older", module.target());
        return Err((FaultKind::Unsupported, message));
    }
    Ok(())
}

fn parameters(program: &Program, args: &[Arg]) -> Result<Vec<u8>, String> {
    let (have, want) = (args.len(), program.params.len());
    if have != want {
        return Err(format!("{have} arguments, the kernel has {want} parameters"));
    }
    let end = program.params.last().map_or(0, |p| p.offset + p.bytes);
    let mut bytes = vec![0; end as usize];
    for (i, (arg, param)) in args.iter().zip(&program.params).enumerate() {
        if arg.bytes.len() as u64 != param.bytes {
            return Err(format!("argument {i} has {} bytes, the parameter {}", arg.bytes.len(), param.bytes));
        }
        bytes[param.offset as usize..][..arg.bytes.len()].copy_from_slice(&arg.bytes);
    }
    Ok(bytes)
}

fn on_workers<const WATCH: bool>(job: &Job, blocks: u64) -> Vec<Harvest> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = job.options.threads.unwrap_or_else(cores).clamp(1, 1024).min(blocks as usize);
    if workers == 1 {
        return vec![with_level::<WATCH>(job, blocks, None)];
    }
    std::thread::scope(|scope| {
        let spawn = |_| scope.spawn(|| with_level::<WATCH>(job, blocks, None));
        let handles: Vec<_> = (0..workers).map(spawn).collect();
        let join = |handle: std::thread::ScopedJoinHandle<'_, Harvest>| match handle.join() {
            Ok(harvest) => harvest,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        handles.into_iter().map(join).collect()
    })
}

fn with_level<const WATCH: bool>(job: &Job, blocks: u64, observer: Option<&mut dyn FnMut(&Step)>) -> Harvest {
    #[cfg(target_arch = "x86_64")]
    if let Some(level) = super::simd::Avx2::detect().filter(|_| !job.options.portable) {
        return work::<_, WATCH>(level, job, blocks, observer);
    }
    work::<_, WATCH>(Portable, job, blocks, observer)
}

fn work<L: Level, const WATCH: bool>(
    level: L,
    job: &Job,
    blocks: u64,
    observer: Option<&mut dyn FnMut(&Step)>,
) -> Harvest {
    let options = job.options;
    let mode = Mode {
        checks: options.checks,
        counters: options.counters,
        perturb: options.perturb,
        truncate_mma: options.truncate_mma,
    };
    let threads = job.shape.threads() as usize;
    let mut cx = Context::new(job.program, job.memory, job.params, job.shared_bytes, threads, mode);
    let mut observer = observer;
    cx.observer = observer.as_mut().map(|o| &mut **o as _);
    let mut warps = Block::new(&cx, job.shape, job.variables, job.dynamic);
    let mut harvest =
        Harvest { counts: Vec::new(), runs: Vec::new(), complete: true, instructions: 0, trap: None };
    loop {
        let turn = job.next.fetch_add(1, Relaxed);
        if turn >= blocks {
            break;
        }
        let block = job.order.as_ref().map_or(turn, |order| order[turn as usize].into());
        if block > job.stop.load(Relaxed) {
            continue;
        }
        match warps.run::<L, WATCH>(level, &mut cx, block, options.order, options.budget) {
            Ok(instructions) => harvest.instructions += instructions,
            Err(mut trap) => {
                trap.block = block;
                if let Some(other) = &mut trap.other {
                    other.block = block;
                }
                job.stop.fetch_min(block, Relaxed);
                if harvest.trap.as_ref().is_none_or(|t| block < t.block) {
                    harvest.trap = Some(trap);
                }
            }
        }
        if options.checks.global_races {
            harvest.complete &= GlobalLog::drain(&mut cx.log, &mut harvest.runs);
        }
    }
    harvest.counts = std::mem::take(&mut cx.counts);
    harvest
}

fn gather(job: &Job, module: &Module, blocks: u64, harvests: Vec<Harvest>) -> Result<Report, Box<Fault>> {
    let mut counts = vec![PcCount::default(); job.program.insts.len()];
    let (mut runs, mut complete, mut instructions) = (Vec::new(), true, 0);
    let mut trap: Option<Box<Trap>> = None;
    for harvest in harvests {
        counts.iter_mut().zip(&harvest.counts).for_each(|(sum, count)| sum.add(count));
        complete &= harvest.complete && runs.len() + harvest.runs.len() <= check::MAX_RUNS;
        if complete {
            runs.extend(harvest.runs);
        }
        instructions += harvest.instructions;
        if let Some(found) = harvest.trap
            && trap.as_ref().is_none_or(|t| found.block < t.block)
        {
            trap = Some(found);
        }
    }
    if trap.is_none() && job.options.checks.global_races {
        trap = check::conflict(runs);
    }
    if let Some(trap) = trap {
        return Err(Box::new(fault(job, module, *trap)));
    }
    let counters =
        if job.options.counters { Counters::new(job.program, &counts) } else { Counters::default() };
    Ok(Report {
        warp_instructions: instructions,
        lane_instructions: counters.total.lane_instructions,
        counters,
        blocks,
        shared_bytes: job.shared_bytes,
        live_registers: job.program.live_words,
        global_races_incomplete: !complete,
    })
}

fn fault(job: &Job, module: &Module, trap: Trap) -> Fault {
    let place = |pc: u32| -> Place { module.place_of(job.program, pc) };
    let other = trap.other.map(|other| {
        Box::new(Party {
            action: other.action,
            block: job.shape.coordinates(other.block),
            warp: other.warp,
            lane: other.lane,
            place: place(other.pc),
        })
    });
    Fault {
        kind: trap.kind,
        message: trap.message,
        kernel: job.program.name.clone(),
        place: place(trap.pc),
        block: job.shape.coordinates(trap.block),
        warp: trap.warp,
        lane: trap.lane,
        other,
    }
}
