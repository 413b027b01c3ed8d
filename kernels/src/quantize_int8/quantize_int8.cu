// A weight as int8 on CUDA. First a warp per row finds the largest magnitude, whose 127th part, rounded to f32, is the row's scale; then a
// thread per word of the panels divides in f64 and rounds to the nearest, ties to even: four rows' numbers of one column.

extern "C" __global__ void quantize_scales(const float* w, float* scale, u32 n, u32 k) {
    u32 row = thread_index() / 32;
    if (row >= n) return;
    w += (u64)row * k;
    float largest = 0.0f;
#pragma unroll 1
    for (u32 i = threadIdx.x % 32; i < k; i += 32) largest = larger(fabsf(w[i]), largest);
    largest = warp_max(largest);
    if (threadIdx.x % 32 == 0) scale[row] = (float)((double)largest / 127.0);
}

extern "C" __global__ void quantize_int8(const float* w, const float* scale, u32* q, u32 words, u32 n, u32 k) {
    u32 i = thread_index(), column = i / 8 % k;
    if (i >= words) return;
    u32 first = i / 8 / k * 32 + i % 8 * 4, word = 0;
#pragma unroll
    for (u32 b = 0; b < 4; b++) {
        if (first + b >= n) break;
        float own = scale[first + b];
        double number = own == 0.0f ? 0.0 : rint((double)w[(u64)(first + b) * k + column] / own);
        // NaN becomes 0
        int whole = number != number ? 0 : (int)fmin(fmax(number, -127.0), 127.0);
        word |= (u32)(whole & 255) << (8 * b);
    }
    q[i] = word;
}
