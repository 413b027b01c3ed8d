// The matrix product on CUDA, C = alpha·A·B + beta·C, as a ladder: each rung removes what the one below waits for.
//
//   naive   a thread per element of C. Every operand comes from global memory once per product: 2 loads for 2 operations.
//   tiled   a block has 64 × 64 elements of C, a thread 4 × 4. 16 steps of K lie in shared memory, where a thread's 8 numbers
//           serve 16 products: a 64th of the global traffic, an eighth of the loads.
//   tensor  bf16 on tensor cores (mma.sync m16n8k16): a warp has 32 × 32 elements of C and takes its fragments by ldmatrix.
//   pipelined, in a file of its own: the next tiles are on their way while these are multiplied.
//
// Any strides and up to three leading axes. Tiles are filled along whichever axis is dense, and lie in shared memory so that
// neither filling nor reading meets a bank twice. Sums are f32, folded into a second sum every 256 terms, so that their error does not
// grow with K; the order depends on K alone. Beyond the edges tiles hold zeros. beta = 0 does not read C.

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

const u32 DEPTH = 16;

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
    for (u32 i = 0; i < 4; i++) put_four(c, s, row + y + i, column + x, sum[i]);
}

// ---- tensor ------------------------------------------------------------------------------------------------------------

// Four warps, 2 × 2, of 32 × 32 elements each: sum[i][j] is 16 rows by 8 columns.
template <class C>
__device__ void tensor(const bf16* a, const bf16* b, C* c, const Sizes& s, u32 row, u32 column) {
    __shared__ __align__(16) bf16 tiles[2 * TILE * STEPS];
    Panel as = {tiles, s.am == 1 && s.ak != 1}, bs = {tiles + TILE * STEPS, s.bn == 1 && s.bk != 1};
    u32 warp = threadIdx.x / 32, y = warp / 2 * 32, x = warp % 2 * 32;
    float sum[2][4][4] = {}, part[2][4][4] = {};
    for (u32 step = 0; step < s.k; step += STEPS) {
        as.fill(a, s.am, s.ak, row, s.m, step, s.k);
        bs.fill(b, s.bn, s.bk, column, s.n, step, s.k);
        __syncthreads();
        multiply(part, as, y, bs, x);
        __syncthreads();
        if ((step + STEPS) % FOLD == 0 || step + STEPS >= s.k) fold(sum, part);
    }
    float* room = (float*)tiles + warp * 512; // both tiles have been read
#pragma unroll
    for (u32 i = 0; i < 2; i++) write(c, s, row + y + 16 * i, column + x, sum[i], room);
}

// ---- kernels -----------------------------------------------------------------------------------------------------------

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
