// What the rungs of the matrix product share: sizes, a tile of an operand for tensor cores, the way of the sums into C. Put between the
// prelude and the `.cu` files.

struct Sizes {
    u32 m, n, k, unused;
    u64 am, ak, bk, bn, cm, cn; // strides in elements
    float alpha, beta;
};

template <class C>
__device__ inline void put(C* c, const Sizes& s, u32 i, u32 j, float sum) {
    if (i >= s.m || j >= s.n) return;
    C* at = c + i * s.cm + j * s.cn;
    narrow(s.beta == 0.0f ? s.alpha * sum : fmaf(s.alpha, sum, s.beta * widen(*at)), *at);
}

// Terms of one partial sum.
const u32 FOLD = 256;

const u32 TILE = 64; // rows and columns of C for a block
const u32 STEPS = 32; // of K in a tile of 64 rows or columns

// An operand's tile. Its rows in shared memory run along the axis that is dense in global memory: 64 rows of 32 steps, or
// (`across`) 32 steps of 64 columns. Chunks of 8 numbers, 16 bytes, are exchanged so that 8 rows of one chunk meet 8 groups of banks.
struct Panel {
    bf16* at;
    bool across;

    __device__ u32 place(u32 outer, u32 l) const {
        if (across) return l * TILE + ((outer / 8 ^ l % 8) * 8 + outer % 8);
        return outer * STEPS + ((l / 8 ^ outer / 2 % 4) * 8 + l % 8);
    }
    // 128 threads; a thread moves two neighbours at once, as one word where the address allows it.
    __device__ void fill(const bf16* x, u64 outer_stride, u64 k_stride, u32 first, u32 extent, u32 step, u32 k) const {
        u64 other = across ? k_stride : outer_stride;
        bool words = (across ? outer_stride : k_stride) == 1 && other % 2 == 0 && (u64)x % 4 == 0;
        u32 width = across ? TILE : STEPS; // of a row here
#pragma unroll 1
        for (u32 index = threadIdx.x * 2; index < TILE * STEPS; index += 256) {
            u32 major = index / width, minor = index % width;
            u32 outer = across ? minor : major, l = across ? major : minor;
            u32 next_outer = across ? outer + 1 : outer, next_l = across ? l : l + 1;
            const bf16* from = x + (first + outer) * outer_stride + (step + l) * k_stride;
            bool inside = first + outer < extent && step + l < k;
            bool next = first + next_outer < extent && step + next_l < k;
            u32 word = 0;
            if (next && words) {
                word = *(const u32*)from;
            } else {
                if (inside) word = from->bits;
                if (next) word |= (u32)from[across ? outer_stride : k_stride].bits << 16;
            }
            *(u32*)(at + place(outer, l)) = word;
        }
    }
    // 16 rows or columns by 16 steps as four 8 × 8 matrices: both halves of the first 8 steps, then of the others.
    __device__ void fragment(u32 outer, u32 l, u32* out) const {
        u32 lane = threadIdx.x % 32, matrix = lane / 8, row = lane % 8;
        outer += matrix % 2 * 8 + (across ? 0 : row);
        l += matrix / 2 * 8 + (across ? row : 0);
        u32 address = (u32)__cvta_generic_to_shared(at + place(outer, l));
        if (across)
            asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                         : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(address));
        else
            asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                         : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(address));
    }
};

__device__ inline void multiply(float* c, const u32* a, u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// part += the product of a warp's 32 rows of `as`, from `y` on, and 32 columns of `bs`, from `x` on, over the tiles' steps.
__device__ inline void multiply(float (*part)[4][4], const Panel& as, u32 y, const Panel& bs, u32 x) {
#pragma unroll
    for (u32 l = 0; l < STEPS; l += 16) {
        u32 af[2][4], bf[2][4];
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
            as.fragment(y + 16 * i, l, af[i]);
            bs.fragment(x + 16 * i, l, bf[i]);
        }
#pragma unroll
        for (u32 i = 0; i < 2; i++)
#pragma unroll
            for (u32 j = 0; j < 4; j++) multiply(part[i][j], af[i], bf[j / 2][j % 2], bf[j / 2][2 + j % 2]);
    }
}

