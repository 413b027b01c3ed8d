// Copies, casts and fills of floats on CUDA: y = x in another layout or dtype, y = value.

struct Same {
    __device__ float operator()(float x) const { return x; }
};

MAP(copy_f32_f32, float, float, Same())
MAP(copy_f32_bf16, float, bf16, Same())
MAP(copy_bf16_f32, bf16, float, Same())
MAP(copy_bf16_bf16, bf16, bf16, Same())

template <class T>
__device__ void fill(float value, T* y, Strided ys, u32 n) {
    u32 i = thread_index();
    if (i < n) narrow(value, y[ys.position(i)]);
}

extern "C" __global__ void fill_f32(float value, float* y, Strided ys, u32 n) { fill(value, y, ys, n); }
extern "C" __global__ void fill_bf16(float value, bf16* y, Strided ys, u32 n) { fill(value, y, ys, n); }
