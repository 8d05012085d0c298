// Adam and Polyak's average in one pass: five arrays are read, four written, nothing in between.
//
// rate = learning rate / (1 - beta1^step), root = 1 / sqrt(1 - beta2^step), as in adam.py; c1, c2
// and rest are 1 - beta1, 1 - beta2 and 1 - decay, subtracted on the host before rounding.

extern "C" __global__ void adam(
    Real* parameter, const Real* gradient, Real* mean, Real* square, Real* average,
    Real rate, Real root, Real epsilon, Real b1, Real c1, Real b2, Real c2, Real rest,
    long long count)
{
    EACH(i, count) {
        Real g = gradient[i];
        Real m = mean[i] = b1 * mean[i] + c1 * g;
        Real s = square[i] = b2 * square[i] + c2 * g * g;
        Real p = parameter[i] = parameter[i] - rate * m / (sqrt(s) * root + epsilon);
        average[i] += rest * (p - average[i]);
    }
}

// All threads that find a number that is not finite write the same.
extern "C" __global__ void unscale(Real* gradient, Real* overflow, Real factor, long long count)
{
    EACH(i, count) {
        gradient[i] *= factor;
        if (!(fabs(gradient[i]) <= -LOWEST)) overflow[0] = 1;
    }
}
