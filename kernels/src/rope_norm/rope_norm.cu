// Rotary embedding and the norm of queries and keys on CUDA, fused: z = R(position)·x, y = gain·z·rstd for every head vector.
// One warp per head vector. A lane has every 32nd pack of pairs (j, D/2 + j) and keeps the turned pairs in shared memory as
// f32 while the warp sums their squares; it reads back only what it wrote itself. One read of x, one write of y.
// Backward: dz = rstd·(gain·dy − y·mean(dy∘y)/gain), turned back. Vectors longer than shared memory (`keep` is 0) are read twice.

extern __shared__ __align__(16) float kept[];

struct Tables {
    const float *cos, *sin;
    u32 half, sign; // sign of the angle: 1 forward, 0 (backwards) in the gradient

    // Turn a pack of pairs.
    template <u32 N>
    __device__ void turn(u32 pack, float* x1, float* x2) const {
        float c[N], s[N];
        load<float, N>(cos, pack, c);
        load<float, N>(sin, pack, s);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            float a = x1[j], b = x2[j], turn = sign ? s[j] : -s[j];
            x1[j] = a * c[j] + b * turn;
            x2[j] = b * c[j] - a * turn;
        }
    }
};

// Where a pack's pairs are kept: neighbouring lanes in neighbouring banks.
__device__ inline u32 slot(u32 packs, u32 pack, u32 j) { return j * packs + pack; }

template <class T, u32 N>
__device__ void forward(const T* x, T* y, float* rstd, Tables tables, u32 d, float gain, float eps, u32 keep, float* own) {
    u32 lane = threadIdx.x % 32, half = d / 2, packs = half / N;
    float sum = 0.0f, a[N], b[N];
    for (u32 i = lane; i < packs; i += 32) {
        load<T, N>(x, i, a);
        load<T, N>(x + half, i, b);
        tables.turn<N>(i, a, b);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            sum += a[j] * a[j] + b[j] * b[j];
            if (keep) {
                own[slot(packs, i, j)] = a[j];
                own[half + slot(packs, i, j)] = b[j];
            }
        }
    }
    float scale = 1.0f / sqrtf(warp_sum(sum) / (float)d + eps);
    if (lane == 0) *rstd = scale;
    for (u32 i = lane; i < packs; i += 32) {
        if (!keep) {
            load<T, N>(x, i, a);
            load<T, N>(x + half, i, b);
            tables.turn<N>(i, a, b);
        }
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            a[j] = (keep ? own[slot(packs, i, j)] : a[j]) * scale * gain;
            b[j] = (keep ? own[half + slot(packs, i, j)] : b[j]) * scale * gain;
        }
        store<T, N>(y, i, a);
        store<T, N>(y + half, i, b);
    }
}

template <class T, u32 N>
__device__ void backward(const T* dy, const T* y, float scale, T* dx, Tables tables, u32 d, float gain, u32 accumulate,
                         u32 keep, float* own) {
    u32 lane = threadIdx.x % 32, half = d / 2, packs = half / N;
    float *own_dy = own, *own_y = own + d, sum = 0.0f, ga[N], gb[N], ya[N], yb[N];
    for (u32 i = lane; i < packs; i += 32) {
        load<T, N>(dy, i, ga);
        load<T, N>(dy + half, i, gb);
        load<T, N>(y, i, ya);
        load<T, N>(y + half, i, yb);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            sum += ga[j] * ya[j] + gb[j] * yb[j];
            if (keep) {
                u32 at = slot(packs, i, j);
                own_dy[at] = ga[j];
                own_dy[half + at] = gb[j];
                own_y[at] = ya[j];
                own_y[half + at] = yb[j];
            }
        }
    }
    float mean = warp_sum(sum) / (float)d / gain;
    for (u32 i = lane; i < packs; i += 32) {
        if (!keep) {
            load<T, N>(dy, i, ga);
            load<T, N>(dy + half, i, gb);
            load<T, N>(y, i, ya);
            load<T, N>(y + half, i, yb);
        }
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            u32 at = slot(packs, i, j);
            float da = keep ? own_dy[at] : ga[j], db = keep ? own_dy[half + at] : gb[j];
            float va = keep ? own_y[at] : ya[j], vb = keep ? own_y[half + at] : yb[j];
            ga[j] = scale * (gain * da - va * mean);
            gb[j] = scale * (gain * db - vb * mean);
        }
        tables.turn<N>(i, ga, gb);
        if (accumulate) {
            load<T, N>(dx, i, ya);
            load<T, N>(dx + half, i, yb);
#pragma unroll
            for (u32 j = 0; j < N; j++) {
                ga[j] += ya[j];
                gb[j] += yb[j];
            }
        }
        store<T, N>(dx, i, ga);
        store<T, N>(dx + half, i, gb);
    }
}

// The row of this warp; its token's row of the tables.
#define VECTOR u32 warp = threadIdx.x / 32, vector = blockIdx.x * (blockDim.x / 32) + warp
#define TABLES(SIGN)                                                                          \
    u32 position = positions[ps.position(vector / heads)];                                    \
    Tables tables = {cos + cs.position(position), sin + ss.position(position), d / 2, SIGN}

#define ROPE_NORM(SUFFIX, T, N)                                                                                        \
    extern "C" __global__ void rope_norm_fwd_##SUFFIX(                                                                 \
        const T* x, const int* positions, const float* cos, const float* sin, T* y, float* rstd, Strided xs,           \
        Strided ps, Strided cs, Strided ss, Strided ys, Strided rs, u32 vectors, u32 heads, u32 d, float gain,         \
        float eps, u32 keep) {                                                                                         \
        VECTOR;                                                                                                        \
        if (vector >= vectors) return;                                                                                 \
        TABLES(1);                                                                                                     \
        forward<T, N>(x + xs.position(vector), y + ys.position(vector), rstd + rs.position(vector), tables, d, gain,   \
                      eps, keep, kept + warp * d);                                                                     \
    }                                                                                                                  \
    extern "C" __global__ void rope_norm_bwd_##SUFFIX(                                                                 \
        const T* dy, const T* y, const float* rstd, const int* positions, const float* cos, const float* sin, T* dx,   \
        Strided dys, Strided ys, Strided rs, Strided ps, Strided cs, Strided ss, Strided dxs, u32 vectors, u32 heads,  \
        u32 d, float gain, u32 accumulate, u32 keep) {                                                                 \
        VECTOR;                                                                                                        \
        if (vector >= vectors) return;                                                                                 \
        TABLES(0);                                                                                                     \
        backward<T, N>(dy + dys.position(vector), y + ys.position(vector), rstd[rs.position(vector)],                  \
                       dx + dxs.position(vector), tables, d, gain, accumulate, keep, kept + warp * 2 * d);             \
    }

ROPE_NORM(f32_packs, float, 4)
ROPE_NORM(f32_single, float, 1)
ROPE_NORM(bf16_packs, bf16, 4)
ROPE_NORM(bf16_single, bf16, 1)
