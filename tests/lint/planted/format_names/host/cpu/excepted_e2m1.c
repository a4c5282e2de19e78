int excepted_e2m1(void);
