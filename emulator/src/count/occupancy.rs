//! How many blocks of a kernel fit on a multiprocessor: the least of what registers, shared memory, threads and the number
//! of blocks allow. The limits are those of NVIDIA's "CUDA C++ Programming Guide", table of compute capabilities; the
//! granularities are those of the occupancy calculator.

/// A GPU by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its name.
    pub name: &'static str,
    /// Multiprocessors.
    pub processors: u32,
    /// Threads that one holds.
    pub threads: u32,
    /// Blocks that one holds.
    pub blocks: u32,
    /// Registers of 32 bits that one has.
    pub registers: u32,
    /// Bytes of shared memory of one.
    pub shared_bytes: u32,
    /// Bytes that one block may use.
    pub shared_bytes_per_block: u32,
}

impl Gpu {
    /// Compute capability 8.0.
    pub const A100: Gpu = Gpu {
        name: "A100",
        processors: 108,
        threads: 2048,
        blocks: 32,
        registers: 65536,
        shared_bytes: 164 << 10,
        shared_bytes_per_block: 163 << 10,
    };
    /// Compute capability 8.6.
    pub const RTX3090: Gpu = Gpu {
        name: "RTX 3090",
        processors: 82,
        threads: 1536,
        blocks: 16,
        registers: 65536,
        shared_bytes: 100 << 10,
        shared_bytes_per_block: 99 << 10,
    };
    /// Compute capability 8.9.
    pub const RTX4090: Gpu = Gpu { name: "RTX 4090", processors: 128, blocks: 24, ..Gpu::RTX3090 };
    /// Compute capability 9.0.
    pub const H100: Gpu = Gpu {
        name: "H100",
        processors: 132,
        shared_bytes: 228 << 10,
        shared_bytes_per_block: 227 << 10,
        ..Gpu::A100
    };
    /// All of them.
    pub const ALL: [Gpu; 4] = [Gpu::A100, Gpu::RTX3090, Gpu::RTX4090, Gpu::H100];
}

/// How full a multiprocessor can get, and what stops it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Occupancy {
    /// Blocks per multiprocessor; 0 if not even one fits.
    pub blocks: u32,
    /// Warps as a part of the most that it holds.
    pub fraction: f64,
    /// What allows no more: `threads`, `registers`, `shared memory` or `blocks`.
    pub limit: &'static str,
}

/// For blocks of so many threads, each with so many registers, and so much shared memory (static and dynamic).
pub fn occupancy(gpu: &Gpu, threads: u32, registers: u32, shared_bytes: u32) -> Occupancy {
    let warps = threads.div_ceil(32).max(1);
    // registers are given to warps in units of 256; a block also takes 1 KiB of shared memory for the system
    let per_warp = (registers.max(1) * 32).next_multiple_of(256);
    let warps_by_registers = gpu.registers / per_warp / 4 * 4;
    let shared = (shared_bytes + 1024).next_multiple_of(128);
    let fits = |yes: bool, blocks: u32| if yes { blocks } else { 0 };
    let limits = [
        ("threads", fits(threads <= 1024, gpu.threads / 32 / warps)),
        ("registers", fits(registers <= 255, warps_by_registers / warps)),
        ("shared memory", fits(shared_bytes <= gpu.shared_bytes_per_block, gpu.shared_bytes / shared)),
        ("blocks", gpu.blocks),
    ];
    let (limit, blocks) = limits.into_iter().min_by_key(|l| l.1).unwrap_or(("blocks", 0));
    let fraction = f64::from(blocks * warps) / f64::from(gpu.threads / 32);
    Occupancy { blocks, fraction, limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_can_be_the_one_that_counts() {
        let of = |threads, registers, shared| occupancy(&Gpu::A100, threads, registers, shared);
        assert_eq!(of(256, 32, 0), Occupancy { blocks: 8, fraction: 1.0, limit: "threads" });
        assert_eq!(of(128, 188, 0).blocks, 2); // 6016 registers a warp, 10 warps, in fours 8
        assert_eq!(of(128, 188, 0).limit, "registers");
        assert_eq!(of(128, 32, 80 << 10), Occupancy { blocks: 2, fraction: 0.125, limit: "shared memory" });
        assert_eq!(of(32, 16, 0).limit, "blocks");
        assert_eq!(of(1024, 128, 0).blocks, 0);
    }
}
