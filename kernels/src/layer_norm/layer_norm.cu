// LayerNorm on CUDA: a warp per row, as in `rms_norm.cu`. A lane keeps every 32nd pack of the row in shared memory as f32: the sum
// for the mean is made while it reads, the sum for the variance around the mean and the result are made from what it kept. Backward
// keeps dy and x̂ and has two sums, mean(g) and mean(g·x̂) with g = dy·gain. So an input is read once and a result is written
// once. Rows longer than shared memory (`keep` is 0) are read again for each pass.
//
// Gain and bias are the same for all rows: a block reads them once, for all its warps.
//
// The weights' gradients sum over rows, see `weights`.

extern __shared__ __align__(16) float kept[];

// A table of c numbers as the lanes of a warp take it: part h of pack i, up to 4 numbers, lies at h·packs + i, so that
// neighbouring lanes are in neighbouring banks.
template <u32 N>
struct Table {
    static const u32 WIDTH = N < 4 ? N : 4, PARTS = N / WIDTH;
    typedef Pack<float, WIDTH> Part;

    // By the whole block. Of the 32 parts that a warp reads, those with the same h are stored by neighbouring lanes.
    static __device__ void fill(float* to, const float* from, u32 c) {
        u32 lane = threadIdx.x % 32, same = 32 / PARTS;
        for (u32 first = threadIdx.x - lane; first < c / WIDTH; first += blockDim.x) {
            u32 part = first + lane % same * PARTS + lane / same;
            if (part < c / WIDTH) ((Part*)to)[part % PARTS * (c / N) + part / PARTS] = ((const Part*)from)[part];
        }
    }
    // Pack i, from a table that was filled, or from memory where there is no room for one.
    static __device__ void pack(const float* table, const float* memory, bool filled, u32 i, u32 packs, float* out) {
#pragma unroll
        for (u32 h = 0; h < PARTS; h++) {
            Part part;
            if (filled)
                part = ((const Part*)table)[h * packs + i];
            else
                part = ((const Part*)memory)[i * PARTS + h];
#pragma unroll
            for (u32 j = 0; j < WIDTH; j++) out[h * WIDTH + j] = part.at[j];
        }
    }
};

// Element j of pack i of a kept row lies at j·packs + i.
template <class T, u32 N>
__device__ void forward(const T* x, T* y, float* mean, float* rstd, const float* gain, const float* bias, Strided xs, Strided ys,
                        Strided ms, Strided rs, u32 rows, u32 c, float eps, u32 keep) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = blockIdx.x * (blockDim.x / 32) + warp, packs = c / N;
    float *gains = kept, *biases = kept + c, *own = kept + (bias ? 2 : 1) * c + warp * c;
    if (keep) {
        Table<N>::fill(gains, gain, c);
        if (bias) Table<N>::fill(biases, bias, c);
    }
    x += xs.position(min(row, rows - 1));
    float v[N], sum = 0.0f, squares = 0.0f;
    for (u32 i = lane; row < rows && i < packs; i += 32) {
        load<T, N>(x, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            sum += v[j];
            if (keep) own[j * packs + i] = v[j];
        }
    }
    __syncthreads(); // the tables are filled
    if (row >= rows) return;
    y += ys.position(row);
    float m = warp_sum(sum) / (float)c;
    for (u32 i = lane; i < packs; i += 32) {
        if (!keep) load<T, N>(x, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            float d = (keep ? own[j * packs + i] : v[j]) - m;
            squares = fmaf(d, d, squares);
        }
    }
    float r = 1.0f / sqrtf(warp_sum(squares) / (float)c + eps);
    if (lane == 0) {
        mean[ms.position(row)] = m;
        rstd[rs.position(row)] = r;
    }
#pragma unroll 2
    for (u32 i = lane; i < packs; i += 32) {
        float g[N], b[N] = {};
        Table<N>::pack(gains, gain, keep, i, packs, g);
        if (bias) Table<N>::pack(biases, bias, keep, i, packs, b);
        if (!keep) load<T, N>(x, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) v[j] = fmaf(((keep ? own[j * packs + i] : v[j]) - m) * r, g[j], b[j]);
        store<T, N>(y, i, v);
    }
}

template <class T, u32 N>
__device__ void backward(const T* dy, const T* x, T* dx, const float* mean, const float* rstd, const float* gain, Strided dys,
                         Strided xs, Strided dxs, Strided ms, Strided rs, u32 rows, u32 c, u32 accumulate, u32 keep) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = blockIdx.x * (blockDim.x / 32) + warp, packs = c / N;
    float *own_g = kept + c + warp * 2 * c, *own_unit = own_g + c;
    if (keep) Table<N>::fill(kept, gain, c);
    __syncthreads();
    if (row >= rows) return;
    dy += dys.position(row);
    x += xs.position(row);
    dx += dxs.position(row);
    float m = mean[ms.position(row)], r = rstd[rs.position(row)], g[N], v[N], w[N], sum = 0.0f, product = 0.0f;
#pragma unroll 2
    for (u32 i = lane; i < packs; i += 32) {
        load<T, N>(dy, i, g);
        load<T, N>(x, i, v);
        Table<N>::pack(kept, gain, keep, i, packs, w);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            float own = g[j] * w[j], unit = (v[j] - m) * r;
            sum += own;
            product = fmaf(own, unit, product);
            if (keep) {
                own_g[j * packs + i] = own;
                own_unit[j * packs + i] = unit;
            }
        }
    }
    float mean_g = warp_sum(sum) / (float)c, mean_gx = warp_sum(product) / (float)c;
