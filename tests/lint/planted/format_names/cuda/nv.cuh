int nvfp4_scale(int x);
