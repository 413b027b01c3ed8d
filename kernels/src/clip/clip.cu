// Clipping by global norm on CUDA. The first kernel is one warp: a lane adds every 32nd sum of squares in f64, a butterfly joins
// the lanes, and the norm and the factor stay in memory. The second multiplies in place, 16 bytes per lane; if the factor is 1,
// which every thread reads, it moves nothing.

extern "C" __global__ void clip_factor(const float* sums, float* out, u32 n, double most) {
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < n; i += 32) sum += sums[i];
    double norm = sqrt(warp_sum(sum)), factor = most / (norm + 1e-6);
    if (threadIdx.x > 0) return;
    out[0] = (float)norm;
    out[1] = most > 0.0 && factor < 1.0 ? (float)factor : 1.0f;
}

template <class T, u32 N>
__device__ void scale(const float* factor, T* y, u32 n) {
    float f = *factor;
    if (f == 1.0f) return;
    u32 i = thread_index(), packs = n / N;
    if (i < packs) {
        float v[N];
        load<T, N>(y, i, v);
#pragma unroll
        for (u32 j = 0; j < N; j++) v[j] *= f;
        store<T, N>(y, i, v);
    } else if (i - packs < n - packs * N) {
        u32 at = packs * N + (i - packs);
        narrow(widen(y[at]) * f, y[at]);
    }
}

#define SCALE(SUFFIX, T, N)                                                                  \
    extern "C" __global__ void scale_by_##SUFFIX(const float* factor, T* y, u32 n) { \
        scale<T, N>(factor, y, n);                                                           \
    }

SCALE(f32_packs, float, 4)
SCALE(f32_single, float, 1)
SCALE(bf16_packs, bf16, 8)
SCALE(bf16_single, bf16, 1)