// sum += part, and part = 0.
__device__ inline void fold(float (*sum)[4][4], float (*part)[4][4]) {
#pragma unroll
    for (u32 i = 0; i < 32; i++) {
        sum[i / 16][i / 4 % 4][i % 4] += part[i / 16][i / 4 % 4][i % 4];
        part[i / 16][i / 4 % 4][i % 4] = 0.0f;
    }
}

// Four neighbours as one piece of memory, which the compiler takes apart where it may.
__device__ inline void store_together(float* to, const Pack<float, 4>& v) {
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)), "f"(v.at[0]), "f"(v.at[1]),
                 "f"(v.at[2]), "f"(v.at[3])
                 : "memory");
}
__device__ inline void store_together(bf16* to, const Pack<bf16, 4>& v) {
    u32 low = v.at[0].bits | (u32)v.at[1].bits << 16, high = v.at[2].bits | (u32)v.at[3].bits << 16;
    asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(to)), "r"(low), "r"(high) : "memory");
}

// As `put`, four columns of a row.
template <class C>
__device__ void put_four(C* c, const Sizes& s, u32 i, u32 j, const float* sums) {
    bool packs = s.cn == 1 && s.cm % 4 == 0 && (u64)c % sizeof(Pack<C, 4>) == 0;
    if (!packs || i >= s.m || j + 4 > s.n) {
#pragma unroll
        for (u32 k = 0; k < 4; k++) put(c, s, i, j + k, sums[k]);
        return;
    }
    C* to = c + i * s.cm + j;
    Pack<C, 4> out = {};
    if (s.beta != 0.0f) out = *(const Pack<C, 4>*)to;
#pragma unroll
    for (u32 k = 0; k < 4; k++)
        narrow(s.beta == 0.0f ? s.alpha * sums[k] : fmaf(s.alpha, sums[k], s.beta * widen(out.at[k])), out.at[k]);
    store_together(to, out);
}

// A warp's 16 × 32 sums into C, by way of 512 floats of shared memory, so that eight lanes write a row of whole sectors. Groups of
// eight columns are exchanged by the row's number: four rows meet four groups of banks.
template <class C>
__device__ void write(C* c, const Sizes& s, u32 row, u32 column, const float (*sums)[4], float* room) {
    u32 lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (u32 j = 0; j < 4; j++) {
#pragma unroll
        for (u32 r = 0; r < 2; r++) {
            u32 i = g + 8 * r;
            u32 address = (u32)__cvta_generic_to_shared(room + i * 32 + (8 * j + 2 * t ^ i % 4 * 8));
            // two at once, which the compiler does not always see
            asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(address), "f"(sums[j][2 * r]), "f"(sums[j][2 * r + 1]) : "memory");
        }
    }
    __syncwarp();
#pragma unroll 1
    for (u32 index = lane; index < 16 * 8; index += 32) {
        u32 i = index / 8, k = index % 8 * 4;
        Pack<float, 4> values = *(const Pack<float, 4>*)(room + i * 32 + (k ^ i % 4 * 8));
        put_four(c, s, row + i, column + k, values.at);
    }
    __syncwarp();
}

// Block → batch and tile: `tiles` blocks for each place of the leading axes.
#define MATMUL(NAME, T, C, PRODUCT)                                                                                       \
    extern "C" __global__ void matmul_##NAME(const T* a, const T* b, C* c, Strided as, Strided bs, Strided cs, Sizes s,   \
                                             u32 tiles) {                                                                 \
        u32 batch = blockIdx.x / tiles, block = blockIdx.x % tiles, across = (s.n + TILE - 1) / TILE;                     \
        a += as.position(batch);                                                                                          \
        b += bs.position(batch);                                                                                          \
        c += cs.position(batch);                                                                                          \
        PRODUCT;                                                                                                          \
    }
