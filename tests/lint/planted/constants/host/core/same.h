typedef enum how {
  MFQ_QUICK, /* a name that is there already */
} how;
