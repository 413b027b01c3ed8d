// Tensor cores for bf16: tiles in shared memory, the fragments of a warp, and their product. Put between the prelude and the
// `.cu` files that multiply matrices inside another computation, as attention does.
//
// One instruction, mma.sync m16n8k16, multiplies 16 × 16 numbers by 16 × 8 and adds to 16 × 8 sums in f32. With
// g = lane / 4 and t = lane % 4 a lane holds of the left operand (rows g and g + 8, columns 2t, 2t + 1 and 8 more) four
// words, of the right one two words (columns g), and of the sums rows g and g + 8, columns 2t and 2t + 1. `ldmatrix`
// brings four 8 × 8 matrices into that form at once: eight lanes give the addresses of a matrix' rows.

// R rows of D bf16 in shared memory, D 64 or 128. The 16-byte chunks of a row are exchanged by the row's number, so that
// eight rows of one chunk, which `ldmatrix` reads together, lie in eight different groups of four banks.
template <u32 D>
struct Tile {
    bf16* at;

    __device__ u32 place(u32 row, u32 column) const { return row * D + ((column / 8 ^ row % 8) * 8 + column % 8); }
    __device__ u32 address(u32 row, u32 column) const { return (u32)__cvta_generic_to_shared(at + place(row, column)); }

    // Rows first.. of x, `stride` apart; zeros beyond `rows` and beyond column `d`. By all threads of the block; with `packs`
    // (16-byte rows) without waiting: the caller commits and waits.
    __device__ void fill(u32 R, const bf16* x, u64 stride, u32 first, u32 rows, u32 d, u32 packs) const {
#pragma unroll 1
        for (u32 index = threadIdx.x; index < R * (D / 8); index += blockDim.x) {
            u32 row = index / (D / 8), column = index % (D / 8) * 8;
            bool inside = first + row < rows && column < d;
            const bf16* from = inside ? x + (first + row) * stride + column : x;
            if (packs) {
                asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address(row, column)), "l"(from), "r"(inside ? 16 : 0) : "memory");
            } else {
#pragma unroll 1
                for (u32 j = 0; j < 8; j++) {
                    bf16 value = {0};
                    if (inside && column + j < d) value = from[j];
                    at[place(row, column + j)] = value;
                }
            }
        }
    }

    // Is every number of R rows finite? A thread looks at its share.
    __device__ bool finite(u32 R) const {
        bool all = true;
#pragma unroll 1
        for (u32 index = threadIdx.x; index < R * (D / 8); index += blockDim.x) {
            Pack<u32, 4> words = ((const Pack<u32, 4>*)at)[index];
#pragma unroll
            for (u32 j = 0; j < 4; j++) {
                u32 w = words.at[j];
                all = all && (w & 0x7f80) != 0x7f80 && (w & 0x7f800000) != 0x7f800000;
            }
        }
        return all;
    }

    // Rows row..row + 16, columns column..column + 16 as a left operand; or, of a tile whose rows are the steps of the sum, as two
    // right operands of 8 columns each (`transposed`).
    template <bool transposed>
    __device__ void fragment(u32 row, u32 column, u32* out) const {
        u32 lane = threadIdx.x % 32, from = address(row + lane % 16, column + lane / 16 * 8);
        if (transposed)
            asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                         : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(from) : "memory");
        else
            asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                         : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(from) : "memory");
    }
    // Of a tile whose columns are the steps of the sum: rows row..row + 16 as two right operands of 8 columns each.
    __device__ void columns(u32 row, u32 column, u32* out) const {
        u32 lane = threadIdx.x % 32, from = address(row + lane / 16 * 8 + lane % 8, column + lane / 8 % 2 * 8);
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(from) : "memory");
    }
};

__device__ inline void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until at most N of the latest groups of copies are on their way.
template <u32 N>
__device__ inline void arrived() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

__device__ inline void mma(float* c, const u32* a, const u32* b) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Two numbers in a word, the first in the lower half.
__device__ inline u32 pair(float low, float high) {
    u32 word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

// 16 × 16 sums, as they come out of two products, rounded as the left operand of another.
__device__ inline void as_left(const float (*sums)[4], u32* out) {
    out[0] = pair(sums[0][0], sums[0][1]);
    out[1] = pair(sums[0][2], sums[0][3]);
    out[2] = pair(sums[1][0], sums[1][1]);
    out[3] = pair(sums[1][2], sums[1][3]);
}

// to = from, if so: said in a way that the compiler cannot turn into an index, for which it would keep the array in memory.
__device__ inline void choose(float& to, float from, u32 so) {
    asm("{ .reg .pred p; setp.ne.u32 p, %2, 0; selp.f32 %0, %1, %0, p; }" : "+f"(to) : "f"(from), "r"(so));
}

// sums += w·y for a warp's 16 × 8N weights w, one row of y after the other, those that are seen: where y is not finite, 0·y
// would not be 0. `seen` has a bit for each of the lane's weights, number 4n + j for w[n][j]. Rare, so it is short rather than fast.
template <u32 N, u32 D>
__device__ void add_seen(float (*sums)[4], const float (*w)[4], u32 seen, const Tile<D>& y) {
    u32 t = threadIdx.x % 4;
#pragma unroll 1
    for (u32 row = 0; row < 8 * N; row++) {
        float own[4] = {}; // w[row / 8]: registers have no index
#pragma unroll
        for (u32 n = 0; n < N; n++)
#pragma unroll
            for (u32 j = 0; j < 4; j++) choose(own[j], w[n][j], n == row / 8);
        // the row's weights are in lane row/2 of each four
        u32 odd = row % 2, from = threadIdx.x % 32 / 4 * 4 + row % 8 / 2;
        float upper = __shfl_sync(0xffffffff, odd ? own[1] : own[0], from);
        float lower = __shfl_sync(0xffffffff, odd ? own[3] : own[2], from);
        u32 bits = __shfl_sync(0xffffffff, seen, from) >> (row / 8 * 4 + odd);
#pragma unroll
        for (u32 c = 0; c < D / 8; c++) {
            u32 word = *(const u32*)(y.at + y.place(row, 8 * c + 2 * t));
            float first = __uint_as_float(word << 16), second = __uint_as_float(word & 0xffff0000);
            if (bits & 1) {
                sums[c][0] += upper * first;
                sums[c][1] += upper * second;
            }
            if (bits & 4) {
                sums[c][2] += lower * first;
                sums[c][3] += lower * second;
            }
        }
    }
}

// 2^x within 2 units in the last place; 0 for −∞.
__device__ inline float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
