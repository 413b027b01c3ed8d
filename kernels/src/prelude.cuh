// What every CUDA kernel begins with: number types, vectors of them, strided positions, the two elementwise loops,
// and what a warp computes together.
// It is put before each `.cu` file as text, since the kernels include nothing.
//
// Floats are widened to f32 when read and rounded once when written. A pack is 16 bytes at most, what one lane moves with
// one instruction; a warp then moves 512 bytes in a row, which are whole sectors.

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct bf16 {
    u16 bits;
};

__device__ inline float widen(float x) { return x; }
__device__ inline float widen(bf16 x) { return __uint_as_float((u32)x.bits << 16); }
__device__ inline void narrow(float value, float& out) { out = value; }
__device__ inline void narrow(float value, bf16& out) { asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out.bits) : "f"(value)); }

template <class T, u32 N>
struct alignas(sizeof(T) * N) Pack {
    T at[N];
};

// Elements of a pack: 16 bytes of the wider type.
template <class A, class B>
struct Width {
    static const u32 of = 16 / (sizeof(A) > sizeof(B) ? sizeof(A) : sizeof(B));
};

// Up to five axes, outermost first; axes that are not there have length 1. Strides in elements.
struct Strided {
    u32 dims[5];
    u32 unused;
    u64 strides[5];

    __device__ u64 position(u32 index) const {
        u64 at = 0;
#pragma unroll
        for (int axis = 4; axis >= 0; axis--) {
            u32 rest = index / dims[axis];
            at += (u64)(index - rest * dims[axis]) * strides[axis];
            index = rest;
        }
        return at;
    }
};

__device__ inline u32 thread_index() { return blockIdx.x * blockDim.x + threadIdx.x; }

// y = f(x), contiguous and aligned: thread i has pack i; the last few elements have a thread each after those.
template <class X, class Y, class F>
__device__ void map_packs(const X* x, Y* y, u32 n, F f) {
    const u32 N = Width<X, Y>::of;
    u32 i = thread_index(), packs = n / N;
    if (i < packs) {
        Pack<X, N> in = ((const Pack<X, N>*)x)[i];
        Pack<Y, N> out;
#pragma unroll
        for (u32 j = 0; j < N; j++) narrow(f(widen(in.at[j])), out.at[j]);
        ((Pack<Y, N>*)y)[i] = out;
    } else if (i - packs < n - packs * N) {
        u32 at = packs * N + (i - packs);
        narrow(f(widen(x[at])), y[at]);
    }
}

// y = f(x), any strides: a thread per element.
template <class X, class Y, class F>
__device__ void map_strided(const X* x, Y* y, Strided xs, Strided ys, u32 n, F f) {
    u32 i = thread_index();
    if (i < n) narrow(f(widen(x[xs.position(i)])), y[ys.position(i)]);
}

// y = f(a, b), or y += f(a, b), contiguous and aligned.
template <class T, class F>
__device__ void zip_packs(const T* a, const T* b, T* y, u32 n, u32 accumulate, F f) {
    const u32 N = Width<T, T>::of;
    u32 i = thread_index(), packs = n / N;
    if (i < packs) {
        Pack<T, N> left = ((const Pack<T, N>*)a)[i], right = ((const Pack<T, N>*)b)[i], out;
        Pack<T, N> old = {}; // the compiler may add it before it selects, so it must be something
        if (accumulate) old = ((const Pack<T, N>*)y)[i];
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            float value = f(widen(left.at[j]), widen(right.at[j]));
            narrow(accumulate ? widen(old.at[j]) + value : value, out.at[j]);
        }
        ((Pack<T, N>*)y)[i] = out;
    } else if (i - packs < n - packs * N) {
        u32 at = packs * N + (i - packs);
        float value = f(widen(a[at]), widen(b[at]));
        narrow(accumulate ? widen(y[at]) + value : value, y[at]);
    }
}

// y = f(a, b), or y += f(a, b), any strides.
template <class T, class F>
__device__ void zip_strided(const T* a, const T* b, T* y, Strided as, Strided bs, Strided ys, u32 n, u32 accumulate, F f) {
    u32 i = thread_index();
    if (i >= n) return;
    float value = f(widen(a[as.position(i)]), widen(b[bs.position(i)]));
    T* out = y + ys.position(i);
    narrow(accumulate ? widen(*out) + value : value, *out);
}

// Pack number `pack` of a row, widened; and back.
template <class T, u32 N>
__device__ void load(const T* row, u32 pack, float* out) {
    Pack<T, N> in = ((const Pack<T, N>*)row)[pack];
#pragma unroll
    for (u32 j = 0; j < N; j++) out[j] = widen(in.at[j]);
}
template <class T, u32 N>
__device__ void store(T* row, u32 pack, const float* values) {
    Pack<T, N> out;
#pragma unroll
    for (u32 j = 0; j < N; j++) narrow(values[j], out.at[j]);
    ((Pack<T, N>*)row)[pack] = out;
}

// Of all 32 lanes, the same bits in each: a butterfly. The maximum is NaN if there is one.
template <class T>
__device__ inline T warp_sum(T x) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffff, x, step);
    return x;
}
__device__ inline float larger(float a, float b) { return a > b || a != a ? a : b; }
__device__ inline float warp_max(float x) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) x = larger(x, __shfl_xor_sync(0xffffffff, x, step));
    return x;
}

// The kernels of an elementwise function: NAME_packs and NAME_strided.
#define MAP(NAME, X, Y, F)                                                                             \
    extern "C" __global__ void NAME##_packs(const X* x, Y* y, u32 n) { map_packs(x, y, n, F); }        \
    extern "C" __global__ void NAME##_strided(const X* x, Y* y, Strided xs, Strided ys, u32 n) {       \
        map_strided(x, y, xs, ys, n, F);                                                               \
    }
#define ZIP(NAME, T, F)                                                                                \
    extern "C" __global__ void NAME##_packs(const T* a, const T* b, T* y, u32 n, u32 accumulate, u32 op) { \
        zip_packs(a, b, y, n, accumulate, F);                                                          \
    }                                                                                                  \
    extern "C" __global__ void NAME##_strided(const T* a, const T* b, T* y, Strided as, Strided bs,    \
                                              Strided ys, u32 n, u32 accumulate, u32 op) {             \
        zip_strided(a, b, y, as, bs, ys, n, accumulate, F);                                            \
    }
