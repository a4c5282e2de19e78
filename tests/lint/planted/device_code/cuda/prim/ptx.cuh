inline unsigned shuffle(unsigned v) { asm("mov %0;" : "=r"(v)); return __shfl_sync(~0u, v, 0); }
