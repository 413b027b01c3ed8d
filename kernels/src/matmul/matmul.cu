// The matrix product on CUDA, C = alpha·A·B + beta·C, as a ladder: each rung removes what the one below waits for.
//
//   naive   a thread per element of C. Every operand comes from global memory once per product: 2 loads for 2 operations.
//   tiled   a block has 64 × 64 elements of C, a thread 4 × 4. 16 steps of K lie in shared memory, where a thread's 8 numbers
//           serve 16 products: a 64th of the global traffic, an eighth of the loads.
//   tensor  bf16 on tensor cores (mma.sync m16n8k16): a warp has 32 × 32 elements of C and takes its fragments by ldmatrix.
//
// Any strides and up to three leading axes. Tiles are filled along whichever axis is dense, and lie in shared memory so that
// neither filling nor reading meets a bank twice. Sums are f32, folded into a second sum every 256 terms, so that their error does not
// grow with K; the order depends on K alone. Beyond the edges tiles hold zeros. beta = 0 does not read C.

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

// ---- naive -------------------------------------------------------------------------------------------------------------

template <class T, class C>
__device__ void naive(const T* a, const T* b, C* c, const Sizes& s, u32 element) {
    u32 i = element / s.n, j = element % s.n;
    if (i >= s.m) return;
    float sum = 0.0f;
    for (u32 first = 0; first < s.k; first += FOLD) {
        float part = 0.0f;
        for (u32 l = first; l < min(s.k, first + FOLD); l++)
            part = fmaf(widen(a[i * s.am + l * s.ak]), widen(b[l * s.bk + j * s.bn]), part);
        sum += part;
    }
    put(c, s, i, j, sum);
}

// ---- tiled -------------------------------------------------------------------------------------------------------------

const u32 TILE = 64, DEPTH = 16;

// Where row or column `outer` of step `l` lies: the fours that a thread reads stay together, and eight steps of one row are in
// eight different groups of banks.
__device__ inline u32 place(u32 l, u32 outer) { return l * TILE + (outer ^ (l % 8 * 4)); }

// 256 threads fill a tile: along k where that is dense (8 steps of 4 rows to a warp), else along the other axis.
template <class T>
__device__ void fill(float* tile, const T* x, u64 outer_stride, u64 k_stride, u32 first, u32 extent, u32 step, u32 k) {
#pragma unroll
    for (u32 index = threadIdx.x; index < TILE * DEPTH; index += 256) {
        u32 l = index / TILE, outer = index % TILE;
        if (k_stride == 1) {
            l = index % 8 + index / 512 * 8;
            outer = index / 8 % TILE;
        }
        bool inside = first + outer < extent && step + l < k;
        tile[place(l, outer)] = inside ? widen(x[(first + outer) * outer_stride + (step + l) * k_stride]) : 0.0f;
    }
}

template <class T, class C>
__device__ void tiled(const T* a, const T* b, C* c, const Sizes& s, u32 row, u32 column) {
    __shared__ __align__(16) float a_tile[TILE * DEPTH], b_tile[TILE * DEPTH];
    u32 y = threadIdx.x / 16 * 4, x = threadIdx.x % 16 * 4; // of this thread's 4 × 4
    float sum[4][4] = {}, part[4][4] = {};
    for (u32 step = 0; step < s.k; step += DEPTH) {
        fill(a_tile, a, s.am, s.ak, row, s.m, step, s.k);
        fill(b_tile, b, s.bn, s.bk, column, s.n, step, s.k);
        __syncthreads();
#pragma unroll
        for (u32 l = 0; l < DEPTH; l++) {
            Pack<float, 4> as = *(Pack<float, 4>*)(a_tile + place(l, y)), bs = *(Pack<float, 4>*)(b_tile + place(l, x));
#pragma unroll
            for (u32 i = 0; i < 4; i++)
#pragma unroll
                for (u32 j = 0; j < 4; j++) part[i][j] = fmaf(as.at[i], bs.at[j], part[i][j]);
        }
        __syncthreads();
        if ((step + DEPTH) % FOLD == 0 || step + DEPTH >= s.k) {
#pragma unroll
            for (u32 i = 0; i < 16; i++) {
                sum[i / 4][i % 4] += part[i / 4][i % 4];
                part[i / 4][i % 4] = 0.0f;
            }
        }
    }
#pragma unroll
    for (u32 i = 0; i < 16; i++) put(c, s, row + y + i / 4, column + x + i % 4, sum[i / 4][i % 4]);
}

// ---- tensor ------------------------------------------------------------------------------------------------------------

const u32 STEPS = 32; // of K in a tile of 64 rows or columns

