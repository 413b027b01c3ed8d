// Uniform random numbers on CUDA: y[i] = (word first + i of a Philox4x32-10 stream >> 8)·2⁻²⁴ (Salmon et al. 2011). A thread makes one
// block of the stream, four words, and writes those of them that were asked for: 16 bytes at once where all four were, and the
// address allows it.

extern "C" __global__ void uniform(float* y, u64 seed, u64 stream, u64 first, u32 blocks, u32 n) {
    u32 i = thread_index();
    if (i >= blocks) return;
    u32 words[4];
    words_of(first / 4 + i, seed, stream, words);
    Pack<float, 4> out;
#pragma unroll
    for (int j = 0; j < 4; j++) out.at[j] = (float)(words[j] >> 8) * (1.0f / 16777216.0f);
    long long at = (long long)i * 4 - (long long)(first % 4); // of the first word, in y
    if (at >= 0 && at + 4 <= n && (u64)(y + at) % 16 == 0) {
        *(Pack<float, 4>*)(y + at) = out;
        return;
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
        if (at + j >= 0 && at + j < n) y[at + j] = out.at[j];
    }
}
