# A comment may say e2m1.
set(formats e4m3fn)
