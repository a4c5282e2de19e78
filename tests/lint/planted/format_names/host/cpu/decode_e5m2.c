int decode_e5m2(int code);
