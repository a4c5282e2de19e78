#ifndef NEEDS_OTHER_H
#define NEEDS_OTHER_H
int32_t needs_stdint(void);
#endif
