// The squared rectifier on CUDA: elementwise, bound by memory. Forward moves each input and output once, backward reads
// x and dy and writes dx (and reads it where it adds to it).

__device__ inline float relu(float x) { return x < 0.0f ? 0.0f : x; } // NaN stays

struct Forward {
    __device__ float operator()(float x) const { return relu(x) * relu(x); }
};

struct Backward {
    __device__ float operator()(float x, float dy) const { return 2.0f * relu(x) * dy; }
};

MAP(relu_squared_fwd_f32, float, float, Forward())
MAP(relu_squared_fwd_bf16, bf16, bf16, Forward())
ZIP(relu_squared_bwd_f32, float, Backward())
ZIP(relu_squared_bwd_bf16, bf16, Backward())
