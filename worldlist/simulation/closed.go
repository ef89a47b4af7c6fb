package simulation

import "math"

// The closed forms are of queues with Poisson arrivals where a reader ends what is
// begun; see L. Kleinrock, Queueing Systems II, chapter 3, and A. Cobham, 1954.

// A Load is one class of exams as theory sees it.
type Load struct {
	PerMinute float64 // arrivals
	Reading   float64 // mean minutes
	Squared   float64 // mean of the squared minutes: twice Reading² where it is exponential
}

// ErlangC is the chance that an exam finds all of c readers busy, at a offered
// readings, a < c.
func ErlangC(c int, a float64) float64 {
	// The sum of a^k/k! relative to its last term, which does not overflow.
	sum, term := 0.0, 1.0
	for k := c - 1; k >= 0; k-- {
		term *= float64(k+1) / a
		sum += term
	}
	top := 1 / (1 - a/float64(c))
	return top / (sum + top)
}

// residual is W₀: how long an exam that comes waits on average for the one in hand.
// With several readers it is exact where all classes have one exponential reading
// time.
func residual(c int, loads []Load) float64 {
	var offered, squared, rate float64
	for _, l := range loads {
		offered += l.PerMinute * l.Reading
		squared += l.PerMinute * l.Squared
		rate += l.PerMinute
	}
	if c == 1 {
		return squared / 2
	}
	return ErlangC(c, offered) * (offered / rate) / float64(c)
}

// Cobham gives the mean wait of each class under strict priority, the first of
// loads being read first: W₀ / ((1 − σₚ₋₁)(1 − σₚ)). A class that can't be kept up
// with waits for ever, +Inf.
func Cobham(c int, loads []Load) []float64 {
	w0 := residual(c, loads)
	out := make([]float64, len(loads))
	below := 0.0
	for i, l := range loads {
		upTo := below + l.PerMinute*l.Reading/float64(c)
		if out[i] = math.Inf(1); upTo < 1 {
			out[i] = w0 / ((1 - below) * (1 - upTo))
		}
		below = upTo
	}
	return out
}

// FirstCome gives the mean wait where all are read in order of arrival.
func FirstCome(c int, loads []Load) float64 {
	rho := 0.0
	for _, l := range loads {
		rho += l.PerMinute * l.Reading / float64(c)
	}
	if rho >= 1 {
		return math.Inf(1)
	}
	return residual(c, loads) / (1 - rho)
}

// Conserved is what no order can change: the sum of ρₚWₚ, Kleinrock's law.
func Conserved(c int, loads []Load) float64 {
	rho := 0.0
	for _, l := range loads {
		rho += l.PerMinute * l.Reading / float64(c)
	}
	return rho * FirstCome(c, loads)
}
