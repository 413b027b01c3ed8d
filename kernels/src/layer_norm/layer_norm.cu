// LayerNorm on CUDA: a warp per row. A row is read once from memory and up to three times from the nearest cache: for the mean, for the
// variance around it, and to write. Backward has two sums, mean(g) and mean(g·x̂) with g = dy·gain.
//
// The weights' gradients sum over rows: a block has 32 columns, whose 8 warps take every eighth of a chunk of rows, in f64; a second
// launch adds the chunks. The order depends on the shape alone.

template <class T, u32 N>
__device__ void forward(const T* x, T* y, float* mean, float* rstd, const float* gain, const float* bias, u32 c, float eps) {
    u32 lane = threadIdx.x % 32;
    float v[N], sum = 0.0f, squares = 0.0f;
#pragma unroll 1
    for (u32 i = lane; i < c / N; i += 32) {
        load<T, N>(x, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) sum += v[j];
    }
    float m = warp_sum(sum) / (float)c;
#pragma unroll 1
    for (u32 i = lane; i < c / N; i += 32) {
        load<T, N>(x, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) squares = fmaf(v[j] - m, v[j] - m, squares);
    }
    float r = 1.0f / sqrtf(warp_sum(squares) / (float)c + eps);
    if (lane == 0) {
        *mean = m;
        *rstd = r;
    }
#pragma unroll 1
    for (u32 i = lane; i < c / N; i += 32) {
        load<T, N>(x, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) v[j] = fmaf((v[j] - m) * r, gain[i * N + j], bias ? bias[i * N + j] : 0.0f);
        store<T, N>(y, i, v);
    }
}

template <class T, u32 N>
__device__ void backward(const T* dy, const T* x, T* dx, float m, float r, const float* gain, u32 c, u32 accumulate) {
    u32 lane = threadIdx.x % 32;
    float g[N], v[N], sum = 0.0f, product = 0.0f;
#pragma unroll 1
    for (u32 i = lane; i < c / N; i += 32) {
        load<T, N>(dy, i, g);
        load<T, N>(x, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            float own = g[j] * gain[i * N + j];
            sum += own;
            product = fmaf(own, (v[j] - m) * r, product);
        }
    }
    float mean_g = warp_sum(sum) / (float)c, mean_gx = warp_sum(product) / (float)c;
#pragma unroll 1
    for (u32 i = lane; i < c / N; i += 32) {
        load<T, N>(dy, i, g);
        load<T, N>(x, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) g[j] = r * (g[j] * gain[i * N + j] - mean_g - (v[j] - m) * r * mean_gx);
        put<T, N>(g, dx, i, accumulate);
    }
}

const u32 CHUNK = 256; // rows

template <class T>
__device__ void weights(const T* dy, const T* x, const float* mean, const float* rstd, double* parts, Strided dys, Strided xs,
                        Strided ms, Strided rs, u32 rows, u32 c) {
    __shared__ double gains[256], biases[256];
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, blocks = (c + 31) / 32;
    u32 column = blockIdx.x % blocks * 32 + lane, chunk = blockIdx.x / blocks, end = min(rows, (chunk + 1) * CHUNK);
    double gain = 0.0, bias = 0.0;
#pragma unroll 1
    for (u32 row = chunk * CHUNK + warp; column < c && row < end; row += 8) {
        double g = widen(dy[dys.position(row) + column]), v = widen(x[xs.position(row) + column]);
        gain += g * ((v - mean[ms.position(row)]) * rstd[rs.position(row)]);
        bias += g;
    }
    gains[threadIdx.x] = gain;
    biases[threadIdx.x] = bias;
    __syncthreads();
    if (warp != 0 || column >= c) return;
    for (u32 other = 1; other < 8; other++) {
        gain += gains[other * 32 + lane];
        bias += biases[other * 32 + lane];
    }
    parts[(u64)chunk * 2 * c + column] = gain;
    parts[(u64)chunk * 2 * c + c + column] = bias;
}

#define NORM(SUFFIX, T, N)                                                                                                   \
    extern "C" __global__ void layer_norm_fwd_##SUFFIX(const T* x, T* y, float* mean, float* rstd, const float* gain,        \
                                                       const float* bias, Strided xs, Strided ys, Strided ms, Strided rs,    \
                                                       u32 rows, u32 c, float eps) {                                         \
        u32 row = warp_row();                                                                                                \
        if (row >= rows) return;                                                                                             \
        forward<T, N>(x + xs.position(row), y + ys.position(row), mean + ms.position(row), rstd + rs.position(row), gain,    \
                      bias, c, eps);                                                                                         \
    }                                                                                                                        \
    extern "C" __global__ void layer_norm_bwd_##SUFFIX(const T* dy, const T* x, T* dx, const float* mean, const float* rstd, \
                                                       const float* gain, Strided dys, Strided xs, Strided dxs, Strided ms,  \
                                                       Strided rs, u32 rows, u32 c, u32 accumulate) {                        \
        u32 row = warp_row();                                                                                                \
        if (row >= rows) return;                                                                                             \
        backward<T, N>(dy + dys.position(row), x + xs.position(row), dx + dxs.position(row), mean[ms.position(row)],         \
                       rstd[rs.position(row)], gain, c, accumulate);                                                         \
    }
BY_ROWS(NORM)

#define WEIGHTS(SUFFIX, T)                                                                                                   \
    extern "C" __global__ void layer_norm_weights_##SUFFIX(const T* dy, const T* x, const float* mean, const float* rstd,    \
                                                           double* parts, Strided dys, Strided xs, Strided ms, Strided rs,   \
                                                           u32 rows, u32 c) {                                                \
        weights(dy, x, mean, rstd, parts, dys, xs, ms, rs, rows, c);                                                         \
    }
WEIGHTS(f32, float)
WEIGHTS(bf16, bf16)

extern "C" __global__ void layer_norm_sum(const double* parts, float* dgain, float* dbias, u64 gain_step, u64 bias_step, u32 chunks,
                                          u32 c) {
    u32 i = thread_index();
    if (i >= 2 * c) return;
    double sum = 0.0;
    for (u32 chunk = 0; chunk < chunks; chunk++) sum += parts[(u64)chunk * 2 * c + i];
    if (i < c)
        dgain[i * gain_step] = (float)sum;
    else
        dbias[(i - c) * bias_step] = (float)sum;
}
