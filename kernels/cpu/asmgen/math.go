package main

import "math"

// The polynomials were fitted with the Remez exchange algorithm, weighted so
// that the relative error of the function is least; the comment gives it
// before rounding. The tests hold the kernels to the bounds that package vec
// documents.

const (
	log2e = math.Log2E
	// ln 2 in two parts: the first has so few bits that its products with an
	// exponent are exact.
	ln2hi = 0.693359375
	ln2lo = math.Ln2 - ln2hi
	// Adding 1.5*2^23 rounds to an integer, found in the low bits.
	roundMagic = 12582912.0
	roundBits  = 0x4b400000
)

// expq is (e^r-1-r)/r^2 on +-ln2/2, for e^r: 3e-9.
var expq = []float64{0.49999994, 0.166665196, 0.0416683927, 0.00836878084, 0.00138144672}

// expm1q is the same function for e^r-1: 1.3e-8.
var expm1q = []float64{0.49999997, 0.166665435, 0.0416672006, 0.00836658012, 0.00138825097}

// logq is (log(1+f)-f+f^2/2)/f^3 on sqrt(1/2)-1 to sqrt(2)-1: 7e-10.
var logq = []float64{0.333333135, -0.250000089, 0.200021192, -0.166679963, 0.142195523, -0.124055885, 0.118881606, -0.116756551, 0.0674664825}

// erfq is erf(x)/x-1 in x^2 up to 1: 1.2e-9.
var erfq = []float64{0.128379166, -0.37612626, 0.112835884, -0.0268539172, 0.00518850051, -0.0008011561, 7.85803204e-05}

// erfcq is -log(1-erf(x))/x from 1 to 4: 4e-10.
var erfcq = []float64{1.1286943, 0.634969532, 0.106530845, -0.0240100529, 0.00375746912, -0.000350590155, 1.39622534e-05}

// reduce splits x into n*ln2 + r. It returns r, and n in the form of the
// integer that rounding left in the low bits.
func (g *gen) reduce(x vec) (r, nbits vec) {
	nbits = g.fma(x, g.f(log2e), g.f(roundMagic))
	n := g.sub(nbits, g.f(roundMagic))
	r = g.fnma(n, g.f(ln2hi), x)
	g.VFNMADD231PS(g.f(ln2lo), n, r)
	return r, nbits
}

// onePlus is 1 + r + r^2*q(r).
func (g *gen) onePlus(r vec, q []float64) vec {
	p := g.horner(r, q...)
	p = g.fma(g.mul(r, r), p, r)
	return g.add(p, g.f(1))
}

// exp is e^x: infinite beyond the range, zero or denormal below it, NaN kept.
func (g *gen) exp(x vec) vec {
	x = g.min(g.load(g.f(89)), x)
	x = g.max(g.load(g.f(-104)), x)
	r, nbits := g.reduce(x)
	p := g.onePlus(r, expq)
	// 2^n in two factors, neither of which overflows.
	n := g.isub(nbits, g.i(roundBits))
	half := g.sar(n, 1)
	rest := g.isub(n, half)
	one := g.load(g.f(1))
	p = g.mul(p, g.iadd(g.shl(half, 23), one))
	return g.mul(p, g.iadd(g.shl(rest, 23), one))
}

// expNonPositive is e^x for x <= 0: zero where the result would be denormal.
func (g *gen) expNonPositive(x vec) vec {
	r, nbits := g.reduce(g.max(g.load(g.f(-87.3)), x))
	scale := g.iadd(g.shl(nbits, 23), g.f(1))
	return g.keep(cmpNLT, x, g.f(-87.3), g.mul(g.onePlus(r, expq), scale))
}

// expm1 is e^x - 1 without cancellation.
func (g *gen) expm1(x vec) vec {
	x = g.min(g.load(g.f(89)), x)
	x = g.max(g.load(g.f(-18)), x)
	r, nbits := g.reduce(x)
	p := g.horner(r, expm1q...)
	p = g.fma(g.mul(r, r), p, r)
	// 2*(p*s + (s-1/2)) with s = 2^(n-1), which does not overflow.
	s := g.iadd(g.shl(nbits, 23), g.f(0.5))
	y := g.fma(p, s, g.sub(s, g.f(0.5)))
	return g.add(y, y)
}

// log is the natural logarithm: -Inf of zero, NaN of what is negative.
func (g *gen) log(x vec) vec {
	// Denormals are scaled up.
	tiny := g.mul(x, g.f(1<<24))
	u := g.choose(cmpLT, x, g.i(0x00800000), tiny, x)
	bias := g.choose(cmpLT, x, g.i(0x00800000), g.load(g.f(24)), g.zeros())
	// u = 2^e * m with m in [sqrt(1/2), sqrt(2)).
	d := g.isub(u, g.i(0x3f3504f3))
	e := g.v()
	g.VCVTDQ2PS(g.sar(d, 23), e)
	e = g.sub(e, bias)
	m := g.iadd(g.and(d, g.i(0x007fffff)), g.i(0x3f3504f3))
	f := g.sub(m, g.f(1))
	y := g.horner(f, logq...)
	f2 := g.mul(f, f)
	y = g.mul(g.mul(y, f), f2)
	y = g.fma(e, g.f(ln2lo), y)
	y = g.fnma(f2, g.f(0.5), y)
	y = g.add(y, f)
	y = g.fma(e, g.f(ln2hi), y)
	// Infinity and NaN stay; zero and what is negative are looked up.
	y = g.choose(cmpNLT, x, g.i(0x7f800000), x, y)
	y = g.choose(cmpEQ, x, g.f(0), g.load(g.i(0xff800000)), y)
	return g.choose(cmpLT, x, g.f(0), g.load(g.i(0x7fc00000)), y)
}

// log1p is log(1+x): the logarithm of the rounded sum, corrected for the
// rounding.
func (g *gen) log1p(x vec) vec {
	u := g.add(x, g.f(1))
	d := g.sub(u, g.f(1))
	y := g.mul(g.log(u), g.div(x, d))
	y = g.choose(cmpEQ, d, g.f(0), x, y)
	return g.choose(cmpEQ, x, g.i(0x7f800000), x, y)
}

// tanh is -expm1(-2|x|) / (expm1(-2|x|)+2) with the sign of x.
func (g *gen) tanh(x vec) vec {
	a := g.abs(x)
	e := g.expm1(g.mul(a, g.f(-2)))
	t := g.div(e, g.add(e, g.f(2)))
	return g.or(g.abs(t), g.sign(x))
}

// sigmoid is 1/(1+e^-x).
func (g *gen) sigmoid(x vec) vec {
	e := g.exp(g.xor(x, g.i(0x80000000)))
	return g.div(g.load(g.f(1)), g.add(e, g.f(1)))
}

// erf is the error function: a polynomial up to 1, and beyond it 1 - e^-p.
func (g *gen) erf(x vec) vec {
	a := g.abs(x)
	small := g.fma(g.horner(g.mul(x, x), erfq...), x, x)
	t := g.min(g.load(g.f(4)), a)
	p := g.mul(g.horner(t, erfcq...), t)
	big := g.sub(g.load(g.f(1)), g.expNonPositive(g.xor(p, g.i(0x80000000))))
	big = g.or(big, g.sign(x))
	return g.choose(cmpLT, a, g.f(1), small, big)
}
