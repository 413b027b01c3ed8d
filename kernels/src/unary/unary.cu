// Elementwise functions of one argument on CUDA: y = f(x), each element read and written once, 16 bytes per lane where both
// are contiguous and aligned. Which function is an argument, as in `binary.cu`. NaN stays NaN.

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

struct Function {
    u32 op;
    float scale, shift;

    __device__ float operator()(float x) const {
        switch (op) {
            case 0: return -x;
            case 1: return expf(x);
            case 2: return logf(x);
            case 3: return sqrtf(x);
            case 4: return 1.0f / sqrtf(x);
            case 5: return 1.0f / x;
            case 6: return tanhf(x);
            case 7: return sigmoid(x);
            case 8: return x < 0.0f ? 0.0f : x;
            case 9: return x * x;
            case 10: return fabsf(x);
            case 11: return sinf(x);
            case 12: return cosf(x);
            case 13: return x * sigmoid(x);
            case 14: return sigmoid(x) * (1.0f + x * sigmoid(-x));
            default: return fmaf(scale, x, shift);
        }
    }
};

#define UNARY(SUFFIX, T)                                                                                         \
    extern "C" __global__ void unary_##SUFFIX##_packs(const T* x, T* y, u32 n, Function f) {                     \
        map_packs(x, y, n, f);                                                                                   \
    }                                                                                                            \
    extern "C" __global__ void unary_##SUFFIX##_strided(const T* x, T* y, Strided xs, Strided ys, u32 n,         \
                                                        Function f) {                                            \
        map_strided(x, y, xs, ys, n, f);                                                                         \
    }

UNARY(f32, float)
UNARY(bf16, bf16)
