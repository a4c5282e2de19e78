const char *hint = "a sentence may say: try mxfp8_e4m3";
const char *parsed = "mxfp8_e4m3";
