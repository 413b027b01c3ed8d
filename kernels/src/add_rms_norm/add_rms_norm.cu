// The residual sum and the RMSNorm that reads it on CUDA: h = x + r, y = h·rstd, and dx = dh + rstd·(dy − y·mean(dy∘y)).
// One warp per row, as in `rms_norm.cu`: a lane keeps what it will need again in shared memory as f32 and reads back only
// what it wrote itself. Every input is read once and every output written once; rows longer than shared memory (`keep` is 0)
// are read again, h from where it was just written.

extern __shared__ __align__(16) float kept[];

// Which row this warp has.
__device__ inline u32 own_row() { return blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; }

template <class T, u32 N>
__device__ void forward(const T* x, const T* r, T* h, T* y, float* rstd, Strided xs, Strided rs, Strided hs, Strided ys,
                        Strided stats, u32 rows, u32 c, float eps, u32 keep) {
    u32 lane = threadIdx.x % 32, row = own_row(), packs = c / N;
    if (row >= rows) return;
    x += xs.position(row);
    r += rs.position(row);
    h += hs.position(row);
    y += ys.position(row);
    float* own = kept + threadIdx.x / 32 * c;
    float sum = 0.0f, a[N], b[N];
    for (u32 i = lane; i < packs; i += 32) {
        load<T, N>(x, i, a);
        load<T, N>(r, i, b);
        Pack<T, N> out;
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            narrow(a[j] + b[j], out.at[j]);
            float v = widen(out.at[j]); // as it is rounded: the bits are those of two kernels
            sum += v * v;
            if (keep) own[j * packs + i] = v;
        }
        ((Pack<T, N>*)h)[i] = out;
    }
    float scale = 1.0f / sqrtf(warp_sum(sum) / (float)c + eps);
    if (lane == 0) rstd[stats.position(row)] = scale;
    for (u32 i = lane; i < packs; i += 32) {
        if (!keep) load<T, N>(h, i, a);
#pragma unroll
        for (u32 j = 0; j < N; j++) a[j] = (keep ? own[j * packs + i] : a[j]) * scale;
        store<T, N>(y, i, a);
    }
}

template <class T, u32 N>
__device__ void backward(const T* dh, const T* dy, const T* y, const float* rstd, T* dx, Strided dhs, Strided dys, Strided ys,
                         Strided stats, Strided dxs, u32 rows, u32 c, u32 keep) {
    u32 lane = threadIdx.x % 32, row = own_row(), packs = c / N;
    if (row >= rows) return;
    dh += dhs.position(row);
    dy += dys.position(row);
    y += ys.position(row);
    dx += dxs.position(row);
    float *own_dy = kept + threadIdx.x / 32 * 2 * c, *own_y = own_dy + c;
    float sum = 0.0f, g[N], v[N], direct[N];
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
    float mean = warp_sum(sum) / (float)c, scale = rstd[stats.position(row)];
    for (u32 i = lane; i < packs; i += 32) {
        load<T, N>(dh, i, direct);
        if (!keep) {
            load<T, N>(dy, i, g);
            load<T, N>(y, i, v);
        }
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            float d = keep ? own_dy[j * packs + i] : g[j], w = keep ? own_y[j * packs + i] : v[j];
            direct[j] += scale * (d - w * mean);
        }
        store<T, N>(dx, i, direct);
    }
}

#define NORM(SUFFIX, T, N)                                                                                          \
    extern "C" __global__ void add_rms_norm_fwd_##SUFFIX(                                                           \
        const T* x, const T* r, T* h, T* y, float* rstd, Strided xs, Strided rs, Strided hs, Strided ys,            \
        Strided stats, u32 rows, u32 c, float eps, u32 keep) {                                                      \
        forward<T, N>(x, r, h, y, rstd, xs, rs, hs, ys, stats, rows, c, eps, keep);                                 \
    }                                                                                                               \
    extern "C" __global__ void add_rms_norm_bwd_##SUFFIX(                                                           \
        const T* dh, const T* dy, const T* y, const float* rstd, T* dx, Strided dhs, Strided dys, Strided ys,       \
        Strided stats, Strided dxs, u32 rows, u32 c, u32 keep) {                                                    \
        backward<T, N>(dh, dy, y, rstd, dx, dhs, dys, ys, stats, dxs, rows, c, keep);                               \
    }

NORM(f32_packs, float, 4)
NORM(f32_single, float, 1)
NORM(bf16_packs, bf16, 8)
NORM(bf16_single, bf16, 1)
