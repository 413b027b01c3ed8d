// RMSNorm on CUDA: one warp per row. A lane reads every 32nd pack of the row, keeps it in shared memory as f32 while it
// sums, joins its sum with the other lanes' by a butterfly (all lanes get the same bits), and writes from what it kept: one read
// of each input, one write. A lane reads back only what it wrote itself, so nothing waits at a barrier. Rows longer than
// shared memory (`keep` is 0) are read twice.

extern __shared__ __align__(16) float kept[];

// Element j of pack i lies at j·packs + i: neighbouring lanes are in neighbouring banks.
template <class T, u32 N>
__device__ void forward(const T* x, T* y, float* rstd, Strided xs, Strided ys, Strided rs, u32 rows, u32 c, float eps,
                        u32 keep) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = blockIdx.x * (blockDim.x / 32) + warp;
    if (row >= rows) return;
    x += xs.position(row);
    y += ys.position(row);
    u32 packs = c / N;
    float* own = kept + warp * c;
    float sum = 0.0f, v[N];
    for (u32 i = lane; i < packs; i += 32) {
        load<T, N>(x, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            sum += v[j] * v[j];
            if (keep) own[j * packs + i] = v[j];
        }
    }
    float r = 1.0f / sqrtf(warp_sum(sum) / (float)c + eps);
    if (lane == 0) rstd[rs.position(row)] = r;
    for (u32 i = lane; i < packs; i += 32) {
        Pack<T, N> out;
        if (!keep) load<T, N>(x, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) narrow((keep ? own[j * packs + i] : v[j]) * r, out.at[j]);
        ((Pack<T, N>*)y)[i] = out;
    }
}

template <class T, u32 N>
__device__ void backward(const T* dy, const T* y, const float* rstd, T* dx, Strided dys, Strided ys, Strided rs, Strided dxs,
                         u32 rows, u32 c, u32 accumulate, u32 keep) {
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = blockIdx.x * (blockDim.x / 32) + warp;
    if (row >= rows) return;
    dy += dys.position(row);
    y += ys.position(row);
    dx += dxs.position(row);
    u32 packs = c / N;
    float *own_dy = kept + warp * 2 * c, *own_y = own_dy + c;
    float sum = 0.0f, g[N], v[N], old[N];
    for (u32 i = lane; i < packs; i += 32) {
        load<T, N>(dy, i, g);
        load<T, N>(y, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            sum += g[j] * v[j];
            if (keep) {
                own_dy[j * packs + i] = g[j];
                own_y[j * packs + i] = v[j];
            }
        }
    }
    float mean = warp_sum(sum) / (float)c, r = rstd[rs.position(row)];
    for (u32 i = lane; i < packs; i += 32) {
        Pack<T, N> out;
        if (!keep) {
            load<T, N>(dy, i, g);
            load<T, N>(y, i, v);
        }
        if (accumulate) load<T, N>(dx, i, old);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            float d = keep ? own_dy[j * packs + i] : g[j], w = keep ? own_y[j * packs + i] : v[j];
            float value = r * (d - w * mean);
            narrow(accumulate ? old[j] + value : value, out.at[j]);
        }
        ((Pack<T, N>*)dx)[i] = out;
    }
}

#define NORM(SUFFIX, T, N)                                                                                        \
    extern "C" __global__ void rms_norm_fwd_##SUFFIX(const T* x, T* y, float* rstd, Strided xs, Strided ys,       \
                                                     Strided rs, u32 rows, u32 c, float eps, u32 keep) {          \
        forward<T, N>(x, y, rstd, xs, ys, rs, rows, c, eps, keep);                                                \
    }                                                                                                             \
    extern "C" __global__ void rms_norm_bwd_##SUFFIX(const T* dy, const T* y, const float* rstd, T* dx,           \
                                                     Strided dys, Strided ys, Strided rs, Strided dxs, u32 rows,  \
                                                     u32 c, u32 accumulate, u32 keep) {                           \
        backward<T, N>(dy, y, rstd, dx, dys, ys, rs, dxs, rows, c, accumulate, keep);                             \
    }

NORM(f32_packs, float, 4)
NORM(f32_single, float, 1)
NORM(bf16_packs, bf16, 8)
NORM(bf16_single, bf16, 1)
