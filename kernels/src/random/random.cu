// Uniform random numbers on CUDA: y[i] = (word first + i of a Philox4x32-10 stream >> 8)·2⁻²⁴ (Salmon et al. 2011). A thread makes one
// block of the stream, four words, and writes those of them that were asked for: 16 bytes at once where all four were, and the
// address allows it.

__device__ inline void philox(u32* ctr, u32 key0, u32 key1) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        u64 a = (u64)0xD2511F53u * ctr[0], b = (u64)0xCD9E8D57u * ctr[2];
        u32 one = ctr[1], three = ctr[3];
        ctr[0] = (u32)(b >> 32) ^ one ^ key0;
        ctr[1] = (u32)b;
        ctr[2] = (u32)(a >> 32) ^ three ^ key1;
        ctr[3] = (u32)a;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

extern "C" __global__ void uniform(float* y, u64 seed, u64 stream, u64 first, u32 blocks, u32 n) {
    u32 i = thread_index();
    if (i >= blocks) return;
    u64 block = first / 4 + i;
    u32 words[4] = {(u32)block, (u32)(block >> 32), (u32)stream, (u32)(stream >> 32)};
    philox(words, (u32)seed, (u32)(seed >> 32));
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
