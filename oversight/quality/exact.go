package quality

import "math"

// Exact gives the 95 % interval of a share of k in n by Clopper and Pearson (1934):
// whatever the true share is, the interval holds it in at least 95 of 100 such
// samples. Of nothing it is the whole from 0 to 1.
func Exact(k, n int) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	const half = 0.025
	low, high = 0, 1
	if k > 0 {
		low = root(func(p float64) float64 { return 1 - below(k-1, n, p) - half })
	}
	if k < n {
		high = root(func(p float64) float64 { return half - below(k, n, p) })
	}
	return low, high
}

// Limits gives the control limits of a share in n exams when it is p in truth: the
// least and the greatest share between which all but about 3 in 1,000 samples lie,
// as three standard deviations would have it, counted exactly. Of nothing it is the
// whole from 0 to 1.
func Limits(p float64, n int) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	const tail = 0.00135
	least, most, sum := -1, n, 0.0
	for k := 0; k <= n; k++ {
		sum += mass(k, n, p)
		if least < 0 && sum > tail {
			least = k
		}
		if sum >= 1-tail {
			most = k
			break
		}
	}
	return float64(max(0, least)) / float64(n), float64(most) / float64(n)
}

// root finds where a rising function of a probability is zero.
func root(f func(float64) float64) float64 {
	low, high := 0.0, 1.0
	for range 50 {
		middle := (low + high) / 2
		if f(middle) < 0 {
			low = middle
		} else {
			high = middle
		}
	}
	return (low + high) / 2
}

// below is the chance of at most k in n.
func below(k, n int, p float64) float64 {
	if k >= n {
		return 1
	}
	// The sum over the smaller side, from its largest term down.
	sum := 0.0
	if float64(k) < p*float64(n) {
		for i := k; i >= 0; i-- {
			term := mass(i, n, p)
			sum += term
			if term < 1e-18*sum {
				break
			}
		}
		return min(1, sum)
	}
	for i := k + 1; i <= n; i++ {
		term := mass(i, n, p)
		sum += term
		if term < 1e-18*sum {
			break
		}
	}
	return max(0, 1-sum)
}

// mass is the chance of exactly k in n.
func mass(k, n int, p float64) float64 {
	switch {
	case p <= 0:
		return b2f(k == 0)
	case p >= 1:
		return b2f(k == n)
	}
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

func b2f(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
