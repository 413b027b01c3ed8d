// The last rung of the matrix product: as `tensor` in `matmul.cu`, but while a pair of tiles is multiplied the next pair is on its way from
// global memory (cp.async), past the registers. Two pairs lie in shared memory, 16 KiB. Sums and their order are the same, and so
// are the bits.

// As `Panel::fill`, 16 bytes at a time without waiting, where the dense axis allows it; else as that. What lies beyond the edge is zero.
__device__ void fetch(const Panel& to, const bf16* x, u64 outer_stride, u64 k_stride, u32 first, u32 extent, u32 step, u32 k) {
    u64 dense = to.across ? outer_stride : k_stride, other = to.across ? k_stride : outer_stride;
    if (dense != 1 || other % 8 != 0 || (u64)x % 16 != 0) {
        to.fill(x, outer_stride, k_stride, first, extent, step, k);
        return;
    }
    u32 chunks = (to.across ? TILE : STEPS) / 8; // of a row here
#pragma unroll 1
    for (u32 index = threadIdx.x; index < TILE * STEPS / 8; index += 128) {
        u32 major = index / chunks, minor = index % chunks * 8;
        u32 outer = first + (to.across ? minor : major), l = step + (to.across ? major : minor);
        u32 rest = to.across ? (outer < extent ? extent - outer : 0) : (l < k ? k - l : 0); // numbers that are there
        bool inside = outer < extent && l < k;
        const bf16* from = inside ? x + outer * outer_stride + l * k_stride : x;
        u32 address = (u32)__cvta_generic_to_shared(to.at + to.place(outer - first, l - step));
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(inside ? min(rest, 8u) * 2 : 0) : "memory");
    }
}

template <class C>
__device__ void pipelined(const bf16* a, const bf16* b, C* c, const Sizes& s, u32 row, u32 column) {
    __shared__ __align__(16) bf16 tiles[4 * TILE * STEPS];
    bool a_across = s.am == 1 && s.ak != 1, b_across = s.bn == 1 && s.bk != 1;
    u32 warp = threadIdx.x / 32, y = warp / 2 * 32, x = warp % 2 * 32;
    float sum[2][4][4] = {}, part[2][4][4] = {};
    // tiles `ahead` are asked for, then those before them are multiplied
#pragma unroll 1
    for (u32 ahead = 0; ahead < s.k + STEPS; ahead += STEPS) {
        bf16 *next = tiles + ahead / STEPS % 2 * 2 * TILE * STEPS, *now = tiles + (ahead / STEPS + 1) % 2 * 2 * TILE * STEPS;
        if (ahead < s.k) {
            fetch(Panel{next, a_across}, a, s.am, s.ak, row, s.m, ahead, s.k);
            fetch(Panel{next + TILE * STEPS, b_across}, b, s.bn, s.bk, column, s.n, ahead, s.k);
        }
        commit();
        if (ahead == 0) continue;
        arrived<1>(); // the tiles before; these may still be on their way
        __syncthreads();
        multiply(part, Panel{now, a_across}, y, Panel{now + TILE * STEPS, b_across}, x);
        __syncthreads(); // they have been read
        if (ahead % FOLD == 0 || ahead >= s.k) fold(sum, part);
    }
    arrived<0>();
    __syncthreads();
    float* room = (float*)tiles + warp * 512;
#pragma unroll
    for (u32 i = 0; i < 2; i++) write(c, s, row + y + 16 * i, column + x, sum[i], room);
}

#define PIPELINED pipelined(a, b, c, s, block / across * TILE, block % across * TILE)

MATMUL(pipelined_bf16_f32, bf16, float, PIPELINED)
MATMUL(pipelined_bf16_bf16, bf16, bf16, PIPELINED)
