// Copies, casts and fills on CUDA: y = x in another layout or dtype, y = value. Contiguous arguments move in packs of 16 bytes
// per lane, others one element per thread. Every number is rounded once; to integers, towards zero and within their range.

struct Same {
    __device__ float operator()(float x) const { return x; }
};

MAP(copy_f32_f32, float, float, Same())
MAP(copy_f32_bf16, float, bf16, Same())
MAP(copy_bf16_f32, bf16, float, Same())
MAP(copy_bf16_bf16, bf16, bf16, Same())

// Integers, which are few and small in a model, one element per thread.
__device__ inline void convert(int x, int& y) { y = x; }
__device__ inline void convert(int x, float& y) { y = __int2float_rn(x); }
// Rounded once: cut off to f32, with the lowest bit set where something was lost, which decides no tie of bf16 wrongly.
__device__ inline void convert(int x, bf16& y) {
    float cut = __int2float_rz(x);
    u32 inexact = __float2int_rz(cut) != x;
    narrow(__uint_as_float(__float_as_uint(cut) | inexact), y);
}
__device__ inline void convert(float x, int& y) { y = __float2int_rz(x); }
__device__ inline void convert(bf16 x, int& y) { y = __float2int_rz(widen(x)); }

template <class X, class Y>
__device__ void copy(const X* x, Y* y, Strided xs, Strided ys, u32 n) {
    u32 i = thread_index();
    if (i < n) convert(x[xs.position(i)], y[ys.position(i)]);
}

#define COPY(NAME, X, Y)                                                                                  \
    extern "C" __global__ void copy_##NAME##_strided(const X* x, Y* y, Strided xs, Strided ys, u32 n) {   \
        copy(x, y, xs, ys, n);                                                                            \
    }

COPY(i32_i32, int, int)
COPY(i32_f32, int, float)
COPY(i32_bf16, int, bf16)
COPY(f32_i32, float, int)
COPY(bf16_i32, bf16, int)

template <class T>
__device__ void fill(T value, T* y, Strided ys, u32 n) {
    u32 i = thread_index();
    if (i < n) y[ys.position(i)] = value;
}

extern "C" __global__ void fill_f32(float value, float* y, Strided ys, u32 n) { fill(value, y, ys, n); }
extern "C" __global__ void fill_i32(u32 value, u32* y, Strided ys, u32 n) { fill(value, y, ys, n); }
extern "C" __global__ void fill_bf16(float value, bf16* y, Strided ys, u32 n) {
    bf16 rounded;
    narrow(value, rounded);
    fill(rounded, y, ys, n);
}