#pragma unroll 2
    for (u32 i = lane; i < packs; i += 32) {
        if (!keep) {
            load<T, N>(dy, i, g);
            load<T, N>(x, i, v);
            Table<N>::pack(kept, gain, false, i, packs, w);
        }
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            float own = keep ? own_g[j * packs + i] : g[j] * w[j];
            float unit = keep ? own_unit[j * packs + i] : (v[j] - m) * r;
            g[j] = r * (own - mean_g - unit * mean_gx);
        }
        put<T, N>(g, dx, i, accumulate);
    }
}

// Sums over rows: a warp has 32·N columns and every eighth row of a chunk, at most 32 rows, which it adds in f32. The block's 8 warps
// are joined in f64, and a second launch adds the chunks. Number j of lane l is number 32·j + l of the block's, in shared memory and in
// `parts`; the second launch puts it where it belongs. The order depends on the shape alone.
template <class T, u32 N>
__device__ void weights(const T* dy, const T* x, const float* mean, const float* rstd, double* parts, Strided dys, Strided xs,
                        Strided ms, Strided rs, u32 rows, u32 c, u32 chunk_rows) {
    const u32 WIDE = 32 * N;
    __shared__ float sums[2][8][WIDE];
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, blocks = (c + WIDE - 1) / WIDE;
    u32 block = blockIdx.x % blocks, chunk = blockIdx.x / blocks, end = min(rows, (chunk + 1) * chunk_rows), pack = block * 32 + lane;
    float gain[N] = {}, bias[N] = {};
#pragma unroll 1
    for (u32 row = chunk * chunk_rows + warp; row < end && pack < c / N; row += 8) {
        float g[N], v[N], m = mean[ms.position(row)], r = rstd[rs.position(row)];
        load<T, N>(dy + dys.position(row), pack, g);
        load<T, N>(x + xs.position(row), pack, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            gain[j] = fmaf(g[j], (v[j] - m) * r, gain[j]);
            bias[j] += g[j];
        }
    }
#pragma unroll
    for (u32 j = 0; j < N; j++) {
        sums[0][warp][32 * j + lane] = gain[j];
        sums[1][warp][32 * j + lane] = bias[j];
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < 2 * WIDE; i += 256) {
        double sum = 0.0;
#pragma unroll
        for (u32 other = 0; other < 8; other++) sum += sums[i / WIDE][other][i % WIDE];
        parts[(u64)blockIdx.x * 2 * WIDE + i] = sum;
    }
}

// Thread i has number i of all blocks' numbers of one chunk: 32·N of the gain's, as many of the bias's, then the next block's.
template <u32 N>
__device__ void sum_chunks(const double* parts, float* dgain, float* dbias, u64 gain_step, u64 bias_step, u32 chunks, u32 c) {
    const u32 WIDE = 32 * N;
    u32 i = thread_index(), all = (c + WIDE - 1) / WIDE * 2 * WIDE, slot = i % WIDE;
    u32 column = i / (2 * WIDE) * WIDE + slot % 32 * N + slot / 32;
    if (i >= all || column >= c) return;
    double sum = 0.0;
    for (u32 chunk = 0; chunk < chunks; chunk++) sum += parts[(u64)chunk * all + i];
    if (i / WIDE % 2 == 0)
        dgain[column * gain_step] = (float)sum;
    else
        dbias[column * bias_step] = (float)sum;
}

#define NORM(SUFFIX, T, N)                                                                                                       \
    extern "C" __global__ void layer_norm_fwd_##SUFFIX(const T* x, T* y, float* mean, float* rstd, const float* gain,            \
                                                       const float* bias, Strided xs, Strided ys, Strided ms, Strided rs,        \
                                                       u32 rows, u32 c, float eps, u32 keep) {                                   \
        forward<T, N>(x, y, mean, rstd, gain, bias, xs, ys, ms, rs, rows, c, eps, keep);                                         \
    }                                                                                                                            \
    extern "C" __global__ void layer_norm_bwd_##SUFFIX(const T* dy, const T* x, T* dx, const float* mean, const float* rstd,     \
                                                       const float* gain, Strided dys, Strided xs, Strided dxs, Strided ms,      \
                                                       Strided rs, u32 rows, u32 c, u32 accumulate, u32 keep) {                  \
        backward<T, N>(dy, x, dx, mean, rstd, gain, dys, xs, dxs, ms, rs, rows, c, accumulate, keep);                            \
    }                                                                                                                            \
    extern "C" __global__ void layer_norm_bwd_weights_##SUFFIX(const T* dy, const T* x, const float* mean, const float* rstd,    \
                                                               double* parts, Strided dys, Strided xs, Strided ms, Strided rs,   \
                                                               u32 rows, u32 c, u32 chunk_rows) {                                \
        weights<T, N>(dy, x, mean, rstd, parts, dys, xs, ms, rs, rows, c, chunk_rows);                                           \
    }                                                                                                                            \
    extern "C" __global__ void layer_norm_sum_##SUFFIX(const double* parts, float* dgain, float* dbias, u64 gain_step,           \
                                                       u64 bias_step, u32 chunks, u32 c) {                                       \
        sum_chunks<N>(parts, dgain, dbias, gain_step, bias_step, chunks, c);                                                     \
    }
BY_ROWS(NORM)
