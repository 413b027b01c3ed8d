// Gated activations on CUDA: y = act(a)·b, and both gradients from one pass: da = dy·b·act'(a), db = dy·act(a). Which activation is
// an argument. Packs of 16 bytes per lane where all are contiguous and aligned, an element per thread elsewhere.

struct Gated {
    u32 act; // ReLU², SiLU, GELU with tanh

    // act(a) and act'(a).
    __device__ void parts(float a, float& value, float& slope) const {
        if (act == 0) {
            float r = a < 0.0f ? 0.0f : a; // NaN stays
            value = r * r;
            slope = 2.0f * r;
            return;
        }
        float square = a * a;
        float u = act == 1 ? 0.5f * a : 0.797884561f * a * fmaf(0.044715f, square, 1.0f);
        float turn = act == 1 ? 0.5f : 0.797884561f * fmaf(0.134145f, square, 1.0f); // u'
        float rest = expf(-fabsf(2.0f * u)), whole = 1.0f / (1.0f + rest);
        float s = u < 0.0f ? rest * whole : whole, change = 2.0f * rest * whole * whole; // σ(2u), and twice σ·(1 − σ)
        value = a * s;
        slope = s + (act == 2 && change == 0.0f ? 0.0f : a * change * turn); // GELU's u' grows, too, but never that fast
    }
    __device__ float operator()(float a, float b) const {
        float value, slope;
        parts(a, value, slope);
        return value * b;
    }
    __device__ void gradients(float a, float b, float dy, float& da, float& db) const {
        float value, slope;
        parts(a, value, slope);
        da = dy * b * slope;
        db = dy * value;
    }
};

ZIP(gated_fwd_f32, float, Gated{op})
ZIP(gated_fwd_bf16, bf16, Gated{op})

template <class T>
__device__ void backward_packs(const T* a, const T* b, const T* dy, T* da, T* db, u32 n, Gated f) {
    const u32 N = Width<T, T>::of;
    u32 i = thread_index(), packs = n / N;
    float x, y;
    if (i < packs) {
        Pack<T, N> as = ((const Pack<T, N>*)a)[i], bs = ((const Pack<T, N>*)b)[i], ds = ((const Pack<T, N>*)dy)[i];
        Pack<T, N> left, right;
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            f.gradients(widen(as.at[j]), widen(bs.at[j]), widen(ds.at[j]), x, y);
            narrow(x, left.at[j]);
            narrow(y, right.at[j]);
        }
        ((Pack<T, N>*)da)[i] = left;
        ((Pack<T, N>*)db)[i] = right;
    } else if (i - packs < n - packs * N) {
        u32 at = packs * N + (i - packs);
        f.gradients(widen(a[at]), widen(b[at]), widen(dy[at]), x, y);
        narrow(x, da[at]);
        narrow(y, db[at]);
    }
}

template <class T>
__device__ void backward_strided(const T* a, const T* b, const T* dy, T* da, T* db, Strided as, Strided bs, Strided dys, Strided das,
                                 Strided dbs, u32 n, Gated f) {
    u32 i = thread_index();
    if (i >= n) return;
    float x, y;
    f.gradients(widen(a[as.position(i)]), widen(b[bs.position(i)]), widen(dy[dys.position(i)]), x, y);
    narrow(x, da[das.position(i)]);
    narrow(y, db[dbs.position(i)]);
}

#define BACKWARD(SUFFIX, T)                                                                                                 \
    extern "C" __global__ void gated_bwd_##SUFFIX##_packs(const T* a, const T* b, const T* dy, T* da, T* db, u32 n,         \
                                                          u32 act) {                                                        \
        backward_packs(a, b, dy, da, db, n, Gated{act});                                                                    \
    }                                                                                                                       \
    extern "C" __global__ void gated_bwd_##SUFFIX##_strided(const T* a, const T* b, const T* dy, T* da, T* db, Strided as,  \
                                                            Strided bs, Strided dys, Strided das, Strided dbs, u32 n,       \
                                                            u32 act) {                                                      \
        backward_strided(a, b, dy, da, db, as, bs, dys, das, dbs, n, Gated{act});                                           \
    }

BACKWARD(f32, float)
BACKWARD(bf16, bf16)
