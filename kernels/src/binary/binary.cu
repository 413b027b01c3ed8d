// Elementwise functions of two arguments on CUDA. Which one is an argument: every thread of a launch takes the same branch,
// which costs nothing beside the memory. Broadcast arguments have strides of 0 and take the strided loop.

struct Function {
    u32 op;
    __device__ float operator()(float a, float b) const {
        switch (op) {
            case 0: return a + b;
            case 1: return a - b;
            case 2: return a * b;
            case 3: return a / b;
            // a comparison with NaN is false: NaN in b stays, and one in a is taken by the second condition
            case 4: return a > b || a != a ? a : b;
            default: return a < b || a != a ? a : b;
        }
    }
};

ZIP(binary_f32, float, Function{op})
ZIP(binary_bf16, bf16, Function{op})
