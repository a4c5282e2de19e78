/* A comment may say e4m3fn or mxfp8_e4m3, and code may say ue8m0 and MFQ_SCALE_UE4M3. */
int mfq_ue8m0_decode(int code);
