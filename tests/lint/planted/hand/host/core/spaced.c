/* Its layout is another hand's. */
int mfq_sum( int a,int b )
{
    return a+b;
}