// An operand's tile. Its rows in shared memory run along the axis that is dense in global memory: 64 rows of 32 steps, or
// (`across`) 32 steps of 64 columns. Chunks of 8 numbers, 16 bytes, are exchanged so that 8 rows of one chunk meet 8 groups of banks.
struct Tile {
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

__device__ inline void mma(float* c, const u32* a, u32 b0, u32 b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// A warp's 16 × 32 sums into C, by way of 512 floats of shared memory, so that eight lanes write a row of whole sectors. Groups of
// eight columns are exchanged by the row's number: four rows meet four groups of banks.
template <class C>
__device__ void write(C* c, const Sizes& s, u32 row, u32 column, const float (*sums)[4], float* room) {
    u32 lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    bool packs = s.cn == 1 && s.cm % 4 == 0 && (u64)c % sizeof(Pack<C, 4>) == 0;
#pragma unroll
    for (u32 j = 0; j < 4; j++) {
#pragma unroll
        for (u32 r = 0; r < 2; r++) {
            u32 i = g + 8 * r;
            *(Pack<float, 2>*)(room + i * 32 + (8 * j + 2 * t ^ i % 4 * 8)) = {{sums[j][2 * r], sums[j][2 * r + 1]}};
        }
    }
    __syncwarp();
#pragma unroll 1
    for (u32 index = lane; index < 16 * 8; index += 32) {
        u32 i = index / 8, k = index % 8 * 4;
        Pack<float, 4> values = *(const Pack<float, 4>*)(room + i * 32 + (k ^ i % 4 * 8));
        if (packs && row + i < s.m && column + k + 4 <= s.n) {
            Pack<C, 4>* to = (Pack<C, 4>*)(c + (row + i) * s.cm + column + k);
            Pack<C, 4> out = {};
            if (s.beta != 0.0f) out = *to;
#pragma unroll
            for (u32 j = 0; j < 4; j++)
                narrow(s.beta == 0.0f ? s.alpha * values.at[j] : fmaf(s.alpha, values.at[j], s.beta * widen(out.at[j])), out.at[j]);
            *to = out;
        } else {
#pragma unroll
            for (u32 j = 0; j < 4; j++) put(c, s, row + i, column + k + j, values.at[j]);
        }
    }
    __syncwarp();
}

// Four warps, 2 × 2, of 32 × 32 elements each: sum[i][j] is 16 rows by 8 columns.
template <class C>
__device__ void tensor(const bf16* a, const bf16* b, C* c, const Sizes& s, u32 row, u32 column) {
    __shared__ __align__(16) bf16 tiles[2 * TILE * STEPS];
    Tile as = {tiles, s.am == 1 && s.ak != 1}, bs = {tiles + TILE * STEPS, s.bn == 1 && s.bk != 1};
    u32 warp = threadIdx.x / 32, y = warp / 2 * 32, x = warp % 2 * 32;
    float sum[2][4][4] = {}, part[2][4][4] = {};
    for (u32 step = 0; step < s.k; step += STEPS) {
        as.fill(a, s.am, s.ak, row, s.m, step, s.k);
        bs.fill(b, s.bn, s.bk, column, s.n, step, s.k);
        __syncthreads();
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
                for (u32 j = 0; j < 4; j++) mma(part[i][j], af[i], bf[j / 2][j % 2], bf[j / 2][2 + j % 2]);
        }
        __syncthreads();
        if ((step + STEPS) % FOLD == 0 || step + STEPS >= s.k) {
#pragma unroll
            for (u32 i = 0; i < 32; i++) {
                sum[i / 16][i / 4 % 4][i % 4] += part[i / 16][i / 4 % 4][i % 4];
                part[i / 16][i / 4 % 4][i % 4] = 0.0f;
            }
        }
    }
    float* room = (float*)tiles + warp * 512; // both tiles have been read
#pragma unroll
    for (u32 i = 0; i < 2; i++) write(c, s, row + y + 16 * i, column + x, sum[i], room);
}

// ---- kernels -----------------------------------------------------------------------------------------------------------

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
#define NAIVE naive(a, b, c, s, block * 256 + threadIdx.x)
#define TILED tiled(a, b, c, s, block / across * TILE, block % across * TILE)
#define TENSOR tensor(a, b, c, s, block / across * TILE, block % across * TILE)

MATMUL(naive_f32_f32, float, float, NAIVE)
MATMUL(naive_bf16_f32, bf16, float, NAIVE)
MATMUL(naive_bf16_bf16, bf16, bf16, NAIVE)
MATMUL(tiled_f32_f32, float, float, TILED)
MATMUL(tiled_bf16_f32, bf16, float, TILED)
MATMUL(tiled_bf16_bf16, bf16, bf16, TILED)
MATMUL(tensor_bf16_f32, bf16, float, TENSOR)
MATMUL(tensor_bf16_bf16, bf16, bf16, TENSOR)
