// Ten rounds of Philox4x32 (Salmon et al. 2011): 128 bits of a counter become four random words.
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

// Words 4·block … 4·block + 3 of a stream.
__device__ inline void words_of(u64 block, u64 seed, u64 stream, u32* words) {
    words[0] = (u32)block;
    words[1] = (u32)(block >> 32);
    words[2] = (u32)stream;
    words[3] = (u32)(stream >> 32);
    philox(words, (u32)seed, (u32)(seed >> 32));
}
